package status

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/hosttool"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/outcome"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/store"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/verify"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Read returns the status of this host. The error is about missing rights, the directories of the
// store, or a host that cannot be read.
func Read(now time.Time) (*Report, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("root is required, to read the rules of this host and what dockerfw recorded: sudo dockerfw status")
	}
	s, err := store.Open()
	if err != nil {
		return nil, err
	}
	out := &Report{Differences: []string{}, Facts: []facts.Fact{}, Drops: []Drops{}, Sets: []Set{}, Boot: apply.ReadBootUnit("/")}
	if out.Boot.Folder != "" {
		if _, _, err := store.ReadFolder(apply.BootFolder, 0); err != nil {
			out.Boot.Error = err.Error()
		}
	}
	in, err := s.InForce()
	if err != nil {
		return nil, err
	}
	change, err := s.Waiting()
	if err != nil {
		return nil, err
	}
	if change != nil {
		out.Pending = pendingOf(change, now, waits("/proc", change.Token))
	}
	backend := lastBackend(s)
	if change != nil {
		backend = snapshot.Backend(change.Backend)
	}
	var t *tools
	again := func() snapshot.Tools {
		t = &tools{runner: hosttool.New(), texts: map[string][]byte{}}
		return t
	}
	contents, path, recorded := version(s, in, change, out)
	nftables := recorded != nil && recorded.Target != ""
	fleet, diags, err := snapshot.ReadLive(again, snapshot.LiveOptions{Last: backend, Loading: true, Optional: nftables, Removing: nftables, Compiled: apply.KnownHosts(s)})
	switch {
	case err != nil:
		return nil, err
	case diags.HasErrors():
		return nil, diags
	}
	host := fleet.Hosts[0]
	if err := apply.MustRead(host); err != nil && !nftables {
		return nil, err
	}
	if err := readTable(s, host, t, nftables); err != nil {
		return nil, err
	}
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		out.Drops = append(out.Drops, dropsOf(t.texts[host.Tool(f)+"-save"], f)...)
	}
	if recorded != nil {
		out.Version = outcome.VersionOf(recorded)
		if !recorded.Since.IsZero() { // not of a change that waits
			out.Since = &recorded.Since
		}
	}
	out.again = out.folder(path)
	out.state(s, host, contents, path)
	for _, f := range append(facts.Firewalld("/"), facts.UFW("/")...) {
		if f.Status != facts.OK {
			out.Facts = append(out.Facts, f)
		}
	}
	out.OK = out.State == InForce && (out.Pending == nil || !out.Pending.Overdue)
	return out, nil
}

// readTable reads table inet dockerfw of nft, where it may exist. Its error counts if the version in
// force has one.
func readTable(s *store.Store, host *snapshot.Host, t *tools, nftables bool) error {
	if host.NFT != nil && host.NFT.Table("inet", "dockerfw") == nil {
		return nil
	}
	table, err := apply.ReadTable(func(args ...string) ([]byte, error) { return t.Output("nft", args...) }, host, apply.KnownTables(s)...)
	if err != nil && nftables {
		return err
	}
	host.TableText = table
	return nil
}

func lastBackend(s *store.Store) snapshot.Backend {
	last, err := s.Backend()
	if err != nil {
		return ""
	}
	return snapshot.Backend(last)
}

// version is the version that should be in force: the change that waits, the copy of the one that
// was loaded last, or the folder that it came from.
func version(s *store.Store, in *store.InForce, change *store.Change, out *Report) (contents map[string][]byte, path string, recorded *store.InForce) {
	good, goodPath, ok, err := s.Good()
	if ok || err != nil {
		out.Good = &Good{Path: goodPath}
		if err != nil {
			out.Good.Error = err.Error()
		} else {
			out.Good.Digest = folder.Digest(good[folder.ManifestFile])
			out.Good.InForce = change == nil && in != nil && in.Digest == out.Good.Digest
		}
	}
	if change != nil {
		pending, err := s.Pending()
		if err != nil || pending == nil {
			return nil, "", in
		}
		return pending.Files, change.Folder, ofManifest(pending)
	}
	switch {
	case in == nil:
		return nil, "", nil
	case ok && out.Good.Digest == in.Digest:
		return good, goodPath, in
	}
	contents, path, err = store.ReadFolder(in.Folder, 0)
	if err != nil || folder.Digest(contents[folder.ManifestFile]) != in.Digest {
		return nil, "", in
	}
	return contents, path, in
}

