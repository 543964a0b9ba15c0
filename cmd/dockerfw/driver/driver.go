// Package driver goes the whole way from a policy to the files that hosts load.
//
// In: the path of a policy, values for its variables.
// Out: the files of each host, read back and checked against the IR, or
// diagnostics and no file at all.
// It holds no rule of the language and writes nothing to disk.
package driver

import (
	"crypto/sha256"
	"maps"
	"path"
	"runtime"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/sync/errgroup"

	"github.com/dockerfw/dockerfw/compiler"
	"github.com/dockerfw/dockerfw/compiler/lint"
	"github.com/dockerfw/dockerfw/compiler/policytest"
	"github.com/dockerfw/dockerfw/emit"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/files"
)

// Version of dockerfw, written into manifests. It has no build stamp: the same
// release gives the same bytes wherever it was built.
const Version = "0.1.0"

// Options of a build.
type Options struct {
	Inputs parser.Inputs
	// AllowOutside lets the policy name files outside its directory.
	AllowOutside bool
	// Tree holds the policy and what it names; nil is the disk.
	Tree files.Tree
	// Hosts are the labels to compile; none means all.
	Hosts []string
	// Now is what expires is compared with. It can stop a build, never change a
	// byte of it. Zero: nothing expires.
	Now time.Time
}

// Result is what a policy compiles to.
type Result struct {
	Hosts []Host
	// Partial tells that Options.Hosts left out hosts of the policy.
	Partial bool
	// Sources hold the bytes of the policy's files, to print diagnostics with.
	Sources map[string][]byte

	lists   *compiler.Lists
	ignores []*parser.Ignore
	// unused are variables and locals, which no compile asks about.
	unused hcl.Diagnostics
}

// Lint returns what is found in the policies beyond what compiling them asks, without
// what comments silence. Comments that silence nothing are said too.
func (r *Result) Lint() hcl.Diagnostics {
	var policies []*parser.Policy
	seen := map[[sha256.Size]byte]bool{}
	for _, h := range r.Hosts {
		// Hosts of a fleet are often the same but for their names.
		if key, err := proofKey(h.Policy, emittedText(h.Files)); err == nil && seen[key] {
			continue
		} else if err == nil {
			seen[key] = true
		}
		policies = append(policies, h.Policy)
	}
	diags := parser.Silence(append(lint.Hosts(policies, r.lists.Ranges), r.unused...), r.ignores)
	if r.Partial {
		// A comment may be for a host that was left out.
		return diags
	}
	return append(diags, parser.Unused(r.ignores)...)
}

// Test runs the test blocks of all hosts that were compiled.
func (r *Result) Test() []policytest.Result {
	var out []policytest.Result
	for _, h := range r.Hosts {
		out = append(out, policytest.Run(h.Policy, r.lists.Ranges)...)
	}
	return out
}

// Host is what one host of the policy loads.
type Host struct {
	Policy *parser.Policy
	Tables *iptables.Tables
	Files  []folder.File
}

// Policy compiles the policy at name for its hosts, several at a time. Hosts is
// nil when there is an error for any of them.
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

	broken := diags.HasErrors()
	lists := compiler.NewLists(source.Dir)
	hosts := make([]Host, len(labels))
	perHost := make([]hcl.Diagnostics, len(labels))
	forEach(len(labels), func(i int) {
		hosts[i], perHost[i] = lower(source, labels[i], lists, opts.Now, broken)
	})
	diags = append(diags, joinHosts(labels, result.Partial, perHost)...)
	if diags.HasErrors() {
		return result, diag.Unique(diags)
	}
	// Digests of the inputs are complete only now that all hosts have read them.
	src := emission(source)
	proofs := &proofs{lists: lists, done: map[[sha256.Size]byte]*proved{}}
	forEach(len(hosts), func(i int) {
		hosts[i].Files, perHost[i] = write(hosts[i], proofs, src)
	})
	if more := joinHosts(labels, result.Partial, perHost); more.HasErrors() {
		return result, diag.Unique(more)
	}
	result.Hosts = hosts
	result.lists = lists
	ignores, more := source.Ignores()
	result.ignores, result.unused = ignores, append(source.UnusedNames(), more...)
	return result, parser.Silence(diag.Unique(diags), ignores)
}

// lower evaluates and compiles the policy of one host. Of a policy that is broken
// already it only says what else is wrong.
func lower(source *parser.Source, label string, lists *compiler.Lists, now time.Time, broken bool) (Host, hcl.Diagnostics) {
	policy, diags := source.Evaluate(label, now)
	tables, diags := compile(policy, diags, lists, broken)
	if !diags.HasErrors() {
		return Host{Policy: policy, Tables: tables}, diags
	}
	// Once more, for what is wrong to be shown where it was written.
	policy, origins, diags := source.EvaluateOrigins(label, now)
	_, diags = compile(policy, diags, lists, broken)
	return Host{}, origins.Explain(diags)
}

func compile(policy *parser.Policy, diags hcl.Diagnostics, lists *compiler.Lists, broken bool) (*iptables.Tables, hcl.Diagnostics) {
	diags = append(diags, policytest.Check(policy)...)
	if broken || diags.HasErrors() {
		return nil, append(diags, compiler.CheckLists(policy, lists)...)
	}
	ruleset, more := compiler.Compile(policy, lists)
	if diags = append(diags, more...); ruleset == nil {
		return nil, diags
	}
	tables, more := iptables.Legalise(ruleset)
	return tables, append(diags, more...)
}

// forEach runs work for 0 to n-1, as many at a time as there are processors.
func forEach(n int, work func(int)) {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		group.Go(func() error {
			work(i)
			return nil
		})
	}
	_ = group.Wait() // work returns no errors
}

// emission says what the files are compiled from.
func emission(source *parser.Source) emit.Source {
	src := emit.Source{Version: Version, Policy: source.Names}
	digests := source.Digests()
	for _, name := range slices.Sorted(maps.Keys(digests)) {
		src.Inputs = append(src.Inputs, folder.Input{Name: name, SHA256: digests[name]})
	}
	return src
}

func internal(err error) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "internal error", Detail: err.Error(), Extra: diag.Info{Code: diag.CodeInternal}}
}

// write emits a ruleset and proves the text.
func write(h Host, proofs *proofs, src emit.Source) ([]folder.File, hcl.Diagnostics) {
	files, err := emit.Files(h.Tables, src)
	if err != nil {
		return nil, hcl.Diagnostics{internal(err)}
	}
	return files, proofs.of(h, emittedText(files))
}

// Folder is the output directory of all hosts.
func (r *Result) Folder() folder.Contents {
	all := folder.Contents{}
	for _, h := range r.Hosts {
		for _, f := range h.Files {
			all[path.Join(h.Tables.Host, f.Name)] = f.Content
		}
	}
	return all
}
