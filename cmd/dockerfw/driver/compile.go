package driver

import (
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler"
	"github.com/dockerfw/dockerfw/compiler/policytest"
	"github.com/dockerfw/dockerfw/emit"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// compileHosts returns the hosts with their tables, without files. broken means that the
// policy already has errors: the hosts then only get those that are still missing.
func (c *compilation) compileHosts(now time.Time, broken bool) ([]Host, hcl.Diagnostics) {
	hosts := make([]Host, len(c.labels))
	diags := c.forEachHost(func(i int) (diags hcl.Diagnostics) {
		hosts[i], diags = c.compileHost(c.labels[i], now, broken)
		return diags
	})
	return hosts, diags
}

// compileHost evaluates and compiles the policy of one host. After an error it does both
// again and records where values were written, for diagnostics to point there. Recording
// always would slow down all policies that have no error.
func (c *compilation) compileHost(label string, now time.Time, broken bool) (Host, hcl.Diagnostics) {
	policy, diags := c.source.Evaluate(label, now)
	tables, diags := compile(policy, diags, c.lists, broken)
	if !diags.HasErrors() {
		return Host{Policy: policy, Tables: tables}, diags
	}
	policy, origins, diags := c.source.EvaluateOrigins(label, now)
	_, diags = compile(policy, diags, c.lists, broken)
	return Host{}, origins.Explain(diags)
}

// compile returns the tables of an evaluated policy and adds to the diagnostics of its
// evaluation. The tables are nil if there is an error.
func compile(policy *parser.Policy, diags hcl.Diagnostics, lists *compiler.Lists, broken bool) (*iptables.Tables, hcl.Diagnostics) {
	diags = append(diags, policytest.Check(policy)...)
	if broken || diags.HasErrors() {
		return nil, append(diags, compiler.CheckLists(policy, lists)...)
	}
	ruleset, more := compiler.Compile(policy, lists)
	if diags = append(diags, more...); ruleset == nil {
		return nil, diags
	}
	tables, more := iptables.Legalize(ruleset)
	return tables, append(diags, more...)
}

// emitFiles adds the files to the hosts and proves them. It needs all hosts compiled: only
// then have all input files been read, whose digests are in every manifest.
func (c *compilation) emitFiles(hosts []Host) hcl.Diagnostics {
	inputs := emitSource(c.source)
	proofs := newProofCache(c.addresses)
	return c.forEachHost(func(i int) hcl.Diagnostics {
		h := &hosts[i]
		var err error
		if h.Files, err = emit.Files(h.Tables, inputs); err != nil {
			return hcl.Diagnostics{internalError(err)}
		}
		text := iptablesText(h.Files)
		if h.key, err = proofKey(h.Policy, text); err != nil {
			return hcl.Diagnostics{internalError(err)}
		}
		return proofs.prove(*h, text)
	})
}

// emitSource returns the version, the policy and the digests for the manifests.
func emitSource(source *parser.Source) emit.Source {
	out := emit.Source{Version: Version, Policy: source.Names}
	digests := source.Digests()
	for _, name := range slices.Sorted(maps.Keys(digests)) {
		out.Inputs = append(out.Inputs, folder.Input{Name: name, SHA256: digests[name]})
	}
	return out
}

// internalError returns a diagnostic for a fault of dockerfw without a place in the policy.
func internalError(err error) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "internal error", Detail: err.Error(), Extra: diag.Info{Code: diag.CodeInternal}}
}
