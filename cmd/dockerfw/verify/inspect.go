// Package verify checks whether a host does what was compiled for it.
//
// In: what was compiled for a host, and what the host has. Out: one result for
// each thing that has to hold: the rules are there, complete and in order, packets
// come to them before anything lets them through, the sets are filled. It changes
// nothing.
package verify

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit"
	"github.com/dockerfw/dockerfw/parser/files"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Check is one thing that has to hold.
type Check struct {
	// Name says what was checked, such as "IPv4 rules".
	Name string
	OK   bool
	// Nothing says that there was nothing to check, so that OK says little.
	Nothing bool
	// Text says what was found; what is wrong, and what would fix it.
	Text string
}

// Host checks a host against what was compiled for it.
func Host(want, have *snapshot.Host) ([]Check, error) {
	c := &checker{want: want, have: have, loaded: want}
	// A set of others that is unlike the one asked for cannot be loaded; sets says so.
	if loaded, err := want.LoadedOnto(have); err == nil {
		c.loaded = loaded
	}
	c.filled = c.loaded.WithMembersOf(have)
	if want.Kind == snapshot.Folder {
		c.files()
	}
	for _, f := range want.Families() {
		if have.Rules[f] == nil {
			c.fail(snapshot.FamilyText(f)+" rules", "%s has no %s rules saved", have.Name, snapshot.FamilyText(f))
			continue
		}
		c.chains(f)
		c.order(f)
		for _, way := range []struct {
			path  snapshot.Path
			chain string
		}{{snapshot.Forward, c.entry(f)}, {snapshot.ToHost, snapshot.InputChain}} {
			if way.path == snapshot.ToHost && !slices.Contains(want.Own[f], way.chain) {
				continue
			}
			if err := c.path(f, way.path, way.chain); err != nil {
				return nil, err
			}
		}
		if err := c.fallback(f); err != nil {
			return nil, err
		}
		c.docker(f)
		c.foreign(f)
	}
	c.sets()
	c.beside()
	if have.Kind == snapshot.Live {
		if err := c.backend(); err != nil {
			return nil, err
		}
	}
	return c.checks, nil
}

type checker struct {
	want, have *snapshot.Host
	// loaded is the host as it would be with what was compiled for it.
	loaded *snapshot.Host
	// filled is loaded with the sets as the host has filled them: what they hold is a
	// check of its own, and no fault of the rules.
	filled *snapshot.Host
	checks []Check
}

func (c *checker) ok(name, format string, args ...any) {
	c.checks = append(c.checks, Check{Name: name, OK: true, Text: fmt.Sprintf(format, args...)})
}

func (c *checker) fail(name, format string, args ...any) {
	c.checks = append(c.checks, Check{Name: name, Text: fmt.Sprintf(format, args...)})
}

// nothing says that there was nothing to check, where that is no fault.
func (c *checker) nothing(name, format string, args ...any) {
	c.checks = append(c.checks, Check{Name: name, OK: true, Nothing: true, Text: fmt.Sprintf(format, args...)})
}

