// Package build goes the whole way from a policy to the files that hosts load.
//
// In: the path of a policy, values for its variables.
// Out: the files of each host, read back and checked against the IR, or
// diagnostics and no file at all.
// It holds no rule of the language and writes nothing to disk.
package build

import (
	"maps"
	"path"
	"slices"

	"github.com/hashicorp/hcl/v2"

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
}

// Result is what a policy compiles to.
type Result struct {
	Hosts []Host
	// Sources hold the bytes of the policy's files, to print diagnostics with.
	Sources map[string][]byte
}

// Host is what one host of the policy loads.
type Host struct {
	Ruleset *ir.Ruleset
	Files   []emit.File
}

// Policy compiles the policy at name. Hosts is nil when there is an error.
func Policy(name string, opts Options) (*Result, hcl.Diagnostics) {
	source, diags := parser.Load(name, opts.Inputs, opts.AllowOutside)
	result := &Result{Sources: source.Sources()}
	if diags.HasErrors() {
		return result, diag.Unique(diags)
	}
	defer source.Close()

	policy, more := source.Evaluate()
	diags = append(diags, more...)
	if more.HasErrors() {
		return result, diag.Unique(diags)
	}
	ruleset, more := compiler.Compile(policy, compiler.NewLists(source.Dir))
	diags = append(diags, more...)
	if more.HasErrors() {
		return result, diag.Unique(diags)
	}
	host, more := write(ruleset, source)
	diags = append(diags, more...)
	if !more.HasErrors() {
		result.Hosts = append(result.Hosts, host)
	}
	return result, diag.Unique(diags)
}

// write emits a ruleset and checks the text against it.
func write(rs *ir.Ruleset, source *parser.Source) (Host, hcl.Diagnostics) {
	src := emit.Source{Version: Version, Policy: source.Names}
	digests := source.Digests()
	for _, name := range slices.Sorted(maps.Keys(digests)) {
		src.Inputs = append(src.Inputs, emit.Input{Name: name, SHA256: digests[name]})
	}
	files, err := emit.Files(rs, src)
	if err != nil {
		return Host{}, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "internal error", Detail: err.Error()}}
	}
	return Host{Ruleset: rs, Files: files}, nil
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
