// Package driver goes the whole way from a policy to the files that hosts load.
//
// In: the path of a policy, values for its variables.
// Out: the files of each host, read back and checked against the IR, or
// diagnostics and no file at all.
// It holds no rule of the language and writes nothing to disk.
package driver

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/sync/errgroup"

	"github.com/dockerfw/dockerfw/compiler"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/lint"
	"github.com/dockerfw/dockerfw/compiler/policytest"
	"github.com/dockerfw/dockerfw/emit"
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
	Policy  *parser.Policy
	Ruleset *ir.Ruleset
	Files   []emit.File
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
	proofs := &proofs{lists: lists, done: map[[sha256.Size]byte]*proof{}}
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
	ruleset, diags := compile(policy, diags, lists, broken)
	if !diags.HasErrors() {
		return Host{Policy: policy, Ruleset: ruleset}, diags
	}
	// Once more, for what is wrong to be shown where it was written.
	policy, origins, diags := source.EvaluateOrigins(label, now)
	_, diags = compile(policy, diags, lists, broken)
	return Host{}, origins.Explain(diags)
}

func compile(policy *parser.Policy, diags hcl.Diagnostics, lists *compiler.Lists, broken bool) (*ir.Ruleset, hcl.Diagnostics) {
	diags = append(diags, policytest.Check(policy)...)
	if broken || diags.HasErrors() {
		return nil, append(diags, compiler.CheckLists(policy, lists)...)
	}
	ruleset, more := compiler.Compile(policy, lists)
	return ruleset, append(diags, more...)
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
		src.Inputs = append(src.Inputs, emit.Input{Name: name, SHA256: digests[name]})
	}
	return src
}

func internal(err error) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "internal error", Detail: err.Error(), Extra: diag.Info{Code: diag.CodeInternal}}
}

// write emits a ruleset and proves the text.
func write(h Host, proofs *proofs, src emit.Source) ([]emit.File, hcl.Diagnostics) {
	files, err := emit.Files(h.Ruleset, src)
	if err != nil {
		return nil, hcl.Diagnostics{internal(err)}
	}
	return files, proofs.of(h, emittedText(files))
}

// proofs proves each pair of policy and text once: hosts of a fleet are often the
// same but for their names.
type proofs struct {
	lists *compiler.Lists
	mu    sync.Mutex
	done  map[[sha256.Size]byte]*proof
}

type proof struct {
	once  sync.Once
	diags hcl.Diagnostics
}

func (p *proofs) of(h Host, text compiler.Text) hcl.Diagnostics {
	key, err := proofKey(h.Policy, text)
	if err != nil {
		return hcl.Diagnostics{internal(err)}
	}
	p.mu.Lock()
	one := p.done[key]
	if one == nil {
		one = &proof{}
		p.done[key] = one
	}
	p.mu.Unlock()
	one.once.Do(func() { one.diags = compiler.Verify(h.Policy, p.lists, h.Ruleset, text) })
	return one.diags
}

// proofKey is a digest of all that a proof depends on but the lists, which are the
// same for all hosts: the policy without the host's name, and the text without the
// comment that has it. What is lowered from equal policies is equal.
func proofKey(policy *parser.Policy, text compiler.Text) (key [sha256.Size]byte, err error) {
	// Of the host its values count, and not its name or where they stand.
	nameless, h := *policy, policy.Host
	nameless.Host = &parser.Host{IPv4: h.IPv4, IPv6: h.IPv6, Verdict: h.Verdict, InputGuard: h.InputGuard}
	nameless.Host.Chain.Value, nameless.Host.Install.Value = h.Chain.Value, h.Install.Value
	for _, i := range h.ExternalInterfaces {
		nameless.Host.ExternalInterfaces = append(nameless.Host.ExternalInterfaces, parser.At[string]{Value: i.Value})
	}
	for _, i := range h.ContainerInterfaces {
		nameless.Host.ContainerInterfaces = append(nameless.Host.ContainerInterfaces, parser.At[string]{Value: i.Value})
	}
	for _, p := range h.ProxyPorts {
		nameless.Host.ProxyPorts = append(nameless.Host.ProxyPorts, parser.At[parser.ProxyPorts]{Value: p.Value})
	}
	// Blocks that were not written have the host's place.
	established, def := *policy.Established, *policy.Default
	if established.DeclRange == policy.Host.DeclRange {
		established.DeclRange = hcl.Range{}
	}
	if def.DeclRange == policy.Host.DeclRange {
		def.DeclRange = hcl.Range{}
	}
	nameless.Established, nameless.Default = &established, &def
	sum := sha256.New()
	if err := json.NewEncoder(sum).Encode(nameless); err != nil {
		return key, err
	}
	for _, t := range [][]byte{
		text.Rules[ir.IPv4], text.Rules[ir.IPv6], text.RulesRemoval[ir.IPv4], text.RulesRemoval[ir.IPv6], text.Sets, text.SetsRemoval,
	} {
		_, body, _ := bytes.Cut(t, []byte("\n"))
		fmt.Fprintf(sum, "%d\n", len(body))
		sum.Write(body)
	}
	return [sha256.Size]byte(sum.Sum(nil)), nil
}

// emittedText finds the texts to verify among the files.
func emittedText(files []emit.File) compiler.Text {
	t := compiler.Text{Rules: map[ir.Family][]byte{}, RulesRemoval: map[ir.Family][]byte{}}
	for _, f := range files {
		switch f.Name {
		case emit.SetsFile:
			t.Sets = f.Content
		case emit.SetsRemoval:
			t.SetsRemoval = f.Content
		case emit.RulesFile4:
			t.Rules[ir.IPv4] = f.Content
		case emit.RulesFile6:
			t.Rules[ir.IPv6] = f.Content
		case emit.RulesRemoval4:
			t.RulesRemoval[ir.IPv4] = f.Content
		case emit.RulesRemoval6:
			t.RulesRemoval[ir.IPv6] = f.Content
		}
	}
	return t
}

// Folder is the output directory of all hosts.
func (r *Result) Folder() emit.Folder {
	folder := emit.Folder{}
	for _, h := range r.Hosts {
		for _, f := range h.Files {
			folder[path.Join(h.Ruleset.Host, f.Name)] = f.Content
		}
	}
	return folder
}
