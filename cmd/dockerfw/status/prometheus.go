package status

import (
	"cmp"
	"io"
	"strconv"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// WritePrometheus writes a report in the text format of Prometheus, for the textfile collector of
// node_exporter. Names and labels are stable; more may be added.
func WritePrometheus(w io.Writer, r *Report, style Style) error {
	m := &metrics{}
	m.family("program_info", "gauge", "The dockerfw that wrote these metrics.")
	m.sample("program_info", 1, "version", style.Program)
	m.family("status_timestamp_seconds", "gauge", "When this status was read, in Unix time.")
	m.sample("status_timestamp_seconds", uint64(style.Now.Unix()))
	m.family("ok", "gauge", "1 if the recorded version is in force and no confirmation is overdue.")
	m.sample("ok", number(r.OK))
	m.family("state", "gauge", "1 for the state that the host is in.")
	for _, s := range []State{InForce, Different, NotLoaded, Dormant, Closed, Unknown} {
		m.sample("state", number(r.State == s), "state", string(s))
	}
	m.family("differences", "gauge", "What loading the recorded version again would change.")
	m.sample("differences", uint64(len(r.Differences)))
	m.family("faults", "gauge", "Faults of the host that loading the version again does not fix.")
	for _, s := range []facts.Status{facts.Error, facts.Warning} {
		n := uint64(0)
		for _, f := range r.Facts {
			if f.Status == s {
				n++
			}
		}
		m.sample("faults", n, "severity", string(s))
	}
	m.version(r)
	m.pending(r)
	m.family("boot_unit_enabled", "gauge", "1 if systemd loads the rules at boot.")
	m.sample("boot_unit_enabled", number(r.Boot.Enabled))
	m.drops(r.Drops)
	m.sets(r.Sets)
	return escape.Write(w, escape.Safe(m.String()))
}

// metrics is text in the format of Prometheus. All names begin with dockerfw_.
type metrics struct{ strings.Builder }

func (m *metrics) family(name, kind, help string) {
	m.WriteString("# HELP dockerfw_" + name + " " + help + "\n# TYPE dockerfw_" + name + " " + kind + "\n")
}

// sample writes a value after labels, which are names and values in turn.
func (m *metrics) sample(name string, value uint64, labels ...string) {
	m.WriteString("dockerfw_" + name)
	for i := 0; i < len(labels); i += 2 {
		m.WriteString([]string{"{", ","}[min(i, 1)] + labels[i] + `="` + labelValue(labels[i+1]) + `"`)
	}
	if len(labels) > 0 {
		m.WriteString("}")
	}
	m.WriteString(" " + strconv.FormatUint(value, 10) + "\n")
}

// labelValue escapes what ends a label, after what a terminal acts on.
func labelValue(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(string(escape.Terminal(s)))
}

func number(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func (m *metrics) version(r *Report) {
	v := r.Version
	if v == nil {
		return
	}
	m.family("version_info", "gauge", "The version that was loaded: its folder, the digest of its manifest, its host and the tables.")
	m.sample("version_info", 1, "folder", v.Folder, "digest", v.Digest, "host", v.Host, "backend", v.Backend)
	m.family("target_info", "gauge", "The target of the version that was loaded: iptables or nftables.")
	m.sample("target_info", 1, "target", cmp.Or(v.Target, "iptables"))
	if r.Since != nil {
		m.family("version_loaded_timestamp_seconds", "gauge", "When it was loaded, in Unix time.")
		m.sample("version_loaded_timestamp_seconds", uint64(r.Since.Unix()))
	}
}

func (m *metrics) pending(r *Report) {
	p := r.Pending
	m.family("confirmation_pending", "gauge", "1 if a change waits for confirmation.")
	m.sample("confirmation_pending", number(p != nil))
	m.family("confirmation_overdue", "gauge", "1 if a change that was not confirmed should have been rolled back.")
	m.sample("confirmation_overdue", number(p != nil && p.Overdue))
	if p != nil {
		m.family("confirmation_deadline_timestamp_seconds", "gauge", "When the change is rolled back, in Unix time.")
		m.sample("confirmation_deadline_timestamp_seconds", uint64(p.Deadline.Unix()))
	}
}

func (m *metrics) drops(drops []Drops) {
	if len(drops) == 0 {
		return
	}
	labels := func(d Drops) []string {
		return []string{"rule", d.Rule, "family", d.Family, "chain", d.Chain, "fallback", strconv.FormatBool(d.Fallback)}
	}
	m.family("dropped_packets_total", "counter", "Packets that a block of the policy refused since the rules were loaded.")
	for _, d := range drops {
		m.sample("dropped_packets_total", d.Packets, labels(d)...)
	}
	m.family("dropped_bytes_total", "counter", "Bytes of these packets.")
	for _, d := range drops {
		m.sample("dropped_bytes_total", d.Bytes, labels(d)...)
	}
}

func (m *metrics) sets(sets []Set) {
	if len(sets) == 0 {
		return
	}
	m.family("set_entries", "gauge", "Entries of a set; managed is false if dockerfw does not fill it.")
	for _, s := range sets {
		m.sample("set_entries", uint64(s.Entries), "set", s.Name, "managed", strconv.FormatBool(s.Managed))
	}
	m.family("set_missing", "gauge", "1 if the host does not have the set.")
	for _, s := range sets {
		m.sample("set_missing", number(s.Missing), "set", s.Name)
	}
}
