package driver

import (
	"crypto/sha256"
	"path"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/lint"
	"github.com/dockerfw/dockerfw/compiler/policytest"
	"github.com/dockerfw/dockerfw/compiler/semantics"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// Result is the output of a policy.
type Result struct {
	Hosts []Host
	// EmitError is the first error of Options.Emit, or the cause for which Options.Context
	// was done. Emit was not called again.
	EmitError error
	// Partial reports whether Options.Hosts left out hosts of the policy.
	Partial bool
	// Sources are the contents of the policy's files, to print diagnostics with.
	Sources map[string][]byte

	addresses *semantics.Lists
	ignores   []*parser.Ignore
	// findings are those of package lint with [Options.Lint], else nil.
	findings func() hcl.Diagnostics
	// unused are warnings of unused variables and locals, which only Lint reports.
	unused hcl.Diagnostics
}

// Lint returns the warnings that compiling does not report, except for those that comments
// in the policy silence, and warnings of comments that silence nothing.
func (r *Result) Lint() hcl.Diagnostics {
	findings := r.findings
	if findings == nil {
		findings = func() hcl.Diagnostics { return lint.Hosts(distinctPolicies(r.Hosts), r.addresses) }
	}
	diags := parser.Silence(slices.Concat(findings(), r.unused), r.ignores)
	if r.Partial {
		// A comment may silence a warning of a host that was left out.
		return diags
	}
	return append(diags, parser.Unused(r.ignores)...)
}

// Join joins diagnostics about the hosts, in their order, that were found by other means than
// compiling: those that several hosts have become one, and comments in the policy silence
// warnings. It is called before Lint, which reports comments that silence nothing.
func (r *Result) Join(perHost []hcl.Diagnostics) hcl.Diagnostics {
	var labels []string
	for _, h := range r.Hosts {
		labels = append(labels, h.Policy.Host.Name)
	}
	return parser.Silence(diag.Unique(joinHosts(labels, r.Partial, perHost)), r.ignores)
}

// distinctPolicies returns the policies of hosts without those that differ only in the host's
// name, as in a fleet of equal hosts.
func distinctPolicies(hosts []Host) []*parser.Policy {
	var out []*parser.Policy
	seen := map[[sha256.Size]byte]bool{}
	for _, h := range hosts {
		if !seen[h.fingerprint] {
			seen[h.fingerprint] = true
			out = append(out, h.Policy)
		}
	}
	return out
}

// Policies returns the policies of all hosts, in their order.
func (r *Result) Policies() []*parser.Policy {
	var out []*parser.Policy
	for _, h := range r.Hosts {
		out = append(out, h.Policy)
	}
	return out
}

// Test returns the results of the test blocks of all hosts. It fails if those about several
// clients take too much memory.
func (r *Result) Test() ([]policytest.Result, error) {
	var out []policytest.Result
	for _, h := range r.Hosts {
		results, err := policytest.Run(h.Policy, r.addresses)
		if err != nil {
			return nil, err
		}
		out = append(out, results...)
	}
	return out, nil
}

// path returns the path of a file in the output folder.
func (h *Host) path(f folder.File) string { return path.Join(h.Label(), f.Name) }

// Label is the label of the host block, "" for the unlabeled one.
func (h *Host) Label() string { return h.label }

// Declared is the host block.
func (h *Host) Declared() hcl.Range { return h.declared }

// Place returns where an origin in the output is in the policy. Rules of blocks that the policy does not have are at
// its host block, and those of a host that shares the output of an equal one at the block of that.
func (h *Host) Place(origin ir.Origin) hcl.Range {
	if origin.Range == h.of {
		return h.declared
	}
	return origin.Range
}

// Folder returns the contents of the output folder of all hosts.
func (r *Result) Folder() folder.Contents {
	all := folder.Contents{}
	for _, h := range r.Hosts {
		for _, f := range h.Files {
			all[h.path(f)] = f.Content
		}
	}
	return all
}
