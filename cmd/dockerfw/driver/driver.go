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
	// Lint finds what [Result.Lint] returns while the hosts are proved: a proof alone does not occupy all
	// processors.
	Lint bool
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
	// fingerprint is that of its policy.
	fingerprint [sha256.Size]byte
	// key is the digest of what its proof depends on; see proofKey.
	key [sha256.Size]byte
}

// output is what a host loads, before it is printed.
type output struct {
	// Tables are those of a host with target iptables, and NFT is the table of one with target nftables: the
	// other is nil.
	Tables *iptables.Tables
	NFT    *nftables.Tables
}

// Policy compiles the policy at name for its hosts. The Hosts of the result are nil if
// there is an error for any of them.
func Policy(name string, opts Options) (*Result, hcl.Diagnostics) {
	if opts.Tree == nil {
		opts.Tree = files.Disk
	}
	if opts.Context == nil {
		opts.Context = context.Background()
	}
	if opts.Progress == nil {
		opts.Progress = func(Progress) {}
	}
	opts.Progress(Progress{Stage: "reading the policy"})
	defer func() { opts.Progress(Progress{}) }()
	source, diags := parser.LoadFrom(opts.Tree, name, opts.Inputs, opts.AllowOutside)
	result := &Result{Sources: source.Sources()}
	if !source.Evaluable() {
		return result, diag.Unique(diags)
	}
	defer source.Close()

	labels, more := chooseHosts(source.Hosts(), opts.Hosts)
	diags = append(diags, more...)
	result.Partial = len(labels) < len(source.Hosts())
	lists := compiler.NewLists(source.Dir)
	result.addresses = semantics.NewLists(lists.Ranges, lists.Merged)

	c := &compilation{ctx: opts.Context, progress: opts.Progress, source: source, lists: lists, options: opts.Fold, addresses: result.addresses, labels: labels, partial: result.Partial, streaming: opts.Emit != nil, equal: map[[sha256.Size]byte]*Host{}}
	hosts, more := c.compileHosts(opts.Now, diags.HasErrors())
	if diags = append(diags, more...); diags.HasErrors() || c.stopped() {
		result.EmitError = c.emitError
		return result, diag.Unique(diags)
	}
	if opts.Lint {
		policies := distinctPolicies(hosts)
		result.findings = sync.OnceValue(func() hcl.Diagnostics { return lint.Hosts(policies, result.addresses) })
		go result.findings()
	}
	result.ignores, more = source.Ignores()
	result.unused = append(source.UnusedNames(), more...)
	if len(labels) <= maxKeptHosts {
		source.Forget() // no host is compiled twice
	}
	if more := c.emitFiles(hosts, opts.Now, opts.Emit); more.HasErrors() {
		return result, diag.Unique(more)
	}
	result.EmitError = c.emitError
	result.Hosts = hosts
	return result, parser.Silence(diag.Unique(diags), result.ignores)
}

// compilation is the state of one call of Policy.
type compilation struct {
	ctx      context.Context
	progress func(Progress)
	source   *parser.Source
	lists    *compiler.Lists
	options  iptables.Options
	// addresses are those of lists for the semantics.
	addresses *semantics.Lists
	// labels are those of the hosts to compile; partial means that the policy has others.
	labels  []string
	partial bool

	// streaming means that nothing is kept of a host once its files are written.
	streaming bool

	mu sync.Mutex
	// equal are compiled hosts by the fingerprint of their policies; kept counts all hosts
	// that are kept.
	equal map[[sha256.Size]byte]*Host
	kept  int
	// emitError is the first error of Options.Emit.
	emitError error
}

// forEachHost calls work for all hosts, as many at a time as there are processors, and
// returns the joined diagnostics. It skips hosts once the work is stopped.
func (c *compilation) forEachHost(stage string, work func(i int) hcl.Diagnostics) hcl.Diagnostics {
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
	return joinHosts(c.labels, c.partial, perHost)
}