// folder is the folder of the recorded version as long as a load of it would be the same version, or
// else the path of its files.
func (out *Report) folder(path string) string {
	if out.Version == nil {
		return ""
	}
	contents, _, err := store.ReadFolder(out.Version.Folder, 0)
	if path == "" || err == nil && folder.Digest(contents[folder.ManifestFile]) == out.Version.Digest {
		return out.Version.Folder
	}
	return path
}

// ofManifest describes a pending change as a version in force. It was loaded when its record was
// made.
func ofManifest(p *store.Pending) *store.InForce {
	out := &store.InForce{Folder: p.Folder, Digest: p.Digest, Backend: p.Backend}
	if m, err := folder.ParseManifest(p.Files[folder.ManifestFile]); err == nil {
		out.Target, out.Host, out.Version = m.Target, m.Host, m.Version
		for _, i := range m.Inputs {
			out.Policy = append(out.Policy, i.Name)
		}
	}
	return out
}

// state compares the host with the version that should be in force.
func (out *Report) state(s *store.Store, host *snapshot.Host, contents map[string][]byte, path string) {
	inIPTables := plan.HasOwn(host.Rules[ir.IPv4]) || plan.HasOwn(host.Rules[ir.IPv6])
	own := inIPTables || host.NFTables() || host.TableText != nil
	switch {
	case !inIPTables && host.NFTables() && host.Table().Dormant:
		out.State = Dormant
		if contents == nil && out.Version != nil {
			out.Error = out.gone()
		}
	case closed(host):
		out.State = Closed
		return
	case out.Version == nil && own:
		out.State = Unknown
		return
	case !own:
		out.State = NotLoaded
	case contents == nil:
		out.State, out.Error = Unknown, out.gone()
	default:
		out.State = InForce
	}
	if contents == nil {
		out.Facts = append(out.Facts, facts.Network(host, host)...)
		return
	}
	if err := out.compare(s, host, contents, path); err != nil {
		out.Error = err.Error()
		if out.State != Dormant {
			out.State = Unknown
		}
	} else if out.State == InForce && len(out.Differences) > 0 {
		out.State = Different
	}
}

// gone is why there is nothing to compare the host with.
func (out *Report) gone() string {
	return fmt.Sprintf("the files of the version in force no longer exist: %s was changed or removed, and there is no copy", out.Version.Folder)
}

// compare finds how the host differs from a version, as a load of it would.
func (out *Report) compare(s *store.Store, host *snapshot.Host, contents map[string][]byte, path string) error {
	want, diags, err := snapshot.OpenFiles(path, contents)
	switch {
	case err != nil:
		return err
	case diags.HasErrors():
		return diags
	}
	out.sets(want, host)
	records, err := apply.Records(s)
	if err != nil {
		return err
	}
	placements, err := want.Placements(host)
	if err != nil {
		return err
	}
	in := plan.Input{
		Host: host.State(), Want: want.Version(), Records: records, Force: true,
		Late: snapshot.Late(placements),
	}
	p, err := plan.Make(in)
	if err == nil && p.Differences.Table != nil && in.Want.Table != nil {
		// Another version of nft may print the same rules in other words.
		if in.PrintedTable, err = apply.PrintedTable(hosttool.New(), in.Want.Table); errors.Is(err, hosttool.ErrNamespace) {
			err = nil
		}
		if err == nil {
			p, err = plan.Make(in)
		}
	}
	if err != nil {
		return err
	}
	if out.State != NotLoaded {
		out.Differences = append(out.Differences, p.Differences.Lines()...)
	}
	if len(p.Deleted) > 0 {
		out.Facts = append(out.Facts, foreign(p.Deleted))
	}
	loaded, err := want.LoadedOnto(host)
	if err != nil {
		return err
	}
	found, err := verify.Loaded(want, loaded, false)
	if out.Facts = append(out.Facts, found...); err != nil {
		out.Facts = append(out.Facts, verify.Unchecked(err))
	}
	out.Facts = append(out.Facts, facts.Expired(want, time.Now())...)
	return nil
}

