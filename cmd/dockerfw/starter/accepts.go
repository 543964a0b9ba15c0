package starter

import (
	"cmp"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/published"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/parser/addrlist"
)

// accept is an accept block for ports of a container; one that is no rule has only comments, and no
// name.
type accept struct {
	name        string
	rule        bool
	protocol    uint8
	first, last uint16
	// address is the host's address that the port is bound to; "" for all.
	address string
	// by is the container, and of its name as far as a name in a policy may be like it.
	by, of   string
	comments []string
}

// ports is the ports as in 8000-8010/tcp.
func (a *accept) ports() string {
	text := fmt.Sprint(a.first)
	if a.last != a.first {
		text += fmt.Sprintf("-%d", a.last)
	}
	text += "/" + words.Protocol(a.protocol)
	if a.address != "" {
		text += " on " + a.address
	}
	return text
}

// target is the attributes of a test for the first port.
func (a *accept) target() []string {
	out := []string{fmt.Sprintf("to_port = %d", a.first)}
	if a.protocol != 6 {
		out = append(out, fmt.Sprintf("protocol = %q", words.Protocol(a.protocol)))
	}
	if a.address != "" {
		out = append(out, fmt.Sprintf("to_address = %q", a.address))
	}
	return out
}

// has reports whether port is one of the ports, whatever the protocol.
func (a *accept) has(port uint16) bool { return a.first <= port && port <= a.last }

// listed reports whether a block accepts a port, on all addresses of the host or on one.
func listed(blocks []accept, protocol uint8, port uint16) bool {
	return slices.ContainsFunc(blocks, func(a accept) bool { return a.rule && a.protocol == protocol && a.has(port) })
}

func portText(first, last uint16) string {
	if first == last {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("\"%d-%d\"", first, last)
}

// accepts are the blocks for published ports: one for each port, of each container and protocol;
// consecutive ports share one. A port that several containers publish, such as the replicas of a
// service or one over IPv4 and over IPv6, has one block.
func accepts(h Host) []accept {
	sorted := slices.Clone(h.Published.Ports)
	slices.SortStableFunc(sorted, func(a, b published.Port) int {
		return cmp.Or(strings.Compare(a.By, b.By), int(a.Protocol)-int(b.Protocol), boundTo(a).Compare(boundTo(b)), int(a.First)-int(b.First), int(a.Last)-int(b.Last))
	})
	var out []accept
	for _, p := range sorted {
		ephemeral := p.First == published.EphemeralFirst && p.Last == published.EphemeralLast
		a := accept{protocol: p.Protocol, first: p.First, last: p.Last, by: p.By, of: plainName(p.By)}
		if at := boundTo(p); at.IsValid() {
			a.address = at.String()
		}
		where := ""
		if p.At.Filename != "" {
			where = fmt.Sprintf(" (%s:%d)", filepath.ToSlash(p.At.Filename), p.At.Start.Line)
		}
		switch {
		case p.Address.IsLoopback():
			a.comments = []string{fmt.Sprintf("%s publishes %s for the host itself%s: no rule needed.", p.By, a.ports(), where)}
		case ephemeral:
			a.comments = []string{fmt.Sprintf("%s publishes %d/%s on a port that the engine chooses%s: write the port there,", p.By, p.Target, words.Protocol(p.Protocol), where), "and an accept for it here."}
		case p.Inactive != "":
			a.comments = []string{fmt.Sprintf("%s publishes %s%s. It has no rule, because %s is not active: init --profile adds it.", p.By, a.ports(), where, p.Inactive)}
		case a.address != "" && len(h.Office) > 0 && !h.officeHas(p.Address.Is4()):
			a.comments = []string{fmt.Sprintf("%s publishes %s%s. It has no rule, because office has no address of that family.", p.By, a.ports(), where)}
		default:
			if n := len(out) - 1; n >= 0 && out[n].rule && out[n].by == p.By && out[n].protocol == p.Protocol && out[n].address == a.address && p.First <= out[n].last+1 && out[n].last != 65535 && p.First == p.Last && p.First > out[n].last {
				out[n].last = p.Last
				out[n].comments = []string{fmt.Sprintf("%s publishes %s%s.", p.By, out[n].ports(), where)}
				continue
			}
			a.comments = []string{fmt.Sprintf("%s publishes %s%s.", p.By, a.ports(), where)}
			a.rule = true
		}
		out = append(out, a)
	}
	out = withoutCovered(out)
	for i := range out {
		if out[i].rule {
			out[i].name = uniqueName(out[:i], &out[i])
		}
	}
	return out
}

// officeHas reports whether the office has addresses of a family. Entries that cannot be read are
// errors of the policy.
func (h *Host) officeHas(ipv4 bool) bool {
	return slices.ContainsFunc(h.Office, func(entry string) bool {
		r, problem := addrlist.ParseEntry(entry)
		return problem == nil && r.From().Is4() == ipv4
	})
}

// withoutCovered leaves out each block whose ports another one accepts, with its comments there.
func withoutCovered(all []accept) []accept {
	for i := 0; i < len(all); i++ {
		others := append(slices.Clone(all[:i]), all[i+1:]...)
		at := covering(others, &all[i])
		if !all[i].rule || at == nil {
			continue
		}
		if at.by != all[i].by {
			at.comments = append(at.comments, all[i].comments...)
		}
		all = others
		i--
	}
	return all
}

// covering returns the block that accepts the ports of another one already.
func covering(all []accept, a *accept) *accept {
	for i := range all {
		if b := &all[i]; b.rule && b.protocol == a.protocol && b.first <= a.first && a.last <= b.last && (b.address == a.address || b.address == "") {
			return b
		}
	}
	return nil
}

// boundTo is the host's address that a port is bound to; the zero Addr for all of a family or of both.
func boundTo(p published.Port) netip.Addr {
	if p.Address.IsUnspecified() {
		return netip.Addr{}
	}
	return p.Address
}

// anonymous is the name for containers without one.
const anonymous = "port"

// plainName is the name of a container with only those characters that names of rules have.
func plainName(by string) string {
	if _, err := netip.ParseAddrPort(strings.TrimPrefix(by, "container ")); err == nil {
		return anonymous // it has no name, and another address tomorrow
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '-'
	}, by)
	const longest = 40
	return cmp.Or(strings.Trim(name[:min(len(name), longest)], "-_."), anonymous)
}

// uniqueName is the name of a block: that of the container, and the port.
func uniqueName(others []accept, a *accept) string {
	name := fmt.Sprintf("%s-%d", a.of, a.first)
	if a.last != a.first {
		name += fmt.Sprintf("-%d", a.last)
	}
	if a.protocol != 6 {
		name += "-" + words.Protocol(a.protocol)
	}
	out := name
	for n := 2; slices.ContainsFunc(others, func(o accept) bool { return o.name == out }); n++ {
		out = fmt.Sprintf("%s-%d", name, n)
	}
	return out
}
