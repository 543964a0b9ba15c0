// Package build goes the whole way from a policy to the files that hosts load.
//
// In: the path of a policy, values for its variables.
// Out: the files of each host, read back and checked against the IR, or
// diagnostics and no file at all.
// It holds no rule of the language and writes nothing to disk.
package build

import (
	"fmt"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/sync/errgroup"

	"github.com/dockerfw/dockerfw/compiler"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// Version of dockerfw, written into manifests. It has no build stamp: the same
// release gives the same bytes wherever it was built.
const Version = "0.1.0"

// Options of a build.
type Options struct {
	Inputs parser.Inputs
	// AllowOutside lets the policy name files outside its directory.
	AllowOutside bool
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
}

// Host is what one host of the policy loads.
type Host struct {
	Ruleset *ir.Ruleset
	Files   []emit.File
}

// Policy compiles the policy at name for its hosts, several at a time. Hosts is
// nil when there is an error for any of them.
func Policy(name string, opts Options) (*Result, hcl.Diagnostics) {
	source, diags := parser.Load(name, opts.Inputs, opts.AllowOutside)
	result := &Result{Sources: source.Sources()}
	if diags.HasErrors() {
		return result, diag.Unique(diags)
	}
	defer source.Close()

	labels, more := chooseHosts(source.Hosts(), opts.Hosts)
	diags = append(diags, more...)
	result.Partial = len(labels) < len(source.Hosts())

	lists := compiler.NewLists(source.Dir)
	hosts := make([]Host, len(labels))
	perHost := make([]hcl.Diagnostics, len(labels))
	forEach(len(labels), func(i int) {
		hosts[i].Ruleset, perHost[i] = lower(source, labels[i], lists, opts.Now)
	})
	diags = append(diags, joinHosts(labels, perHost)...)
	if diags.HasErrors() {
		return result, diag.Unique(diags)
	}
	// Digests of the inputs are complete only now that all hosts have read them.
	src := emission(source)
	forEach(len(hosts), func(i int) {
		hosts[i].Files, perHost[i] = write(hosts[i].Ruleset, src)
	})
	if more := joinHosts(labels, perHost); more.HasErrors() {
		return result, diag.Unique(more)
	}
	result.Hosts = hosts
	return result, diag.Unique(diags)
}

// chooseHosts picks the hosts of the policy that were asked for.
func chooseHosts(all, asked []string) ([]string, hcl.Diagnostics) {
	if len(asked) == 0 {
		return all, nil
	}
	var chosen []string
	var diags hcl.Diagnostics
	for _, name := range asked {
		if name == "" || !slices.Contains(all, name) {
			detail := "The policy's host has no label: leave --host out."
			if all[0] != "" {
				detail = fmt.Sprintf("The policy has %s.", strings.Join(all, ", "))
			}
			diags = append(diags, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: fmt.Sprintf("no host %q", name), Detail: detail,
				Extra: diag.Info{Code: "reference"},
			})
		} else if !slices.Contains(chosen, name) {
			chosen = append(chosen, name)
		}
	}
	return chosen, diags
}

func lower(source *parser.Source, label string, lists *compiler.Lists, now time.Time) (*ir.Ruleset, hcl.Diagnostics) {
	policy, diags := source.Evaluate(label, now)
	if diags.HasErrors() {
		return nil, append(diags, compiler.CheckLists(policy, lists)...)
	}
	ruleset, more := compiler.Compile(policy, lists)
	return ruleset, append(diags, more...)
}

// joinHosts joins the diagnostics of hosts. One that does not come up for all of
// them names the first host it comes up for.
func joinHosts(labels []string, perHost []hcl.Diagnostics) hcl.Diagnostics {
	var out hcl.Diagnostics
	type key struct {
		severity        hcl.DiagnosticSeverity
		place           string
		summary, detail string
	}
	hostsWith := map[key]int{}
	first := map[key]*hcl.Diagnostic{}
	for i, diags := range perHost {
		seen := map[key]bool{}
		for _, d := range diags {
			k := key{d.Severity, fmt.Sprint(d.Subject), d.Summary, d.Detail}
			if seen[k] {
				continue
			}
			seen[k] = true
			hostsWith[k]++
			if first[k] == nil {
				info := diag.InfoOf(d)
				info.Host = labels[i]
				named := *d
				named.Extra = info
				first[k] = &named
				out = append(out, &named)
			}
		}
	}
	for k, n := range hostsWith {
		if n == len(labels) {
			info := diag.InfoOf(first[k])
			info.Host = ""
			first[k].Extra = info
		}
	}
	// A set is unused only if no host uses it.
	return slices.DeleteFunc(out, func(d *hcl.Diagnostic) bool {
		info := diag.InfoOf(d)
		return info.Code == compiler.CodeUnusedSet && info.Host != ""
	})
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

// write emits a ruleset and checks the text against it.
func write(rs *ir.Ruleset, src emit.Source) ([]emit.File, hcl.Diagnostics) {
	files, err := emit.Files(rs, src)
	if err != nil {
		return nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "internal error", Detail: err.Error(), Extra: diag.Info{Code: "internal"}}}
	}
	return files, compiler.Verify(rs, emittedText(files))
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
