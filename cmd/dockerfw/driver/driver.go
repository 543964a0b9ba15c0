package driver

import (
	"crypto/sha256"
	"runtime"
	"time"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/sync/errgroup"

	"github.com/dockerfw/dockerfw/compiler"
	"github.com/dockerfw/dockerfw/compiler/semantics"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/emit/iptables"
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
	// Hosts are the labels of the hosts to compile; none means all.
	Hosts []string
	// Now is the time at which rules can have expired; zero means that none has. It can
	// cause errors and warnings, but never changes a byte of the output.
	Now time.Time
}

// Host is one host of the policy and its output.
type Host struct {
	Policy *parser.Policy
	Tables *iptables.Tables
	Files  []folder.File

	// key is the digest of what its proof depends on; see proofKey.
	key [sha256.Size]byte
}

// Policy compiles the policy at name for its hosts. The Hosts of the result are nil if
// there is an error for any of them.
func Policy(name string, opts Options) (*Result, hcl.Diagnostics) {
	if opts.Tree == nil {
		opts.Tree = files.Disk
	}
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
	result.addresses = semantics.NewLists(lists.Ranges)

	c := &compilation{source: source, lists: lists, addresses: result.addresses, labels: labels, partial: result.Partial}
	hosts, more := c.compileHosts(opts.Now, diags.HasErrors())
	if diags = append(diags, more...); diags.HasErrors() {
		return result, diag.Unique(diags)
	}
	if more := c.emitFiles(hosts); more.HasErrors() {
		return result, diag.Unique(more)
	}
	result.Hosts = hosts

	result.ignores, more = source.Ignores()
	result.unused = append(source.UnusedNames(), more...)
	return result, parser.Silence(diag.Unique(diags), result.ignores)
}

// compilation is the state of one call of Policy.
type compilation struct {
	source *parser.Source
	lists  *compiler.Lists
	// addresses are those of lists for the semantics.
	addresses *semantics.Lists
	// labels are those of the hosts to compile; partial means that the policy has others.
	labels  []string
	partial bool
}

// forEachHost calls work for all hosts, as many at a time as there are processors, and
// returns the joined diagnostics.
func (c *compilation) forEachHost(work func(i int) hcl.Diagnostics) hcl.Diagnostics {
	perHost := make([]hcl.Diagnostics, len(c.labels))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range c.labels {
		group.Go(func() error {
			perHost[i] = work(i)
			return nil
		})
	}
	_ = group.Wait() // work returns no errors
	return joinHosts(c.labels, c.partial, perHost)
}
