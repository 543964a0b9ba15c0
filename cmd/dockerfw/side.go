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

// openCompared opens a side whose hosts are read when they are compared. other is the other side, nil if it is not
// open yet. The caller closes it.
func openCompared(cmd *cobra.Command, other *snapshot.Side, name string, opts driver.Options) (*snapshot.Side, error) {
	if name != snapshot.LiveName && !snapshot.IsRemote(name) {
		return openedSide(cmd, func() (*snapshot.Side, hcl.Diagnostics, error) { return snapshot.OpenSide(name, opts) })
	}
	compared := &snapshot.Fleet{}
	if other != nil && len(other.Labels) == 1 {
		host, diags, err := other.Read(0)
		if err := reportErrors(cmd, diags, other.Sources); err != nil {
			return nil, err
		}
		if err != nil {
			return nil, err
		}
		compared.Kind, compared.Hosts = other.Kind, []*snapshot.Host{host}
	}
	fleet, err := openSideFor(cmd, compared, name, opts)
	if err != nil {
		return nil, err
	}
	return fleet.Side(), nil
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

// openComparedAt is openCompared for a side as it is at a git revision.
func openComparedAt(cmd *cobra.Command, revision, name string, opts driver.Options) (*snapshot.Side, error) {
	return openedSide(cmd, func() (*snapshot.Side, hcl.Diagnostics, error) { return snapshot.OpenSideAt(revision, name, opts) })
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
	var fleet *snapshot.Fleet
	_, err := openedSide(cmd, func() (_ *snapshot.Side, diags hcl.Diagnostics, err error) {
		if fleet, diags, err = open(); fleet == nil {
			return nil, diags, err
		}
		return fleet.Side(), diags, err
	})
	return fleet, err
}

func openedSide(cmd *cobra.Command, open func() (*snapshot.Side, hcl.Diagnostics, error)) (*snapshot.Side, error) {
	side, diags, err := open()
	var sources map[string][]byte
	if side != nil {
		sources = side.Sources
	}
	if err := reportErrors(cmd, diags, sources); err != nil {
		return nil, err
	}
	if side != nil && side.Note != "" {
		for line := range strings.SplitSeq(side.Note, "\n") {
			escape.Fprintf(cmd.ErrOrStderr(), "dockerfw: %s\n", line)
		}
	}
	if err == nil && len(side.Labels) == 0 {
		err = errors.New("no host")
	}
	return side, err
}

// reportErrors prints the errors of diagnostics, and returns an error if there are any. Warnings are for compile and
// check; here they would hide the answer.
func reportErrors(cmd *cobra.Command, diags hcl.Diagnostics, sources map[string][]byte) error {
	diags = slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool { return d.Severity != hcl.DiagError })
	if n := printDiagnostics(cmd.ErrOrStderr(), diags, sources); n > 0 {
		escape.Fprintf(cmd.ErrOrStderr(), "%s.\n", words.Count(n, "error"))
		return exitError(exitTrouble)
	}
	return nil
}

// colored reports whether output to w is colored: on a terminal, without NO_COLOR.
func colored(w io.Writer) bool {
	f, ok := fileOf(w)
	return ok && terminal(f) && os.Getenv("NO_COLOR") == ""
}
