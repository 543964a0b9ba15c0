package starter

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/published"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// writer collects the text of a policy.
type writer struct{ bytes.Buffer }

func (w *writer) line(format escape.Literal, args ...any) {
	escape.Fprintf(w, format+"\n", args...)
}

// Text returns the policy of a host; parser.Format gives it the canonical style.
func Text(h Host) []byte {
	w := &writer{}
	w.line("# Which clients may reach the ports that Docker publishes on this host, and the host itself;")
	w.line("# all others are refused. The order of blocks does not matter: rules are always evaluated in")
	w.line("# the order established, deny, accept, default.")
	if h.Source != "" {
		w.line("# Written by dockerfw init from %s.", h.Source)
	}
	w.line("")
	w.host(h)
	w.office(h)
	services := accepts(h)
	w.published(h, services)
	w.input(h, services)
	w.tests(h, services)
	return w.Bytes()
}

func (w *writer) host(h Host) {
	w.line("host {")
	var names []string
	for _, i := range h.External {
		if i.Why != "" {
			w.line("  # %s.", i.Why)
		}
		names = append(names, fmt.Sprintf("%q", i.Name))
	}
	if len(names) > 1 {
		w.line("  # If everyone may connect on one of these, move it to internal_interfaces.")
	}
	w.line("  external_interfaces = [%s]", strings.Join(names, ", "))
	w.line("}\n")
}

func (w *writer) office(h Host) {
	w.line("# The clients that may connect: addresses, networks and ranges, IPv4 and IPv6. To read them from")
	w.line("# a file: files = [\"lists/office.txt\"]")
	if len(h.Office) == 0 {
		w.line("# dockerfw:ignore empty-set nobody may connect yet; delete this line when somebody may")
	}
	w.line("ipset \"office\" {")
	w.line("  entries = [%s]", quoted(h.Office))
	w.line("}\n")
}

func quoted(items []string) string {
	var out []string
	for _, i := range items {
		out = append(out, fmt.Sprintf("%q", i))
	}
	return strings.Join(out, ", ")
}

func (w *writer) published(h Host, services []accept) {
	for _, a := range services {
		for _, c := range a.comments {
			w.line("# %s", c)
		}
		if a.name == "" {
			w.line("")
			continue
		}
		if services := compiler.HostServices([]uint8{a.protocol}, a.first, a.last); len(services) > 0 {
			w.line("# dockerfw:ignore host-service a container publishes the port of %s", words.And(services))
		}
		w.line("accept %q {", a.name)
		w.line("  protocol = %q", words.Protocol(a.protocol))
		w.line("  published_ports = [%s]", portText(a.first, a.last))
		if a.address != "" {
			w.line("  published_address = [%q]", a.address)
		}
		w.line("  source = [ipset.office]")
		w.line("}\n")
	}
	if slices.ContainsFunc(services, func(a accept) bool { return a.name != "" }) {
		w.line("# To let everyone reach a port, delete the line with source in its block.\n")
	}
	for _, c := range h.Published.Others {
		w.other(c)
	}
	if h.PortsKnown {
		w.line("# All other traffic to containers is dropped. To let the office reach every published port:")
		w.line("# allow = [ipset.office]")
		w.line("default {\n  action = \"drop\"\n}\n")
		return
	}
	w.line("# A port that everyone may reach: the published one, which is the left one of \"443:8443\".")
	w.line("# accept \"https\" {\n#   protocol        = \"tcp\"\n#   published_ports = [443]\n# }\n")
	w.line("# The office reaches every published port. All other traffic to containers is dropped.")
	w.line("default {\n  allow = [ipset.office]\n}\n")
}

// other is a comment about a container that is not reached through published ports.
func (w *writer) other(c published.Container) {
	switch {
	case c.Driver != "":
		w.line("# %s has an address of its own in the %s network %s: no rules of this host see its packets.\n", c.By, c.Driver, c.Network)
	default:
		w.line("# %s has network_mode: host: its ports are ports of the host, which input below closes.\n", c.By)
	}
}

