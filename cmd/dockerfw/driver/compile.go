package driver

import (
	"crypto/sha256"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/policytest"
	"github.com/dockerfw/dockerfw/emit"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/emit/nftables"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// compileHosts returns the hosts with their tables, without files. If the policy already has errors, the hosts only
// get those that are still missing.
func (c *compilation) compileHosts(now time.Time) []Host {
	hosts, broken := make([]Host, len(c.labels)), c.loading.HasErrors()
	c.perHost = c.forEachHost("compiling", func(i int) (diags hcl.Diagnostics) {
		hosts[i], diags = c.compileHost(c.labels[i], now, broken)
		return diags
	})
	if slices.ContainsFunc(c.perHost, hcl.Diagnostics.HasErrors) {
		// The errors of unfinished hosts are reported in the same run.
		c.addErrors(c.forEachHost("compiling", func(i int) (diags hcl.Diagnostics) {
			if hosts[i].unfinished {
				_, diags = c.compileAgain(hosts[i], now)
			}
			return diags
		}))
	}
	return hosts
}

// addErrors adds what is reported about hosts with errors that were not found at first, and returns whether there are any.
func (c *compilation) addErrors(later []hcl.Diagnostics) (found bool) {
	for i, diags := range later {
		if diags.HasErrors() {
			c.perHost[i], found = diags, true
		}
	}
	return found
}

// reported is what was reported so far: before any host was compiled, and about the hosts.
func (c *compilation) reported() hcl.Diagnostics {
	return append(slices.Clip(c.loading), joinHosts(c.labels, c.partial, c.perHost)...)
}

// compileHost evaluates and compiles the policy of one host. After an error it does both
// again and records where values were written, for diagnostics to point there. Recording
// always would slow down all policies that have no error.
func (c *compilation) compileHost(label string, now time.Time, broken bool) (Host, hcl.Diagnostics) {
	policy, diags := c.source.Evaluate(label, now)
	h := Host{label: label, Policy: policy, declared: policy.Host.DeclRange}
	if len(c.labels) > 1 && !diags.HasErrors() {
		h.fingerprint = digest(policy)
	}
	if len(diags) == 0 && !broken {
		if equal := c.equalHost(h.fingerprint); equal != nil {
			h.output = equal.outputFor(label)
			if c.streaming {
				h.Policy = equal.Policy
			}
			return h, nil
		}
	}
	if c.lintEarly && !broken && !diags.HasErrors() {
		c.startLint([]*parser.Policy{policy})
	}
	ruleset, diags := c.lower(policy, diags, broken)
	if ruleset != nil && c.finishesLater() {
		h.Policy, h.unfinished = nil, true
		return h, diags
	}
	out, diags := c.legalize(policy, ruleset, diags)
	if !diags.HasErrors() {
		h.output = out
		return c.keepHost(h, diags), diags
	}
	return Host{}, c.explain(label, now, broken)
}

// explain returns the diagnostics of a host that has an error.
func (c *compilation) explain(label string, now time.Time, broken bool) hcl.Diagnostics {
	policy, origins, diags := c.source.EvaluateOrigins(label, now)
	_, diags = c.compile(policy, diags, broken)
	return origins.Explain(diags)
}

// digest returns the digest of a policy's fingerprint, in which positions and the host's name
// are left out.
func digest(policy *parser.Policy) [sha256.Size]byte {
	sum := sha256.New()
	if err := policy.Fingerprint(sum); err != nil {
		panic(err) // a hash has no errors
	}
	return [sha256.Size]byte(sum.Sum(nil))
}

// outputFor returns the output of a host whose policy differs only in the host's name: nothing
// else in it depends on it. The hosts of a fleet are often equal but for their names.
func (o output) outputFor(label string) output {
	if o.Tables != nil {
		tables := *o.Tables
		tables.Host = label
		o.Tables = &tables
	}
	if o.NFT != nil {
		table := *o.NFT
		table.Host = label
		o.NFT = &table
	}
	return o
}

// maxKeptHosts is the number of hosts with different policies whose tables are kept between
// compiling and printing. Tables of 200 rules take a megabyte; those of further hosts are made when
// they are printed, if the files are not kept either.
const maxKeptHosts = 128

// finishesLater reports whether the tables of further hosts are made when they are printed.
func (c *compilation) finishesLater() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.finishLater && c.room == 0
}

// equalHost returns a host of which nothing was reported whose policy has the fingerprint, or
// nil.
func (c *compilation) equalHost(fingerprint [sha256.Size]byte) *Host {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.equal[fingerprint]
}

// keepHost keeps a compiled host for those that are equal, unless something was reported: the
// positions in a report are those of each host. While streaming, it returns hosts that do not
// fit into memory without policy and tables.
func (c *compilation) keepHost(h Host, diags hcl.Diagnostics) Host {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.room == 0 {
		if c.streaming {
			h.Policy, h.output = nil, output{}
		}
		return h
	}
	c.room--
	if len(diags) == 0 {
		kept := h
		c.equal[h.fingerprint] = &kept
	}
	return h
}

