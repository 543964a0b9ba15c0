package main

import (
	"io"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/compose"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/published"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/files"
)

// publishedFlags are the flags of check that name what containers publish.
type publishedFlags struct {
	composeFiles []string
	compose      compose.Options
	// containers is a file with the output of docker ps, "-" for standard input.
	containers string
}

func (f *publishedFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.composeFiles, "compose", nil, "compare with the ports of this Compose `file`; may be repeated, files are merged as docker compose does")
	cmd.Flags().StringArrayVar(&f.compose.EnvFiles, "env-file", nil, "the `file` with the variables of --compose (default .env beside the first one); may be repeated")
	cmd.Flags().StringArrayVar(&f.compose.Profiles, "profile", nil, "an active `profile` of --compose, or \"*\" for all (default COMPOSE_PROFILES of the file with the variables); may be repeated")
	cmd.Flags().StringVar(&f.containers, "published", "", "compare with the ports of docker ps --format json: its output in a `file`, or - for standard input")
}

// given reports whether there is anything to compare with.
func (f *publishedFlags) given() bool { return len(f.composeFiles) > 0 || f.containers != "" }

// problem is what contradicts itself in the flags; "" for nothing.
func (f *publishedFlags) problem() string {
	switch {
	case len(f.composeFiles) > 0:
	case len(f.compose.EnvFiles) > 0:
		return "--env-file is for Compose files: add --compose"
	case len(f.compose.Profiles) > 0:
		return "--profile is for Compose files: add --compose"
	}
	return ""
}

// read returns what is published, and the bytes of the files that say so.
func (f *publishedFlags) read(stdin io.Reader) (list published.List, sources map[string][]byte, diags hcl.Diagnostics) {
	sources = map[string][]byte{}
	if len(f.composeFiles) > 0 {
		project, more := compose.Load(f.composeFiles, f.compose)
		list, diags = project.List, more
		maps.Copy(sources, project.Sources)
	}
	if f.containers == "" {
		return list, sources, diags
	}
	name := f.containers
	var text []byte
	var err error
	if name == "-" {
		name = ""
		text, err = io.ReadAll(io.LimitReader(stdin, published.MaxInput+1))
	} else if text, err = files.Read(files.Disk, name); err == nil {
		sources[name] = text
	}
	if err != nil {
		at := hcl.Range{Filename: f.containers, Start: hcl.InitialPos, End: hcl.InitialPos}
		return list, sources, append(diags, diag.New(diag.CodeContainers, at, "list of containers that cannot be read", files.Reason(err)+"."))
	}
	more, problems := published.ReadContainers(text, name)
	list.Ports, list.Others = append(list.Ports, more.Ports...), append(list.Others, more.Others...)
	return list, sources, append(diags, problems...)
}

// compare returns what there is to say about what is published, for all hosts of a policy.
func (f *publishedFlags) compare(name string, result *driver.Result, list published.List) (hcl.Diagnostics, error) {
	if !f.given() {
		return nil, nil
	}
	fleet, diags := snapshot.OfResult(name, result)
	if diags.HasErrors() {
		return diags, nil
	}
	var perHost []hcl.Diagnostics
	for _, h := range fleet.Hosts {
		more, err := published.Check(h, list)
		if err != nil {
			return nil, err
		}
		perHost = append(perHost, more)
	}
	return result.Join(perHost), nil
}

// lint returns the other warnings of check. The note about ports that are open to everyone is
// left out if the comparison has one, about those that are published.
func (f *publishedFlags) lint(result *driver.Result) hcl.Diagnostics {
	diags := result.Lint()
	if !f.given() {
		return diags
	}
	return slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool { return diag.InfoOf(d).Code == diag.CodeWorldOpen })
}