func (w *writer) input(h Host, services []accept) {
	w.line("# The host itself: closed on the external interfaces, except for what is listed here. That")
	w.line("# includes containers with network_mode: host, and docker-proxy on ports that no rule lists.")
	w.line("# Connections that the host opens need no rule.")
	ssh := sshPorts(h)
	if !slices.Contains(ssh, 22) && !listed(services, 6, 22) {
		w.line("# dockerfw:ignore ssh-closed sshd listens on port %s", numbers(ssh))
	}
	w.line("input {")
	ssh = slices.DeleteFunc(ssh, func(port uint16) bool { return listed(services, 6, port) })
	if len(ssh) > 0 {
		w.line("  accept \"ssh\" {\n    protocol = \"tcp\"\n    ports = [%s]\n    source = [ipset.office]\n  }", numbers(ssh))
	} else {
		w.line("  # A container publishes port 22. If sshd of the host listens on another port, accept that here:")
		w.line("  # accept \"ssh\" {\n  #   protocol = \"tcp\"\n  #   ports    = [2222]\n  #   source   = [ipset.office]\n  # }")
	}
	const most = 30
	var rest []published.Service
	for _, s := range h.Services {
		if !listed(services, s.Protocol, s.Port) && (s.Protocol != 6 || !slices.Contains(ssh, s.Port)) {
			rest = append(rest, s)
		}
	}
	if len(rest) > 0 {
		w.line("\n  # Programs of this host also wait for clients on these ports. Uncomment what clients outside need.")
	}
	for i, s := range rest {
		if i == most {
			w.line("  # … and %d more", len(rest)-most)
			break
		}
		by := s.Program
		if by == "" {
			by = "the kernel, such as WireGuard, or without root a program that init could not see"
		}
		w.line("\n  # %d/%s: %s", s.Port, words.Protocol(s.Protocol), by)
		w.line("  # accept %q {\n  #   protocol = %q\n  #   ports    = [%d]\n  #   source   = [ipset.office]\n  # }",
			fmt.Sprintf("host-%d-%s", s.Port, words.Protocol(s.Protocol)), words.Protocol(s.Protocol), s.Port)
	}
	if !h.ServicesKnown {
		w.line("\n  # List here what else the host serves, such as WireGuard (51820/udp). ss -lntup shows it.")
	}
	w.line("}\n")
}

// sshPorts are the ports of sshd, or 22.
func sshPorts(h Host) []uint16 {
	var out []uint16
	for _, s := range h.Services {
		if s.Protocol == 6 && s.Program == "sshd" && !slices.Contains(out, s.Port) {
			out = append(out, s.Port)
		}
	}
	if len(out) == 0 {
		out = append(out, 22)
	}
	slices.Sort(out)
	return out
}

func numbers(ports []uint16) string {
	var out []string
	for _, p := range ports {
		out = append(out, fmt.Sprint(p))
	}
	return strings.Join(out, ", ")
}

func (w *writer) tests(h Host, services []accept) {
	w.line("# Each test is about all clients, IPv4 and IPv6, on all paths. They run with: dockerfw test\n")
	filled := len(h.Office) > 0
	unlisted := unlistedPort(services)
	for i, a := range services {
		if a.name == "" {
			continue
		}
		text := a.ports()
		if a.of != anonymous {
			text += " of " + a.of
		}
		w.test("only the office reaches "+text, append([]string{"from = \"anyone\"", "from_not = [ipset.office]", "expect = \"refused\""}, a.target()...)...)
		// A port on one address of the host is open to clients of its family alone, of which the
		// office may have none.
		if filled && a.address == "" {
			attributes := []string{"from = [ipset.office]", "expect = \"allowed\""}
			if !listed(services[:i], a.protocol, a.first) { // else that block accepts some of the packets
				attributes = append(attributes, fmt.Sprintf("by = %q", "accept."+a.name))
			}
			w.test("the office reaches "+text, append(append(attributes, "proxy = false"), a.target()...)...)
		}
	}
	from := []string{"from = \"anyone\""}
	name := "nobody reaches a published port that is not listed"
	if !h.PortsKnown {
		from = append(from, "from_not = [ipset.office]")
		name = "only the office reaches published ports"
	}
	w.test(name, append(from, fmt.Sprintf("to_port = %d", unlisted), "expect = \"refused\"")...)
	for _, port := range sshPorts(h) {
		if listed(services, 6, port) {
			continue
		}
		w.test(fmt.Sprintf("only the office reaches ssh of the host on port %d", port), "from = \"anyone\"", "from_not = [ipset.office]", fmt.Sprintf("to_port = %d", port), "to_host = true", "expect = \"refused\"")
		if filled {
			w.test(fmt.Sprintf("the office reaches ssh of the host on port %d", port), "from = [ipset.office]", fmt.Sprintf("to_port = %d", port), "to_host = true", "expect = \"allowed\"")
		}
	}
	w.test("nobody reaches another port of the host", "from = \"anyone\"", fmt.Sprintf("to_port = %d", unlistedService(h, unlisted)), "to_host = true", "expect = \"refused\"")
	if !filled {
		w.line("# When the office has addresses:\n#\n# test \"the office reaches ssh of the host\" {\n#   from    = [ipset.office]\n#   to_port = %d\n#   to_host = true\n#   expect  = \"allowed\"\n# }", sshPorts(h)[0])
	}
}

func (w *writer) test(name string, attributes ...string) {
	w.line("test %q {", name)
	for _, a := range attributes {
		w.line("  %s", a)
	}
	w.line("}\n")
}

// unlistedPort is a TCP port that no accept lists.
func unlistedPort(services []accept) int {
	port := uint16(5432)
	for slices.ContainsFunc(services, func(a accept) bool { return a.has(port) }) {
		port++
	}
	return int(port)
}

// unlistedService is a port of the host that neither the policy nor ssh uses, from one on.
func unlistedService(h Host, from int) int {
	for slices.Contains(sshPorts(h), uint16(from)) {
		from++
	}
	return from
}