// foreign is why a load is refused that would delete foreign rules.
func foreign(rules []string) facts.Fact {
	const shown = 3
	return facts.New("foreign", facts.Warning, "chains that loading replaces contain rules that dockerfw did not create, so that apply refuses to load: %s. To keep them, set install = \"jump\" in the host block; to delete them, load with --force", words.List(rules, shown))
}

// sets counts the entries of the sets of a version on the host.
func (out *Report) sets(want, host *snapshot.Host) {
	for _, s := range want.TableText.Sets() {
		if s.Dynamic() {
			continue
		}
		have := host.TableText.Object("set", s.Name)
		one := Set{Name: s.Name, Managed: s.Managed(), Missing: have == nil}
		if have != nil {
			one.Entries = len(have.Elements)
		}
		out.Sets = append(out.Sets, one)
	}
	if want.TableText != nil {
		return
	}
	for _, name := range want.Sets.Names() {
		one := Set{Name: name, Managed: !want.Unmanaged[name]}
		if have := host.Sets.Set(name); have == nil {
			one.Missing = true
		} else {
			for range have.Entries() {
				one.Entries++
			}
		}
		out.Sets = append(out.Sets, one)
	}
}

// closed reports whether a host has the rules of plan.Closed.
func closed(host *snapshot.Host) bool {
	if plan.IsClosed(host.TableText) {
		return true
	}
	for _, f := range host.Families() {
		if t := host.Filter(f); t != nil {
			for _, c := range t.Chains {
				if slices.ContainsFunc(c.Rules, func(r *iptables.Rule) bool { return r.Comment() == "dockerfw closed" }) {
					return true
				}
			}
		}
	}
	return false
}

// pendingOf describes a change at a time; alive is whether the process that rolls it back exists.
func pendingOf(c *store.Change, now time.Time, alive bool) *Pending {
	left := c.Deadline.Sub(now)
	return &Pending{
		Folder: c.Folder, Deadline: c.Deadline, Partial: c.Partial, Seconds: max(0, int(left.Seconds())),
		// Rolling back takes a moment, which is not overdue.
		Overdue: !alive || left < -10*time.Second,
	}
}

// waits reports whether the process exists that waits for a confirmation.
func waits(proc, token string) bool {
	files, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "cmdline"))
	if err != nil {
		return false
	}
	want := "\x00rollback\x00--" + apply.ExpireFlag + "\x00" + token + "\x00"
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && strings.HasSuffix(string(text), want) {
			return true
		}
	}
	return false
}

// tools are the tools that a host is read with: iptables-save prints the counters as well.
type tools struct {
	snapshot.LocalTools
	runner *hosttool.Runner
	texts  map[string][]byte
}

// Output runs a tool.
func (t *tools) Output(tool string, args ...string) ([]byte, error) {
	counted := strings.Contains(tool, "tables") && strings.HasSuffix(tool, "-save")
	if counted {
		args = append([]string{"-c"}, args...)
	}
	text, err := t.runner.Output(context.Background(), nil, tool, args...)
	if counted && err == nil {
		t.texts[tool] = append(t.texts[tool], text...)
	}
	return text, err
}

// dropsOf are the packets that dockerfw's rules in the output of iptables-save -c refused, with those
// of a block in a chain together.
func dropsOf(text []byte, f ir.Family) []Drops {
	var out []Drops
	file, diags := iptables.ParseRules(bytes.NewReader(text), "iptables-save")
	if diags.HasErrors() {
		return nil
	}
	seen := map[string]bool{}
	for _, b := range file.Blocks {
		if seen[b.Table] || b.Table != "filter" && b.Table != "security" {
			continue // a table that was printed twice
		}
		seen[b.Table] = true
		index := map[string]int{}
		for _, c := range b.Commands {
			if c.Rule == nil || c.Counters == nil || c.Rule.Jump != "DROP" && c.Rule.Jump != "REJECT" || !identity.Ours(c.Rule) {
				continue
			}
			name := identity.BlockName(c.Rule)
			i, ok := index[c.Chain+" "+name]
			if !ok {
				i = len(out)
				index[c.Chain+" "+name] = i
				out = append(out, Drops{Rule: name, Family: f.String(), Chain: c.Chain, Fallback: b.Table == "security"})
			}
			out[i].Packets += c.Counters.Packets
			out[i].Bytes += c.Counters.Bytes
		}
	}
	return out
}