// compileAgain returns a host that keepHost did not keep, or that is unfinished, or all that is reported about a host with
// errors.
func (c *compilation) compileAgain(h Host, now time.Time) (Host, hcl.Diagnostics) {
	policy, diags := c.source.Evaluate(h.label, now)
	out, diags := c.compile(policy, diags, false)
	if diags.HasErrors() {
		return h, c.explain(h.label, now, false)
	}
	h.Policy, h.output = policy, out
	return h, nil
}

// compile returns the output of an evaluated policy and adds to the diagnostics of its
// evaluation. There is none after an error.
func (c *compilation) compile(policy *parser.Policy, diags hcl.Diagnostics, broken bool) (output, hcl.Diagnostics) {
	ruleset, diags := c.lower(policy, diags, broken)
	return c.legalize(policy, ruleset, diags)
}

// lower is the first part of compile. It returns nil after an error.
func (c *compilation) lower(policy *parser.Policy, diags hcl.Diagnostics, broken bool) (*ir.Ruleset, hcl.Diagnostics) {
	diags = append(diags, policytest.Check(policy)...)
	if broken || diags.HasErrors() {
		return nil, append(diags, compiler.CheckLists(policy, c.lists)...)
	}
	ruleset, more := compiler.Compile(policy, c.lists)
	return ruleset, append(diags, more...)
}

// legalize is the second part of compile, whose diagnostics are all errors. The ruleset is nil after an error in the first.
func (c *compilation) legalize(policy *parser.Policy, ruleset *ir.Ruleset, diags hcl.Diagnostics) (output, hcl.Diagnostics) {
	if ruleset == nil {
		return output{}, diags
	}
	var more hcl.Diagnostics
	out := output{of: policy.Host.DeclRange}
	if ruleset.Target == ir.TargetNFTables {
		out.NFT, more = nftables.Legalize(ruleset)
	} else {
		out.Tables, more = iptables.Legalize(ruleset, c.options)
	}
	return out, append(diags, more...)
}

// emitFiles adds the files to the hosts and proves them, passes them to Options.Emit, or drops them. It returns what is
// reported about hosts with errors. It needs all hosts compiled: only then have all input files been read, whose digests
// are in every manifest.
func (c *compilation) emitFiles(hosts []Host, opts Options) []hcl.Diagnostics {
	inputs := c.emitSource(len(hosts))
	inputs.Large = opts.Emit != nil || opts.PoliciesOnly
	proofs := newProofCache(c.addresses, len(hosts), opts.Lines)
	return c.forEachHost("proving", func(i int) hcl.Diagnostics {
		h, diags := c.emit(hosts[i], opts.Now, inputs)
		if diags.HasErrors() {
			return diags
		}
		if diags := proofs.prove(h); diags.HasErrors() {
			return diags
		}
		if opts.Emit != nil {
			for _, f := range h.Files {
				if err := opts.Emit(h.path(f), f); err != nil {
					c.stop(err)
					break
				}
			}
			h.Files = nil
			if i >= DescribedHosts {
				h.Policy, h.output = nil, output{}
			}
		}
		if opts.PoliciesOnly {
			h.Files, h.output = nil, output{}
		}
		hosts[i] = h
		return nil
	})
}

// emit returns a host with its files, which are not proved yet.
func (c *compilation) emit(h Host, now time.Time, source emit.Source) (Host, hcl.Diagnostics) {
	if h.output == (output{}) {
		var diags hcl.Diagnostics
		if h, diags = c.compileAgain(h, now); diags.HasErrors() {
			return h, diags
		}
	}
	host := h.Policy.Host
	source.External, source.Container, source.Internal = parser.Values(host.ExternalInterfaces), parser.Values(host.ContainerInterfaces), parser.Values(host.InternalInterfaces)
	print := func() ([]folder.File, error) { return emit.Files(h.Tables, source) }
	like := func(files []folder.File, label string) ([]folder.File, error) {
		return emit.FilesLike(files, label, h.Tables, source)
	}
	if h.NFT != nil {
		print = func() ([]folder.File, error) { return emit.NFTFiles(h.NFT, source) }
		like = func(files []folder.File, label string) ([]folder.File, error) {
			return emit.NFTFilesLike(files, label, h.NFT, source)
		}
	}
	var err error
	if h.Files, err = c.equalHosts.files(h, print, like); err != nil {
		return h, hcl.Diagnostics{internalError(err)}
	}
	h.key = keyOf(h)
	return h, nil
}

// stopped reports whether a file could not be written.
func (c *compilation) stopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.emitError != nil
}

// stop keeps the first error of writing a file.
func (c *compilation) stop(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.emitError == nil {
		c.emitError = err
	}
}

// emitSource returns the version, the policy and the digests for the manifests of so many hosts.
func (c *compilation) emitSource(hosts int) emit.Source {
	out := emit.Source{Version: Version, Policy: c.source.Names}
	if hosts > 1 {
		out.Elements = &iptables.Elements{}
	}
	digests := c.source.Digests()
	for _, name := range slices.Sorted(maps.Keys(digests)) {
		out.Inputs = append(out.Inputs, folder.Input{Name: name, SHA256: digests[name]})
	}
	return out
}

// internalError returns a diagnostic for a fault of dockerfw without a place in the policy.
func internalError(err error) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "internal error", Detail: err.Error(), Extra: diag.Info{Code: diag.CodeInternal}}
}
