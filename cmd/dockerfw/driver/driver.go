package driver

import (
	"context"
	"crypto/sha256"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/sync/errgroup"

	"github.com/dockerfw/dockerfw/compiler"
	"github.com/dockerfw/dockerfw/compiler/lint"
	"github.com/dockerfw/dockerfw/compiler/semantics"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/emit/nftables"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/files"
)

// Version of dockerfw, written into manifests. It has no build stamp: the same release
// compiles a policy to the same bytes wherever it was built.
const Version = "0.1.0"

// Options of a compilation.
type Options struct {
	Inputs parser.Inputs
	// AllowOutside lets the policy use files outside its directory.
	AllowOutside bool
	// Tree contains the policy and the files it uses; nil means the disk.
	Tree files.Tree
	// Fold determines which rules are folded.
	Fold iptables.Options
	// Hosts are the labels of the hosts to compile; none means all.
	Hosts []string
	// Now is the time at which rules can have expired; zero means that none has. It can
	// cause errors and warnings, but never changes a byte of the output.
	Now time.Time
	// Lint finds what [Result.Lint] returns while the hosts are proved, or a single host is compiled: that alone does
	// not occupy all processors.
	Lint bool
	// PoliciesOnly leaves the hosts of the result without Files, Tables and NFT, which are dropped as soon as a host is
	// proved: for callers that need nothing but what is wrong with the policy. It is not for Emit.
	PoliciesOnly bool
	// Lines are those of compiled text that was read before, to share them with other policies; nil for none.
	Lines *Lines
	// Progress, if not nil, is called when a stage begins and after each host of it, for several
	// hosts at a time, and with the zero Progress when the work ends.
	Progress func(Progress)
	// Context, if not nil, ends the work between two hosts when it is done. The EmitError of
	// the result is then its cause.
	Context context.Context
	// Emit, if not nil, is called with each file of each host as soon as the host is proved,
	// for several hosts at a time. path is that in the output folder. The hosts of the result
	// then have no Files, and after the first [DescribedHosts] no Policy and neither Tables nor NFT: those of
	// a large fleet do not fit into memory. It may have been called although there is an error for another host.
	Emit func(path string, file folder.File) error
}

// Progress is how far a compilation has got: a stage, such as "compiling", and the number of its hosts.
type Progress struct {
	Stage       string
	Done, Total int
}

// DescribedHosts is the number of hosts of which a summary needs more than the name.
const DescribedHosts = 4

// Host is one host of the policy and its output.
type Host struct {
	Policy *parser.Policy
	output
	Files []folder.File

	label string
	// unfinished means that it has been compiled without errors, but for its tables.
	unfinished bool
	// declared is its host block.
	declared hcl.Range
	// fingerprint is that of its policy, zero if there is only one host.
	fingerprint [sha256.Size]byte
	// key identifies what its proof depends on.
	key Key
}

// output is what a host loads, before it is printed.
type output struct {
	// Tables are those of a host with target iptables, and NFT is the table of one with target nftables: the
	// other is nil.
	Tables *iptables.Tables
	NFT    *nftables.Tables
	// of is the host block of the policy that it was compiled from: equal hosts share their output.
	of hcl.Range
}

// Policy compiles the policy at name for its hosts. The Hosts of the result are nil if
// there is an error for any of them.
func Policy(name string, opts Options) (*Result, hcl.Diagnostics) {
	opts = opts.withDefaults()
	defer func() { opts.Progress(Progress{}) }()
	c, hosts, diags := begin(name, opts, opts.Emit != nil, maxKeptHosts)
	result := &Result{Sources: c.sources, Partial: c.partial, addresses: c.addresses}
	if hosts == nil {
		result.EmitError = c.emitError
		return result, diag.Unique(diags)
	}
	source := c.source
	defer source.Close()
	if opts.Lint && c.findings == nil {
		c.startLint(distinctPolicies(hosts))
	}
	result.findings = c.findings
	var more hcl.Diagnostics
	result.ignores, more = source.Ignores()
	result.unused = append(source.UnusedNames(), more...)
	if len(hosts) <= maxKeptHosts {
		source.Forget() // no host is compiled twice
	}
	if c.addErrors(c.emitFiles(hosts, opts)) {
		return result, diag.Unique(c.reported())
	}
	result.EmitError = c.emitError
	result.Hosts = hosts
	return result, parser.Silence(diag.Unique(diags), result.ignores)
}

