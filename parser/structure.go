package parser

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// Hosts returns the valid labels of host blocks in the order written; "" for an unlabeled
// host.
func (s *Source) Hosts() []string {
	var out []string
	for _, b := range s.blocks["host"] {
		if label := hostLabel(b); s.hosts[label] == b {
			out = append(out, label)
		}
	}
	return out
}

func hostLabel(b *hcl.Block) string {
	if len(b.Labels) == 0 {
		return ""
	}
	return b.Labels[0]
}

// hasLabeledHost reports whether the host blocks of a file have labels.
func hasLabeledHost(body hcl.Body) bool {
	if native, ok := body.(*hclsyntax.Body); ok {
		return slices.ContainsFunc(native.Blocks, func(b *hclsyntax.Block) bool {
			return b.Type == "host" && len(b.Labels) > 0
		})
	}
	// In JSON a label looks like an attribute: a host has labels if none of its keys is an
	// attribute of host.
	content, _, _ := body.PartialContent(policySchema.bodySchema(false))
	for _, b := range content.Blocks.OfType(hostSchema.Type) {
		attrs, _ := b.Body.JustAttributes()
		known := slices.ContainsFunc(hostSchema.Attributes, func(a Attribute) bool { return attrs[a.Name] != nil })
		if len(attrs) > 0 && !known {
			return true
		}
	}
	return false
}

// structure sets the blocks and hosts of the policy, and checks what is the same for all
// hosts: how often a block occurs, and its name.
func (s *Source) structure(found hcl.Blocks) hcl.Diagnostics {
	diags := checkCounts(found, policySchema)
	var nested [2]hcl.Blocks
	for i, schema := range []*Block{egressSchema, inputSchema} {
		for _, b := range found.OfType(schema.Type) {
			content, more := b.Body.Content(schema.bodySchema(false))
			diags = append(diags, explainSchema(more, schema)...)
			nested[i] = append(nested[i], content.Blocks...)
		}
		diags = append(diags, checkCounts(nested[i], schema)...)
	}
	inEgress, inInput := nested[0], nested[1]

	hosts, more := findHosts(found.OfType(hostSchema.Type))
	s.hosts = hosts
	diags = append(diags, more...)
	if len(found.OfType(hostSchema.Type)) == 0 {
		diags = append(diags, diag.New(diag.CodeSchema, hcl.Range{Filename: s.Dir.Display(s.Names[0]), Start: hcl.InitialPos, End: hcl.InitialPos},
			"no host block",
			"A policy needs the interfaces on which traffic from outside arrives. Add:\n\n  host {\n    external_interfaces = [\"eth0\"]\n  }"))
	}
	repeated := map[*hcl.Block]bool{}
	for _, named := range []struct {
		what   string
		blocks []*hcl.Block
		check  func(name string) string
	}{
		{"ipset", found.OfType(ipsetSchema.Type), checkSetName},
		{"variable", found.OfType(variableSchema.Type), checkVariableName},
		{"test", found.OfType(testSchema.Type), checkTestName},
		{"rule", slices.Concat(rulesAmong(found), rulesAmong(inEgress), rulesAmong(inInput)), checkRuleName},
	} {
		again, more := checkNames(named.blocks, named.what, named.check)
		for _, b := range again {
			repeated[b] = true
		}
		diags = append(diags, more...)
	}
	s.blocks, s.egress, s.input = byType(found, repeated), byType(inEgress, repeated), byType(inInput, repeated)
	return diags
}

// rulesAmong returns the deny and accept blocks in the order in which they were written.
func rulesAmong(blocks hcl.Blocks) []*hcl.Block {
	return rulesIn(byType(blocks, nil))
}

// rulesIn is rulesAmong for blocks by type.
func rulesIn(blocks map[string][]*hcl.Block) []*hcl.Block {
	rules := slices.Concat(blocks[denySchema.Type], blocks[acceptSchema.Type])
	slices.SortStableFunc(rules, func(a, b *hcl.Block) int { return compareRanges(a.DefRange, b.DefRange) })
	return rules
}

