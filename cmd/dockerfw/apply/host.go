package apply

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/hosttool"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// reader are the tools that a host is read with. It runs each tool once: iptables-save prints all
// tables, and iptables is one of iptables-nft and iptables-legacy.
type reader struct {
	snapshot.LocalTools
	tools  *hosttool.Runner
	output map[string]*answer
	// running are the tools that have been started.
	running sync.WaitGroup
}

type answer struct {
	done chan struct{}
	text []byte
	err  error
}

func (a *Applier) reader() *reader { return &reader{tools: a.tools, output: map[string]*answer{}} }

// ask starts a tool whose output will be needed, so that several run at the same time.
func (r *reader) ask(tool string, args ...string) *answer {
	key := strings.Join(append([]string{tool}, args...), " ")
	if r.output[key] == nil {
		out := &answer{done: make(chan struct{})}
		r.output[key] = out
		r.running.Go(func() {
			defer close(out.done)
			out.text, out.err = r.tools.Output(background, nil, tool, args...)
		})
	}
	return r.output[key]
}

// Output runs a tool, or returns what it printed before.
func (r *reader) Output(tool string, args ...string) ([]byte, error) {
	family, suffix, isIPTables := strings.Cut(tool, "tables")
	switch {
	case isIPTables && suffix == "" && len(args) == 1 && args[0] == "--version":
		if b := r.standard(); b != "" {
			return []byte(map[snapshot.Backend]string{snapshot.NFT: "nf_tables", snapshot.Legacy: "legacy"}[b]), nil
		}
	case isIPTables && suffix == "-save":
		if b := r.standard(); b != "" {
			if kind := family + "tables-" + string(b) + "-save"; r.installed(kind) {
				tool = kind
			}
		}
	}
	// The legacy tool creates a table that it is asked for.
	if isIPTables && len(args) == 2 && args[0] == "-t" && args[1] == "filter" {
		args = nil
	}
	a := r.ask(tool, args...)
	<-a.done
	return a.text, a.err
}

// askTables starts the tools of one kind of iptables that print the tables, and the one that prints
// the sets.
func (r *reader) askTables(kind string) {
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if tool := snapshot.IPTables(f) + "-" + kind + "-save"; r.installed(tool) {
			r.ask(tool)
		}
	}
	r.ask("ipset", "save")
}

func (r *reader) installed(tool string) bool {
	_, err := r.tools.Find(tool)
	return err == nil
}

func (r *reader) standard() snapshot.Backend { return standard(r.tools, "iptables") }

// standard is the kind of iptables that a tool is, by the name of its program; "" if that does not
// show it.
func standard(tools *hosttool.Runner, tool string) snapshot.Backend {
	path, err := tools.Find(tool)
	if err != nil {
		return ""
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return ""
	}
	switch name := filepath.Base(path); {
	case strings.Contains(name, "-nft"):
		return snapshot.NFT
	case strings.Contains(name, "-legacy"):
		return snapshot.Legacy
	}
	return ""
}

// lastBackend is the kind of iptables that was used last, also before a reboot; "" if that is not known.
func (a *Applier) lastBackend() snapshot.Backend {
	if a.store == nil {
		return ""
	}
	last, err := a.store.Backend()
	if err != nil {
		return ""
	}
	return snapshot.Backend(last)
}

// read reads the host. known are tables of nft that it may have; see ReadTable.
func (a *Applier) read(o snapshot.LiveOptions, known ...*plan.Table) (*snapshot.Host, string, error) {
	o.Loading, o.Last = true, a.lastBackend()
	if a.store != nil && !o.Boot {
		o.Compiled = append(o.Compiled, KnownHosts(a.store)...)
	}
	var r *reader
	again := func() snapshot.Tools {
		if r != nil {
			r.running.Wait()
		}
		r = a.reader()
		if b := r.standard(); b != "" && !o.Boot {
			r.askTables(string(b))
			if !slices.ContainsFunc(o.Compiled, func(h *snapshot.Host) bool { return h.TableText.HasLargeSet() }) {
				r.ask("nft", "-j", "list", "ruleset")
			}
		}
		return r
	}
	defer func() { r.running.Wait() }() // no tool outlives the lock
	fleet, diags, err := snapshot.ReadLive(again, o)
	switch {
	case err != nil:
		return nil, "", err
	case diags.HasErrors():
		return nil, "", diags
	}
	host := fleet.Hosts[0]
	// At boot a table that cannot be read counts as missing: it is replaced all the same.
	if host.TableText, err = a.readTable(host, known...); err != nil && !o.Boot {
		return nil, "", err
	}
	return host, fleet.Note, nil
}

// tool is the name of a family's iptables of the host's kind, with a suffix such as "-restore".
// ip6tables may be of another kind than iptables, which decides what is read.
func (a *Applier) tool(h *snapshot.Host, f ir.Family, suffix string) string {
	name := h.Tool(f)
	if b := standard(a.tools, name); b != "" && b != h.Backend {
		name = snapshot.IPTables(f) + "-" + string(h.Backend)
	}
	return name + suffix
}

// other is the name of the tool of the kind that Docker does not use.
func other(h *snapshot.Host, f ir.Family, suffix string) string {
	return fmt.Sprintf("%s-%s%s", snapshot.IPTables(f), h.Backend.Other(), suffix)
}

// needNFT checks that nft is installed if a version has a table of it.
func (a *Applier) needNFT(v *plan.Version) error {
	if v.Table == nil {
		return nil
	}
	_, err := a.tools.Find("nft")
	return err
}

// needTools checks that the tools for the families of a version are installed and work.
func (a *Applier) needTools(h *snapshot.Host, want *snapshot.Host) error {
	if want.TableText != nil {
		return nil // it needs nft alone
	}
	if h.SetsUnread != nil {
		return fmt.Errorf("ipset does not work on this host: %w", h.SetsUnread)
	}
	var problems []error
	for _, f := range want.Families() {
		if err := h.Unread[f]; err != nil {
			problems = append(problems, err)
			continue
		}
		if _, err := a.tools.Find(a.tool(h, f, "-restore")); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// MustRead returns an error if the rules of a family could not be read that a host may have. A
// kernel without IPv6, and a host without a family's tools, has no rules of it.
func MustRead(h *snapshot.Host) error {
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if err := h.Unread[f]; err != nil && !errors.Is(err, snapshot.ErrNoTool) && (f == ir.IPv4 || hasIPv6()) {
			return err
		}
	}
	return nil
}

// hasIPv6 reports whether this kernel has IPv6.
func hasIPv6() bool {
	_, err := os.Stat("/proc/net/if_inet6")
	return err == nil
}

// log is the file with the messages of the process that waits for a confirmation.
func (a *Applier) log() (*os.File, error) {
	return os.OpenFile(filepath.Join(a.store.Run, "confirm.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}
