package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// starter is the first policy of a host: nobody gets in but friends and who asks
// for what is public.
const starter = `# Who may reach what Docker publishes on this host.
# The order of blocks means nothing; rules come out as established, deny, accept, default.

host {
  external_interfaces = [%q]
}

# Those who may reach whatever is published. Addresses, networks and ranges of both
# families; lists in files: files = ["lists/office.txt"]
ipset "friends" {
  entries = []
}

# What anyone may reach, by its published port: the left one of "443:8443".
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}

# Everyone else is dropped.
default {
  allow = [ipset.friends]
}

test "strangers do not reach postgres" {
  from    = "192.0.2.99"
  to_port = 5432
  expect  = "refused"
}
`

func initCommand() *cobra.Command {
	var external string
	cmd := &cobra.Command{
		Use:   "init [DIRECTORY]",
		Short: "Write a first policy",
		Long: `init writes policy.hcl into the directory, the current one if none is named: a short
policy to begin with. It names the interface that the default route leaves by, unless
--interface does. What is there already is not touched.`,
		Example: `  dockerfw init
  dockerfw init firewall --interface ens3`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError(cmd, fmt.Sprintf("name one directory, not %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			how := "as --interface says"
			if external == "" {
				external, how = defaultInterface()
			}
			if problem := parser.CheckInterface(external); problem != "" {
				return usageError(cmd, fmt.Sprintf("bad interface %q: %s", external, problem))
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			path := filepath.Join(dir, "policy.hcl")
			found, err := filepath.Glob(filepath.Join(dir, "*.hcl*"))
			if err == nil && len(found) > 0 {
				return fmt.Errorf("%s is there already: init writes a first policy, not a second", found[0])
			}
			if err := cleanly(func(context.Context) error { return writeNew(path, fmt.Appendf(nil, starter, external)) }); err != nil {
				return err
			}
			escape.Fprintf(cmd.ErrOrStderr(), "Wrote %s; the outside arrives on %s, %s.\nNext: put the addresses of friends into it, then\n  dockerfw check %s && dockerfw compile %s -o %s\n",
				path, external, how, shellWord(path), shellWord(path), shellWord(filepath.Join(dir, "compiled")))
			return nil
		},
	}
	cmd.Flags().StringVar(&external, "interface", "", "the `name` of the interface the outside arrives on")
	return cmd
}

// writeNew writes a file that must not be there yet, whole or not at all.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// defaultInterface is the one that the default route leaves by, and how it was
// found; see proc(5), /proc/net/route.
func defaultInterface() (name, how string) {
	const guess = "eth0"
	f, err := os.Open("/proc/net/route")
	if err != nil {
		return guess, "which is a guess: there is no default route to see"
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// Interface, destination, gateway, flags, reference count, use, metric, mask.
		fields := strings.Fields(lines.Text())
		if len(fields) > 7 && fields[1] == "00000000" && fields[7] == "00000000" {
			return fields[0], "where the default route leaves"
		}
	}
	return guess, "which is a guess: there is no default route"
}