func (o Options) withDefaults() Options {
	if o.Tree == nil {
		o.Tree = files.Disk
	}
	if o.Context == nil {
		o.Context = context.Background()
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	return o
}

// begin reads the policy at name and compiles its hosts, of which it keeps so many for a stream: see
// keepHost. With opts.Emit, errors of the rest may be found when they are printed. The hosts are nil if there is an
// error for any of them, or if the work was stopped; else the caller closes the source.
func begin(name string, opts Options, streaming bool, kept int) (*compilation, []Host, hcl.Diagnostics) {
	opts.Progress(Progress{Stage: "reading the policy"})
	source, diags := parser.LoadFrom(opts.Tree, name, opts.Inputs, opts.AllowOutside)
	c := &compilation{ctx: opts.Context, progress: opts.Progress, source: source, sources: source.Sources(), options: opts.Fold, streaming: streaming, finishLater: opts.Emit != nil, room: kept, equal: map[[sha256.Size]byte]*Host{}}
	if !source.Evaluable() {
		return c, nil, diags
	}
	labels, more := chooseHosts(source.Hosts(), opts.Hosts)
	c.loading = append(diags, more...)
	c.labels, c.partial = labels, len(labels) < len(source.Hosts())
	c.lintEarly = opts.Lint && len(labels) == 1
	c.lists = compiler.NewLists(source.Dir)
	c.addresses = semantics.NewLists(c.lists.Ranges, c.lists.Merged)
	hosts := c.compileHosts(opts.Now)
	if diags = c.reported(); diags.HasErrors() || c.stopped() {
		source.Close()
		return c, nil, diags
	}
	c.equal, c.equalHosts = nil, newEqualHosts(hosts)
	return c, hosts, diags
}

// compilation is the state of one call of Policy.
type compilation struct {
	ctx      context.Context
	progress func(Progress)
	source   *parser.Source
	// sources are the contents of its files when it was read.
	sources map[string][]byte
	lists   *compiler.Lists
	options iptables.Options
	// addresses are those of lists for the semantics.
	addresses *semantics.Lists
	// labels are those of the hosts to compile; partial means that the policy has others.
	labels  []string
	partial bool

	// lintEarly is set if package lint can begin when the only host is evaluated; findings are what it finds.
	lintEarly bool
	findings  func() hcl.Diagnostics

	// streaming means that nothing is kept of a host once its files are written, and before that
	// only of the first hosts: room is how many more.
	streaming bool
	room      int
	// loading is what was reported before any host was compiled, and perHost about each host then.
	loading hcl.Diagnostics
	perHost []hcl.Diagnostics
	// finishLater means that the tables of hosts for which there is no room are only made when they are printed.
	finishLater bool

	mu sync.Mutex
	// equal are compiled hosts by the fingerprint of their policies, while hosts are compiled.
	equal map[[sha256.Size]byte]*Host
	// equalHosts has files of hosts while they are printed.
	equalHosts *equalHosts
	// emitError is the first error of Options.Emit.
	emitError error
}

// startLint begins to look for what Result.Lint returns. The policies may turn out to have errors.
func (c *compilation) startLint(policies []*parser.Policy) {
	findings := sync.OnceValue(func() hcl.Diagnostics { return lint.Hosts(policies, c.addresses) })
	c.findings = findings
	go func() {
		defer func() { _ = recover() }() // findings panics again when it is asked
		findings()
	}()
}

// forEachHost calls work for all hosts, as many at a time as there are processors, and
// returns the diagnostics of each. It skips hosts once the work is stopped.
func (c *compilation) forEachHost(stage string, work func(i int) hcl.Diagnostics) []hcl.Diagnostics {
	perHost := make([]hcl.Diagnostics, len(c.labels))
	var done atomic.Int64
	c.progress(Progress{Stage: stage, Total: len(c.labels)})
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range c.labels {
		group.Go(func() error {
			if c.ctx.Err() != nil {
				c.stop(context.Cause(c.ctx))
				return nil
			}
			if !c.stopped() {
				perHost[i] = work(i)
				c.progress(Progress{Stage: stage, Done: int(done.Add(1)), Total: len(c.labels)})
			}
			return nil
		})
	}
	_ = group.Wait() // work returns no errors
	return perHost
}
