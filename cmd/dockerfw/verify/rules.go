package verify

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/folder"
	diskfiles "github.com/dockerfw/dockerfw/parser/files"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// files compares a compiled folder with the digests in its manifest.
func files(h *hosts) (result, error) {
	dir := h.want.Name
	text, err := diskfiles.Read(diskfiles.Disk, filepath.Join(dir, folder.ManifestFile))
	if err != nil {
		return failed("%v", err)
	}
	manifest, err := folder.ParseManifest(text)
	if err != nil {
		return failed("%v", err)
	}
	slashed := strings.TrimSuffix(dir, "/") + "/"
	var faults []string
	for _, f := range manifest.Files {
		text, err := diskfiles.Read(diskfiles.Disk, filepath.Join(dir, f.Name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			faults = append(faults, f.Name+" is missing")
		case err != nil:
			faults = append(faults, err.Error())
		case folder.Digest(text) != f.SHA256:
			faults = append(faults, f.Name+" differs")
		}
	}
	if len(faults) > 0 {
		return failed("%s was changed after compiling: %s. Compile again", slashed, strings.Join(faults, ", "))
	}
	return ok("%s is unchanged since it was compiled", slashed)
}

// chainsShown is the number of chains that a check lists: folded rules have many.
const chainsShown = 6

// rules compares the rules of dockerfw in each chain.
func rules(h *hosts) (result, error) {
	f := h.family
	if h.have.Rules[f] == nil {
		return failed("%s has no saved %s rules", h.have.Name, words.Family(f))
	}
	chains := h.want.Own[f]
	if h.want.Install == ir.InstallInsert {
		chains = append([]string{h.want.Target}, chains...)
	}
	total := 0
	var faults []string
	for _, chain := range chains {
		want, have := ownRules(h.want.Filter(f).Chain(chain), f), ownRules(h.have.Filter(f).Chain(chain), f)
		total += len(want)
		switch {
		case h.have.Filter(f).Chain(chain) == nil:
			faults = append(faults, "chain "+chain+" is missing")
		case !slices.Equal(want, have):
			faults = append(faults, "chain "+chain+" "+difference(want, have))
		}
	}
	if len(faults) > 0 {
		return failed("%s", strings.Join(faults, "; "))
	}
	return ok("%s, complete and in order, in %s", words.Count(total, "rule"), words.List(chains, chainsShown))
}

// ownRules are the rules of dockerfw in a chain, as iptables-save prints them.
func ownRules(c *iptables.Chain, f ir.Family) []string {
	var out []string
	if c == nil {
		return nil
	}
	for _, r := range c.Rules {
		if identity.Ours(r) {
			out = append(out, r.Canonical(iptables.Family(f)))
		}
	}
	return out
}

// difference describes how the rules of a chain differ.
func difference(want, have []string) string {
	missing, extra := without(want, have), without(have, want)
	switch {
	case len(have) == 0:
		return "has none of its " + words.Count(len(want), "rule")
	case len(missing) > 0 && len(extra) > 0:
		return fmt.Sprintf("lacks %s (%s) and has %s of another version (%s)", words.Count(len(missing), "rule"), oneOf(missing), words.Count(len(extra), "rule"), oneOf(extra))
	case len(missing) > 0:
		return fmt.Sprintf("lacks %s%s", words.Count(len(missing), "rule"), sample(missing))
	case len(extra) > 0:
		return fmt.Sprintf("has %s of another version%s", words.Count(len(extra), "rule"), sample(extra))
	case len(want) != len(have):
		return fmt.Sprintf("has duplicate rules: %d instead of %d", len(have), len(want))
	}
	return "has its rules in another order"
}

// oneOf is the first of some rules, as an example if there are more.
func oneOf(rules []string) string {
	if len(rules) > 1 {
		return "such as " + rules[0]
	}
	return rules[0]
}

// sample is oneOf for the end of a clause.
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

// order checks the insertion-order invariant on the rules of dockerfw that the host has.
func order(h *hosts) (result, error) {
	found := false
	for _, chain := range h.have.Filter(h.family).Chains {
		var ids []ir.RuleID
		for _, r := range chain.Rules {
			comment := r.Comment()
			if !ir.IsComment(comment) {
				continue
			}
			id, known := ir.ParseComment(comment)
			if !known {
				return failed("chain %s: %s: comment %q is not one of dockerfw's", chain.Name, r.Text, comment)
			}
			ids = append(ids, id)
			found = true
		}
		if err := ir.CheckOrder(ids); err != nil {
			return failed("chain %s: %v", chain.Name, err)
		}
	}
	if !found {
		return nothing("%s has no rules of dockerfw", h.have.Name)
	}
	return ok("established, deny, accept, default")
}

// foreign looks for foreign rules in the chains that belong to dockerfw alone.
func foreign(h *hosts) (result, error) {
	var found, in []string
	for _, chain := range h.want.Own[h.family] {
		for _, r := range identity.ForeignRules(h.have.Filter(h.family).Chain(chain)) {
			found = append(found, "-A "+chain+" "+r.Canonical(iptables.Family(h.family)))
			if !slices.Contains(in, chain) {
				in = append(in, chain)
			}
		}
	}
	if len(found) > 0 {
		return failed("%s contains %s that dockerfw did not create; loading would delete %s%s. To keep foreign rules, set install = \"jump\"",
			strings.Join(in, ", "), words.Count(len(found), "rule"), map[bool]string{true: "it", false: "them"}[len(found) == 1], sample(found))
	}
	if len(h.want.Own[h.family]) == 0 {
		return nothing("dockerfw has no chain of its own here: its rules are inserted into %s", h.want.Target)
	}
	existing := slices.DeleteFunc(slices.Clone(h.want.Own[h.family]), func(chain string) bool { return h.have.Filter(h.family).Chain(chain) == nil })
	if len(existing) == 0 {
		return nothing("none of dockerfw's chains exists")
	}
	return ok("no foreign rules in %s", words.List(existing, chainsShown))
}
