// Package summary describes what compile wrote.
//
// In: a compiled policy, and how the output folder changed. Out: text for people: how
// many rules and sets each host gets, what loading them replaces, and the command that
// loads them. It writes no files.
package summary

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/shell"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/emit/nftables"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// folderText is the name of the output folder, as a folder.
func folderText(output string) string { return strings.TrimRight(output, "/") + "/" }

// WriteComparison lists how an output folder differs from what the policy compiles to, and
// the command that brings it up to date. same are manifests of which only the digests of the
// policy's files differ.
func WriteComparison(w io.Writer, changes []folder.Change, same []string, policy, output, command string) {
	if len(changes) == 0 {
		escape.Fprintf(w, "%s is up to date with %s.\n", folderText(output), policy)
		var paths []string
		for _, path := range same {
			paths = append(paths, filepath.Join(output, path))
		}
		if len(paths) > 0 {
			const shown = 3 // of a fleet
			escape.Fprintf(w, "The text of the policy or of its lists has changed since, but no rule, set or entry: only the digests in %s differ.\n", words.List(paths, shown))
		}
		return
	}
	for _, c := range changes {
		escape.Fprintf(w, "%-8s %s\n", c.Kind, filepath.Join(output, c.Path))
	}
	escape.Fprintf(w, "%s is out of date. Run: %s\n", folderText(output), command)
}

// Write describes what was written, what loading it replaces, and how to load it.
func Write(w io.Writer, result *driver.Result, policy string, changes []folder.Change, output string) {
	if len(changes) == 0 {
		escape.Fprintf(w, "%s is up to date with %s; nothing was written.\n", folderText(output), policy)
		return
	}
	escape.Fprintf(w, "Compiled %s to %s: %s.\n", policy, folderText(output), changeCounts(changes))
	const shown = 3 // of a fleet
	for i, host := range result.Hosts {
		if i == shown && len(result.Hosts) > shown+1 {
			escape.Fprintf(w, "and %d more hosts.\n", len(result.Hosts)-shown)
			break
		}
		if host.NFT != nil {
			describeNFT(w, host.NFT)
		} else {
			describe(w, host.Tables)
		}
	}
	first := result.Hosts[0]
	effect := effectOf(first)
	if effect == "" {
		return
	}
	escape.Fprintf(w, "Loading %s.\n", effect)
	if first.Label() == "" {
		escape.Fprintf(w, "Next, as root on the host:\n")
	} else {
		escape.Fprintf(w, "Next, as root on each host (this is for %s):\n", first.Label())
	}
	escape.Fprintf(w, "  %s\n", shell.Command("dockerfw", "apply", "--confirm", "60", filepath.Join(output, first.Label())))
}

// effectOf returns what loading the files of a host changes, as a predicate; "" if that is nothing.
func effectOf(h driver.Host) string {
	if h.NFT != nil {
		return fmt.Sprintf("replaces all rules of table %s %s", ir.NFTFamily, ir.NFTTable)
	}
	if len(h.Tables.Programs) == 0 {
		return ""
	}
	effect := iptables.RulesEffect(h.Tables.Programs[0])
	if len(h.Tables.Sets) > 0 {
		effect += ", and " + iptables.SetsEffect(h.Tables.Sets)
	}
	return effect
}

// describeNFT counts the rules and sets of one host with target nftables.
func describeNFT(w io.Writer, t *nftables.Tables) {
	if t.Host != "" {
		escape.Fprintf(w, "host %s:\n", t.Host)
	}
	rules := 0
	for _, c := range t.Chains {
		rules += len(c.Rules)
	}
	escape.Fprintf(w, "  nft   %s in %s\n", words.Count(rules, "rule"), words.Count(len(t.Chains), "chain"))
	var parts []string
	for _, s := range t.Sets {
		switch n := s.Prefixes.Len(); {
		case s.Kind == nftables.Unmanaged:
			parts = append(parts, s.Name+" (unmanaged)")
		case n > 0:
			parts = append(parts, fmt.Sprintf("%s %d", ir.SetName(s.Label, s.Family), n))
		}
	}
	if len(parts) > 0 {
		escape.Fprintf(w, "  sets  %s\n", shortened(parts))
	}
}

// describe counts the rules and sets of one host.
func describe(w io.Writer, rs *iptables.Tables) {
	if rs.Host != "" {
		escape.Fprintf(w, "host %s:\n", rs.Host)
	}
	for _, p := range rs.Programs {
		escape.Fprintf(w, "  %s  %s\n", p.Family, ruleCounts(p))
	}
	if sets := setCounts(rs.Sets); sets != "" {
		escape.Fprintf(w, "  sets  %s\n", sets)
	}
}

// changeCounts is how many files were written and removed.
func changeCounts(changes []folder.Change) string {
	written, removed := 0, 0
	for _, c := range changes {
		if c.Kind == "extra" {
			removed++
		} else {
			written++
		}
	}
	switch {
	case removed == 0:
		return words.Count(written, "file") + " written"
	case written == 0:
		return words.Count(removed, "file") + " removed"
	}
	return fmt.Sprintf("%s written, %d removed", words.Count(written, "file"), removed)
}

// ruleCounts counts the rules of all chains by phase, and apart from them the jumps to folded rules, which accept and
// deny nothing, and the rules of INPUT protection.
func ruleCounts(p *iptables.Program) string {
	rules, input, host, jumps := 0, 0, 0, 0
	phases := map[ir.Phase]int{}
	for _, c := range p.Chains {
		switch c.Scope {
		case ir.ScopeInput, ir.ScopeProxy:
			input += len(c.Rules)
			continue
		case ir.ScopeHost:
			host += len(c.Rules)
			continue
		}
		rules += len(c.Rules)
		for _, r := range c.Rules {
			if r.ID.Leads() {
				jumps++
			} else {
				phases[r.ID.Phase]++
			}
		}
	}
	var parts []string
	for phase := ir.PhaseEstablished; phase <= ir.PhaseEgress; phase++ {
		if n := phases[phase]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, phase))
		}
	}
	if jumps > 0 {
		parts = append(parts, words.Count(jumps, "jump"))
	}
	text := fmt.Sprintf("%s: %s", words.Count(rules, "rule"), strings.Join(parts, ", "))
	switch {
	case host > 0:
		text += fmt.Sprintf("; and %d for packets to the host", input+host)
	case input > 0:
		text += fmt.Sprintf("; and %d for INPUT protection", input)
	}
	return text
}

// setCounts lists the sets with the number of their entries; those of a family that have
// none are left out.
func setCounts(sets []*iptables.Set) string {
	var parts []string
	for _, s := range sets {
		switch n := s.Prefixes.Len() + len(s.Members); {
		case !s.Managed:
			parts = append(parts, s.Name+" (unmanaged)")
		case n > 0:
			parts = append(parts, fmt.Sprintf("%s %d", s.Name, n))
		}
	}
	return shortened(parts)
}

// shortened returns the first parts of a long list.
func shortened(parts []string) string {
	const shown = 12
	if len(parts) > shown {
		parts = append(parts[:shown], fmt.Sprintf("and %d more", len(parts)-shown))
	}
	return strings.Join(parts, ", ")
}
