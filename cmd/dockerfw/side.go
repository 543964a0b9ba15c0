package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// sides describes, in the help of commands that take one, what a side can be.
const sides = `a policy, a compiled folder, the saved tables of a host (a folder with the output
of iptables-save, ip6tables-save, ipset save and nft list ruleset, or such files
separated by commas), "live" for this host, or ssh://[user@]host[:port] for another one, which needs root there`

// openSide opens a side and prints what is wrong with it.
func openSide(cmd *cobra.Command, name string, opts driver.Options) (*snapshot.Fleet, error) {
	if snapshot.IsRemote(name) {
		return openRemote(cmd, name)
	}
	return opened(cmd, func() (*snapshot.Fleet, hcl.Diagnostics, error) { return snapshot.Open(name, opts) })
}

// openSideFor opens a side to compare it with another one.
func openSideFor(cmd *cobra.Command, other *snapshot.Fleet, name string, opts driver.Options) (*snapshot.Fleet, error) {
	if snapshot.IsRemote(name) || !other.Kind.Compiled() || len(other.Hosts) != 1 {
		return openSide(cmd, name, opts)
	}
	return opened(cmd, func() (*snapshot.Fleet, hcl.Diagnostics, error) {
		return snapshot.OpenFor(other.Hosts[0], name, opts)
	})
}

// openRemote opens a host that ssh connects to. A signal ends ssh too, even one that waits for a
// password.
func openRemote(cmd *cobra.Command, name string) (*snapshot.Fleet, error) {
	return opened(cmd, func() (side *snapshot.Fleet, diags hcl.Diagnostics, err error) {
		err = cleanly(func(ctx context.Context) error {
			side, diags, err = snapshot.OpenRemote(ctx, name)
			return err
		})
		return side, diags, err
	})
}

// openSideAt opens a side as it is at a git revision.
func openSideAt(cmd *cobra.Command, revision, name string, opts driver.Options) (*snapshot.Fleet, error) {
	return opened(cmd, func() (*snapshot.Fleet, hcl.Diagnostics, error) { return snapshot.OpenRevision(revision, name, opts) })
}

// openHost opens a side that has one host, or of which --host chooses one.
func openHost(cmd *cobra.Command, name string, opts driver.Options) (*snapshot.Host, error) {
	side, err := openSide(cmd, name, opts)
	if err != nil {
		return nil, err
	}
	if len(side.Hosts) > 1 {
		return nil, fmt.Errorf("%s has %d hosts: choose one with --host: %s", name, len(side.Hosts), side.Labels())
	}
	return side.Hosts[0], nil
}

func opened(cmd *cobra.Command, open func() (*snapshot.Fleet, hcl.Diagnostics, error)) (*snapshot.Fleet, error) {
	side, diags, err := open()
	// Warnings are for compile and check; here they would hide the answer.
	diags = slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool { return d.Severity != hcl.DiagError })
	var sources map[string][]byte
	if side != nil {
		sources = side.Sources
	}
	if n := printDiagnostics(cmd.ErrOrStderr(), diags, sources); n > 0 {
		escape.Fprintf(cmd.ErrOrStderr(), "%s.\n", words.Count(n, "error"))
		return nil, exitError(exitTrouble)
	}
	if side != nil && side.Note != "" {
		for line := range strings.SplitSeq(side.Note, "\n") {
			escape.Fprintf(cmd.ErrOrStderr(), "dockerfw: %s\n", line)
		}
	}
	if err == nil && len(side.Hosts) == 0 {
		err = errors.New("no host")
	}
	return side, err
}

// colored reports whether output to w is colored: on a terminal, without NO_COLOR.
func colored(w io.Writer) bool {
	f, ok := fileOf(w)
	return ok && terminal(f) && os.Getenv("NO_COLOR") == ""
}
