package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/compose"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/network"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/published"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/shell"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/starter"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/parser/addrlist"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// initFlags are what init may read.
type initFlags struct {
	interfaces, office []string
	from               string
	compose            publishedFlags
}

func initCommand() *cobra.Command {
	var flags initFlags
	cmd := &cobra.Command{
		Use:        "init [DIRECTORY]",
		Short:      "Write a first policy",
		SuggestFor: []string{"new", "create", "setup", "allow", "deny", "block"},
		Long: `init writes a first policy, policy.hcl, into the directory (default: the current one).
It lets nobody in: fill in the set office, or list its clients with --office.

Of a Compose project, or a host, it lists each published port in a block of its own,
for the office. Of a host it also lists what else listens there, as comments. The
external interfaces are those of the default routes, or those of --interface.
init overwrites nothing.`,
		Example: `  dockerfw init
  dockerfw init firewall --interface ens3 --office 192.0.2.0/24
  dockerfw init --compose compose.yaml --compose compose.prod.yaml
  sudo dockerfw init --from live           # on the host
  dockerfw init --from ssh://root@web1     # the same, from here`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError(cmd, fmt.Sprintf("one directory expected, got %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			if err := flags.check(cmd); err != nil {
				return err
			}
			if existing := starter.Existing(dir); existing != "" {
				return fmt.Errorf("%s already exists; not overwritten", existing)
			}
			host, how, err := flags.read(cmd)
			if err != nil {
				return err
			}
			var path string
			err = cleanly(func(context.Context) (err error) {
				path, err = starter.Write(dir, *host)
				return err
			})
			if err != nil {
				return err
			}
			writeInitSummary(cmd, dir, path, how, host)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&flags.interfaces, "interface", nil, "the `name` of an interface where packets from outside arrive; may be repeated")
	f.StringArrayVar(&flags.office, "office", nil, "an `address`, network or range of clients that may connect; may be repeated")
	f.StringVar(&flags.from, "from", "", "the `host` to read: \"live\" for this one, ssh://[user@]host[:port], or saved tables")
	f.StringArrayVar(&flags.compose.composeFiles, "compose", nil, "list the ports of this Compose `file`; may be repeated, files are merged as docker compose does")
	f.StringArrayVar(&flags.compose.compose.EnvFiles, "env-file", nil, "the `file` with the variables of --compose (default .env beside the first one); may be repeated")
	f.StringArrayVar(&flags.compose.compose.Profiles, "profile", nil, "an active `profile` of --compose, or \"*\" for all; may be repeated")
	return cmd
}

// check splits lists, and refuses flags that are wrong before anything is read.
func (f *initFlags) check(cmd *cobra.Command) error {
	if problem := f.compose.problem(); problem != "" {
		return usageError(cmd, problem)
	}
	f.interfaces, f.office = split(f.interfaces), split(f.office)
	if problem := checkInterfaces(f.interfaces); problem != "" {
		return usageError(cmd, problem)
	}
	for _, entry := range f.office {
		if _, problem := addrlist.ParseEntry(entry); problem != nil {
			return usageError(cmd, fmt.Sprintf("--office %s: %s. %s", entry, problem.Summary, problem.Detail))
		}
	}
	return nil
}

// split splits values of a flag that may be repeated at commas, too.
func split(values []string) []string {
	var out []string
	for _, v := range values {
		for one := range strings.SplitSeq(v, ",") {
			out = append(out, strings.TrimSpace(one))
		}
	}
	return out
}

// read returns what is known about the host, and how the interfaces were found.
func (f *initFlags) read(cmd *cobra.Command) (host *starter.Host, how string, err error) {
	host = &starter.Host{Office: f.office}
	how = "set by --interface"
	for _, name := range f.interfaces {
		host.External = append(host.External, starter.Interface{Name: name})
	}
	var sources []string
	if f.from != "" {
		sources = append(sources, f.from)
		if how, err = f.readHost(cmd, host); err != nil {
			return nil, "", err
		}
	}
	if len(f.compose.composeFiles) > 0 {
		project, diags := compose.Load(f.compose.composeFiles, f.compose.compose)
		if n := printDiagnostics(cmd.ErrOrStderr(), diags, project.Sources); n > 0 {
			escape.Fprintf(cmd.ErrOrStderr(), "%s.\n", words.Count(n, "error"))
			return nil, "", exitError(exitTrouble)
		}
		sources = append(sources, f.compose.composeFiles...)
		host.PortsKnown = true
		// What a Compose file has is said better than by nat rules: those come second.
		host.Published.Ports = append(project.Ports, host.Published.Ports...)
		host.Published.Others = append(project.Others, host.Published.Others...)
	}
	host.Source = words.And(sources)
	if len(host.External) == 0 {
		host.External, how = defaultInterfaces()
	}
	return host, how, nil
}

// defaultInterfaces are those of the default routes of this machine.
func defaultInterfaces() (out []starter.Interface, how string) {
	if state, err := network.Read(); err == nil {
		for _, u := range facts.External(state, nil) {
			if u.Route {
				out = append(out, starter.Interface{Name: u.Name, Why: u.Why + ", on the machine where init ran"})
			}
		}
	}
	switch len(out) {
	case 0:
		return []starter.Interface{{Name: "eth0", Why: "A guess: the machine where init ran has no default route"}}, "a guess, because there is no default route"
	case 1:
		return out, "the interface of the default route"
	}
	return out, "the interfaces of the default routes"
}

// readHost adds what a host has, and returns how the interfaces were found.
func (f *initFlags) readHost(cmd *cobra.Command, to *starter.Host) (how string, err error) {
	h, err := openHost(cmd, f.from, driver.Options{})
	if err != nil {
		return "", err
	}
	if h.Kind.Compiled() {
		return "", usageError(cmd, fmt.Sprintf("--from %s: a policy or a compiled folder is no host; give live, ssh://… or saved tables", f.from))
	}
	how = "set by --interface"
	if len(to.External) == 0 {
		if h.Network == nil {
			return "", usageError(cmd, fmt.Sprintf("the interfaces of %s are not known: add --interface with the one of its default route, which this prints there: ip route show default", f.from))
		}
		var bridges []string
		for _, family := range h.Families() {
			bridges = append(bridges, h.Bridges(family)...)
		}
		for _, u := range facts.External(h.Network, bridges) {
			to.External = append(to.External, starter.Interface{Name: u.Name, Why: u.Why})
		}
		if len(to.External) == 0 {
			return "", errors.New("this host has neither a default route nor a global address: set the external interface with --interface")
		}
		how = "with a default route or a global address"
	}
	to.PortsKnown = true
	for _, family := range h.Families() {
		for _, p := range h.Published(family) {
			to.Published.Ports = append(to.Published.Ports, published.Port{
				Protocol: p.Protocol, First: p.Port, Last: p.Port, Address: p.Address, Target: p.Container.Port(), By: "container " + p.Container.String(),
			})
		}
	}
	if h.Here() {
		// Without /proc, as on other systems, the policy says how to find them.
		if services, err := published.Services(); err == nil {
			to.Services, to.ServicesKnown = services, true
		}
	}
	return how, nil
}

func writeInitSummary(cmd *cobra.Command, dir, path, how string, host *starter.Host) {
	var names []string
	for _, i := range host.External {
		names = append(names, i.Name)
	}
	interfaces := "The external interface is " + names[0]
	if len(names) > 1 {
		interfaces = "The external interfaces are " + words.And(names)
	}
	next := "add your clients to ipset \"office\", and what else the host serves to input, then run"
	if len(host.Office) > 0 {
		next = "read it, and add what else the host serves to input, then run"
	}
	escape.Fprintf(cmd.ErrOrStderr(), "Wrote %s. %s (%s).\nNext: %s\n  %s && %s\n",
		path, interfaces, how, next, shell.Command("dockerfw", "check", path),
		shell.Command("dockerfw", "compile", path, "-o", filepath.Join(dir, "compiled")))
	// See ssh(1), ENVIRONMENT: the address of the client comes first.
	client, _, _ := strings.Cut(os.Getenv("SSH_CONNECTION"), " ")
	if _, err := netip.ParseAddr(client); err == nil && host.ServicesKnown && len(host.Office) == 0 {
		escape.Fprintf(cmd.ErrOrStderr(), "You are connected from %s: without it in office, new ssh connections from there are refused.\n", client)
	}
}