// files compares a compiled folder with the digests in its manifest.
func (c *checker) files() {
	const name = "files"
	text, err := files.Read(files.Disk, filepath.Join(c.want.Name, emit.ManifestFile))
	if err != nil {
		c.fail(name, "%v", err)
		return
	}
	manifest, err := emit.ParseManifest(text)
	if err != nil {
		c.fail(name, "%v", err)
		return
	}
	var bad []string
	for _, f := range manifest.Files {
		text, err := files.Read(files.Disk, filepath.Join(c.want.Name, f.Name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			bad = append(bad, f.Name+" is missing")
		case err != nil:
			bad = append(bad, err.Error())
		case emit.Digest(text) != f.SHA256:
			bad = append(bad, f.Name+" was changed")
		}
	}
	if len(bad) > 0 {
		c.fail(name, "%s is not as it was compiled: %s", c.want.Name, strings.Join(bad, ", "))
		return
	}
	c.ok(name, "%s is as it was compiled", c.want.Name)
}

// entry is the chain of ours that forwarded packets come to first.
func (c *checker) entry(ir.Family) string {
	if c.want.Install == ir.Jump {
		return snapshot.OwnPrefix
	}
	return c.want.Target
}

// chains compares the rules of each chain, line by line.
func (c *checker) chains(f ir.Family) {
	names := c.want.Own[f]
	if c.want.Install == ir.Insert {
		names = append([]string{c.want.Target}, names...)
	}
	name := snapshot.FamilyText(f) + " rules"
	total := 0
	var bad []string
	for _, chain := range names {
		want, have := lines(c.want.Filter(f).Chain(chain), f), lines(c.have.Filter(f).Chain(chain), f)
		total += len(want)
		switch {
		case c.have.Filter(f).Chain(chain) == nil:
			bad = append(bad, "chain "+chain+" is missing")
		case slices.Equal(want, have):
		default:
			bad = append(bad, "chain "+chain+" "+difference(want, have))
		}
	}
	if len(bad) > 0 {
		c.fail(name, "%s", strings.Join(bad, "; "))
		return
	}
	c.ok(name, "%s, complete and in order, in %s", count(total, "rule"), strings.Join(names, ", "))
}

// lines are the rules of ours in a chain, as iptables-save prints them.
func lines(c *iptables.Chain, f ir.Family) []string {
	var out []string
	if c == nil {
		return nil
	}
	for _, r := range c.Rules {
		if snapshot.Ours(r) {
			out = append(out, r.Canonical(iptables.Family(f)))
		}
	}
	return out
}

// difference says in what rules differ.
func difference(want, have []string) string {
	missing, extra := without(want, have), without(have, want)
	switch {
	case len(have) == 0:
		return "holds none of its " + count(len(want), "rule")
	case len(missing) > 0 && len(extra) > 0:
		return fmt.Sprintf("lacks %s (%s) and has %s of another version (%s)", count(len(missing), "rule"), oneOf(missing), count(len(extra), "rule"), oneOf(extra))
	case len(missing) > 0:
		return fmt.Sprintf("lacks %s%s", count(len(missing), "rule"), sample(missing))
	case len(extra) > 0:
		return fmt.Sprintf("has %s of another version%s", count(len(extra), "rule"), sample(extra))
	case len(want) != len(have):
		return fmt.Sprintf("has rules twice: %d instead of %d", len(have), len(want))
	}
	return "has its rules in another order"
}

// oneOf is the first of some rules; it says so if there are more.
func oneOf(rules []string) string {
	if len(rules) > 1 {
		return "such as " + rules[0]
	}
	return rules[0]
}

// sample is oneOf at the end of a clause.
func sample(rules []string) string {
	if len(rules) > 1 {
		return ", " + oneOf(rules)
	}
	return ": " + oneOf(rules)
}

func without(a, b []string) []string {
	in := map[string]bool{}
	for _, x := range b {
		in[x] = true
	}
	return slices.DeleteFunc(slices.Clone(a), func(x string) bool { return in[x] })
}

// order checks the insertion-order invariant on what the host has, whoever put it
// there.
func (c *checker) order(f ir.Family) {
	name := snapshot.FamilyText(f) + " order"
	p := &ir.Program{Family: f}
	t := c.have.Filter(f)
	if t == nil {
		return // what is missing was said
	}
	ours := false
	for _, chain := range t.Chains {
		read := &ir.Chain{Name: chain.Name}
		for _, r := range chain.Rules {
			if !strings.HasPrefix(snapshot.Comment(r), "dockerfw ") {
				continue
			}
			rule, err := compiler.ReadBack(r, f)
			if err != nil {
				c.fail(name, "chain %s: %s: %v", chain.Name, r.Text, err)
				return
			}
			read.Rules = append(read.Rules, rule)
			ours = true
		}
		p.Chains = append(p.Chains, read)
	}
	if !ours {
		c.nothing(name, "%s has no rules of dockerfw to check", c.have.Name)
		return
	}
	if err := p.CheckOrder(); err != nil {
		c.fail(name, "%v", err)
		return
	}
	c.ok(name, "established, deny, accept, default")
}

// foreign checks that the chains which are ours alone contain no foreign rules.
func (c *checker) foreign(f ir.Family) {
	name := snapshot.FamilyText(f) + " others"
	var found, chains []string
	for _, chain := range c.want.Own[f] {
		for _, r := range snapshot.ForeignRules(c.have.Filter(f).Chain(chain)) {
			found = append(found, "-A "+chain+" "+r.Canonical(iptables.Family(f)))
			if !slices.Contains(chains, chain) {
				chains = append(chains, chain)
			}
		}
	}
	if len(found) > 0 {
		c.fail(name, "%s contains %s that dockerfw did not create; loading would delete them%s. Keep them with install = \"jump\"", strings.Join(chains, ", "), count(len(found), "rule"), sample(found))
		return
	}
	if len(c.want.Own[f]) == 0 {
		c.nothing(name, "dockerfw owns no chain here: its rules are inserted into %s", c.want.Target)
		return
	}
	there := slices.DeleteFunc(slices.Clone(c.want.Own[f]), func(chain string) bool { return c.have.Filter(f).Chain(chain) == nil })
	if len(there) == 0 {
		c.nothing(name, "none of dockerfw's chains is there")
		return
	}
	c.ok(name, "no foreign rules in %s", strings.Join(there, ", "))
}

// sets compares the sets, each by its type and its addresses.
func (c *checker) sets() {
	const name = "sets"
	var bad []string
	names := c.want.Sets.Names()
	if len(names) == 0 {
		c.nothing(name, "the policy has no sets")
		return
	}
	want, have := c.want.Members(), c.have.Members()
	for _, set := range names {
		a, b := c.want.Sets.Set(set), c.have.Sets.Set(set)
		switch {
		case b == nil:
			bad = append(bad, set+" is missing")
		case a.Type != b.Type || a.Family != b.Family:
			bad = append(bad, fmt.Sprintf("%s is %s %s instead of %s %s", set, b.Type, b.Family, a.Type, a.Family))
		case c.want.Unmanaged[set] || want[set] == nil:
		case have[set] == nil:
			bad = append(bad, set+" has members that are no addresses")
		case have[set].IsEmpty() && !want[set].IsEmpty():
			bad = append(bad, set+" is empty")
		case !want[set].Equal(have[set]):
			missing, extra := want[set].Minus(have[set]).Prefixes(0), have[set].Minus(want[set]).Prefixes(0)
			var parts []string
			for _, part := range []struct {
				what     string
				prefixes []netip.Prefix
			}{{"missing", missing}, {"unexpected", extra}} {
				if len(part.prefixes) > 0 {
					parts = append(parts, entriesText(part.what, part.prefixes))
				}
			}
			bad = append(bad, set+": "+strings.Join(parts, ", "))
		}
	}
	if len(bad) > 0 {
		c.fail(name, "%s", strings.Join(bad, "; "))
		return
	}
	c.ok(name, "%s, filled as compiled", count(len(names), "set"))
}

// entriesText counts entries of a set and lists the first: "1 unexpected entry: 192.0.2.10".
func entriesText(what string, prefixes []netip.Prefix) string {
	const shown = 4
	var words []string
	for _, p := range prefixes[:min(shown, len(prefixes))] {
		if p.IsSingleIP() {
			words = append(words, p.Addr().String())
		} else {
			words = append(words, p.String())
		}
	}
	if n := len(prefixes) - shown; n > 0 {
		words = append(words, fmt.Sprintf("and %d more", n))
	}
	noun := "entries"
	if len(prefixes) == 1 {
		noun = "entry"
	}
	return fmt.Sprintf("%d %s %s: %s", len(prefixes), what, noun, strings.Join(words, ", "))
}

// beside says which base chains of nft nothing here follows.
func (c *checker) beside() {
	var chains []string
	for _, f := range c.want.Families() {
		for _, chain := range c.have.UnsupportedChains(f) {
			if !slices.Contains(chains, chain) {
				chains = append(chains, chain)
			}
		}
	}
	switch {
	case len(chains) > 0:
		c.nothing("nft", "not followed, and may drop packets that the rules accept: %s", strings.Join(chains, "; "))
	case c.have.Kind == snapshot.Live && c.have.NFTUnread != "":
		c.nothing("nft", "tables of nft beside those of iptables were not read: %s", c.have.NFTUnread)
	}
}

// backend checks that the rules are in the kind of tables that Docker's are in: packets
// meet those of both.
func (c *checker) backend() error {
	const name = "backend"
	other := c.have.Backend.Other()
	for _, f := range c.want.Families() {
		tool := fmt.Sprintf("%s-%s", snapshot.IPTables(f), other)
		text, err := snapshot.ToolOutput(tool + "-save")
		if errors.Is(err, snapshot.ErrNoTool) {
			continue
		}
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "-A DOCKER") || strings.HasPrefix(line, "-A FORWARD -j DOCKER") {
				c.fail(name, "packets also meet rules of Docker's or dockerfw's in %s, such as %s: left from before a change. Delete them there, if Docker does not use that one", tool, strings.TrimSpace(line))
				return nil
			}
		}
	}
	var docker, ours, native bool
	for _, f := range c.want.Families() {
		d := c.have.Docker(f)
		docker = docker || d.Filter || d.NAT
		native = native || d.Native
		ours = ours || slices.ContainsFunc(c.want.Own[f], func(chain string) bool { return c.have.Filter(f).Chain(chain) != nil })
	}
	switch {
	case native && ours:
		c.ok(name, "Docker's rules are in nft tables of its own (%s), dockerfw's in the tables of iptables-%s: packets meet both, and a drop in either is final", snapshot.DockerTable, c.have.Backend)
	case native:
		c.nothing(name, "Docker's rules are in nft tables of its own (%s), and dockerfw's are in none", snapshot.DockerTable)
	case docker && ours:
		c.ok(name, "Docker's rules and dockerfw's are in the same tables, those of iptables-%s", c.have.Backend)
	case docker:
		c.nothing(name, "Docker's rules are in the tables of iptables-%s, and dockerfw's are in none", c.have.Backend)
	case ours:
		c.nothing(name, "dockerfw's rules are in the tables of iptables-%s, and Docker has none in either kind", c.have.Backend)
	default:
		c.nothing(name, "neither Docker nor dockerfw has rules in tables of iptables-nft or iptables-legacy")
	}
	return nil
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if strings.HasSuffix(thing, "x") {
		return fmt.Sprintf("%d %ses", n, thing)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