// byType sorts blocks by their types and leaves some out.
func byType(blocks hcl.Blocks, without map[*hcl.Block]bool) map[string][]*hcl.Block {
	out := map[string][]*hcl.Block{}
	for _, b := range blocks {
		if !without[b] {
			out[b.Type] = append(out[b.Type], b)
		}
	}
	return out
}

// Evaluable reports whether hosts can be evaluated to find more errors, although Load
// returned some.
func (s *Source) Evaluable() bool { return len(s.hosts) > 0 }

// findHosts returns the hosts by label: one without a label, or any number with one each.
func findHosts(blocks []*hcl.Block) (map[string]*hcl.Block, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	hosts, folded := map[string]*hcl.Block{}, map[string]*hcl.Block{}
	for _, b := range blocks {
		label, rng := hostLabel(b), b.DefRange
		if len(b.Labels) > 0 {
			rng = b.LabelRanges[0]
			if problem := checkHostName(label); problem != "" {
				diags = append(diags, diag.New(diag.CodeName, rng, fmt.Sprintf("bad name %q", label), problem))
				continue
			}
		}
		other, dup := hosts[label]
		switch {
		case dup && label == "":
			diags = append(diags, diag.WithRelated(
				diag.New(diag.CodeDuplicate, rng, "second host block", "Give each host a label, host \"web1\" { … } and host \"web2\" { … }, or merge the two."),
				"the first one", other.DefRange))
		case dup:
			diags = append(diags, diag.WithRelated(
				diag.New(diag.CodeDuplicate, rng, fmt.Sprintf("second host %q", label), "Each host needs a label of its own. Rename one of the two."),
				"the first one", other.LabelRanges[0]))
		case folded[strings.ToLower(label)] != nil:
			other = folded[strings.ToLower(label)]
			diags = append(diags, diag.WithRelated(
				diag.New(diag.CodeDuplicate, rng, fmt.Sprintf("host %q differs from %q only in case", label, hostLabel(other)),
					"Labels are names of output folders, and file systems such as those of macOS and Windows ignore case. Rename one of the two."),
				"the other one", other.LabelRanges[0]))
		default:
			hosts[label] = b
			folded[strings.ToLower(label)] = b
		}
	}
	if unlabeled := hosts[""]; unlabeled != nil && len(hosts) > 1 {
		diags = append(diags, diag.New(diag.CodeDuplicate, unlabeled.DefRange, "host without a label beside labeled ones", "The label is the name of the host's output folder. Give this one a label too."))
	}
	return hosts, diags
}

// checkNames checks the names of blocks, and returns those that have the name of an earlier
// one. Evaluating these too would report their errors twice.
func checkNames(blocks []*hcl.Block, what string, check func(string) string) ([]*hcl.Block, hcl.Diagnostics) {
	var repeated []*hcl.Block
	var diags hcl.Diagnostics
	first := map[string]*hcl.Block{}
	for _, b := range blocks {
		name, rng := b.Labels[0], b.LabelRanges[0]
		if problem := check(name); problem != "" {
			diags = append(diags, diag.New(diag.CodeName, rng, fmt.Sprintf("bad name %q", name), problem))
		} else if other := first[name]; other != nil {
			repeated = append(repeated, b)
			diags = append(diags, diag.WithRelated(
				diag.New(diag.CodeDuplicate, rng, fmt.Sprintf("second %s %q", what, name), fmt.Sprintf("Each %s needs a name of its own. Rename one of the two.", what)),
				"the first one", other.LabelRanges[0]))
		} else {
			first[name] = b
		}
	}
	return repeated, diags
}

func compareRanges(a, b hcl.Range) int {
	if c := strings.Compare(a.Filename, b.Filename); c != 0 {
		return c
	}
	return a.Start.Byte - b.Start.Byte
}
