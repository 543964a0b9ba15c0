package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// summary says what came out, what loading it replaces, and how to load it.
func summary(w io.Writer, result *driver.Result, policy string, changes []folder.Change, output string) {
	if len(changes) == 0 {
		escape.Fprintf(w, "%s is what %s compiles to already; nothing was written.\n", output, policy)
		return
	}
	escape.Fprintf(w, "Compiled %s to %s: %s.\n", policy, output, changeCounts(changes))
	const shown = 3 // of a fleet, the first few stand for the rest
	for i, host := range result.Hosts {
		if i == shown && len(result.Hosts) > shown+1 {
			escape.Fprintf(w, "and %d more hosts.\n", len(result.Hosts)-shown)
			break
		}
		describe(w, host.Tables)
	}
	first := result.Hosts[0].Tables
	if len(first.Programs) == 0 {
		return
	}
	effect := iptables.RulesEffect(first.Programs[0])
	if len(first.Sets) > 0 {
		effect += ", and " + iptables.SetsEffect(first.Sets)
	}
	escape.Fprintf(w, "Loading %s.\n", effect)
	if first.Host == "" {
		escape.Fprintf(w, "Next, as root on the host:\n")
	} else {
		escape.Fprintf(w, "Next, as root on each host, here %s:\n", first.Host)
	}
	escape.Fprintf(w, "  %s\n", loadCommand(filepath.Join(output, first.Host)))
}

// describe counts what one host loads.
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

// changeCounts says how many files were written, and how many went away.
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

// ruleCounts counts the rules of all chains by phase, but for the guard's.
func ruleCounts(p *iptables.Program) string {
	rules, guard := 0, 0
	phases := map[ir.Phase]int{}
	for _, c := range p.Chains {
		if c.Name == ir.InputChain || c.Name == ir.ProxyChain {
			guard += len(c.Rules)
			continue
		}
		rules += len(c.Rules)
		for _, r := range c.Rules {
			phases[r.ID.Phase]++
		}
	}
	var parts []string
	for phase := ir.PhaseEstablished; phase <= ir.PhaseEgress; phase++ {
		if n := phases[phase]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, phase))
		}
	}
	text := fmt.Sprintf("%s: %s", words.Count(rules, "rule"), strings.Join(parts, ", "))
	if guard > 0 {
		text += fmt.Sprintf("; and %d that guard docker-proxy", guard)
	}
	return text
}

// setCounts lists the sets with how much they hold; empty halves of a set are left out.
func setCounts(sets []*iptables.Set) string {
	var parts []string
	for _, s := range sets {
		switch n := len(s.Prefixes) + len(s.Members); {
		case !s.Managed:
			parts = append(parts, s.Name+" (filled by others)")
		case n > 0:
			parts = append(parts, fmt.Sprintf("%s %d", s.Name, n))
		}
	}
	const shown = 12
	if len(parts) > shown {
		parts = append(parts[:shown], fmt.Sprintf("and %d more", len(parts)-shown))
	}
	return strings.Join(parts, ", ")
}

// loadCommand is what loads what was compiled for one host.
func loadCommand(dir string) string { return shellWord(filepath.Join(dir, folder.ApplyScript)) }

// shellWord quotes s for a POSIX shell where it has to be.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./+:@%,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
