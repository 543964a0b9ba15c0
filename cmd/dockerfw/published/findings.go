package published

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
)

// Finding is what there is to say about what a host publishes.
type Finding struct {
	// Fault: the policy is untrue for the ports.
	Fault bool
	Text  string
}

// Findings puts exposures into words: a fault for each port, or range of ports, that docker-proxy
// opens, and one finding for everything else that a reader of the policy may not expect.
func Findings(want *snapshot.Host, all []Exposure) []Finding {
	var out []Finding
	for _, s := range spans(all, func(x *Exposure) (string, bool) {
		return fmt.Sprint(x.container(), x.Family, x.Everyone, x.Inferred, x.Uncompiled, x.Closed, x.ByInput), x.Leak
	}) {
		out = append(out, Finding{true, s.leakText()})
	}
	list := func(heading string, about func(*Exposure) (after string, ok bool)) {
		var texts []string
		said := map[string]bool{} // a port can be published on two bridges
		for _, s := range spans(all, about) {
			if text := s.ports() + s.after; !said[text] {
				said[text] = true
				texts = append(texts, text)
			}
		}
		if len(texts) > 0 {
			const shown = 10
			out = append(out, Finding{Text: heading + ": " + words.List(texts, shown)})
		}
	}
	list("open to everyone", func(x *Exposure) (string, bool) { return blocksText(x.Accepts), x.Path == Forwarded && x.Everyone })
	list("foreign rules ahead of Docker's DNAT decide about packets for these ports, which then do not get to the container", func(x *Exposure) (string, bool) {
		return fmt.Sprintf(" (container %s, %s)", x.Port.By, x.Ahead), x.Ahead != ""
	})
	list("in no rule of the policy", func(x *Exposure) (string, bool) {
		return "", x.Path != HostNetwork && !x.Port.local() && !x.Listed && !x.Covered && !x.Leak
	})
	var ports []Port
	for _, x := range all {
		ports = append(ports, x.Port)
	}
	for _, d := range notPublished(want, ports) {
		out = append(out, Finding{Text: d.Summary})
	}
	list("network_mode: host, reachable by everyone because no input block closes them", func(x *Exposure) (string, bool) {
		return fmt.Sprintf(" (container %s) over %s", x.Port.By, words.Family(x.Family)), x.Path == HostNetwork && x.Everyone
	})
	list("published on a loopback address, so that no client outside reaches them (engines before 28 forward them for the network segment)", func(x *Exposure) (string, bool) {
		return "", x.Port.local() && x.Path == Forwarded
	})
	return out
}

// span is consecutive ports about which the same is to be said.
type span struct {
	first *Exposure
	last  uint16
	// after is the text after the ports.
	after string
}

// spans joins the exposures that about chooses: those with the same text, of consecutive ports. They
// are sorted by protocol and port; the order of Docker's rules depends on the engine.
func spans(all []Exposure, about func(*Exposure) (after string, ok bool)) []span {
	type key struct {
		protocol       uint8
		address, after string
	}
	var keys []key
	byKey := map[key][]*Exposure{}
	for i := range all {
		x := &all[i]
		after, ok := about(x)
		if !ok {
			continue
		}
		k := key{protocol: x.Port.Protocol, after: after}
		if a := x.Port.Address; a.IsValid() && !a.IsUnspecified() {
			k.address = x.Port.Address.String()
		}
		if byKey[k] == nil {
			keys = append(keys, k)
		}
		byKey[k] = append(byKey[k], x)
	}
	var out []span
	for _, k := range keys {
		slices.SortStableFunc(byKey[k], func(a, b *Exposure) int { return int(a.Port.First) - int(b.Port.First) })
		for i, x := range byKey[k] {
			if n := len(out) - 1; i > 0 && int(x.Port.First) <= int(out[n].last)+1 {
				out[n].last = x.Port.First
			} else {
				out = append(out, span{x, x.Port.First, k.after})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b span) int {
		return cmp.Or(int(a.first.Port.Protocol)-int(b.first.Port.Protocol), int(a.first.Port.First)-int(b.first.Port.First))
	})
	return out
}

// ports are the ports, as in 8000-8010/tcp.
func (s *span) ports() string {
	p := s.first.Port
	p.Last = s.last
	return p.text()
}

// container is the address of a container, without its port.
func (x *Exposure) container() string {
	if to, err := netip.ParseAddrPort(x.Port.By); err == nil {
		return to.Addr().String()
	}
	return x.Port.By
}

// leakText is what docker-proxy opens, and how to close it.
func (s *span) leakText() string {
	x := s.first
	who, container := "clients that the policy refuses", x.Port.By
	if x.Everyone {
		who = "everyone"
	}
	if s.last != x.Port.First {
		container = x.container()
	}
	text := fmt.Sprintf("%s (container %s) is reachable over %s through docker-proxy by %s, for example %s.", s.ports(), container, words.Family(x.Family), who, x.Example)
	if x.Inferred {
		text += " (The nat rules show docker-proxy; a port published on 0.0.0.0 alone has none over IPv6.)"
	}
	switch {
	case x.Uncompiled:
		return text + fmt.Sprintf(" The policy has no rules for %s: add it to families of the host block", words.Family(x.Family))
	case x.Closed:
		return text + " The policy refuses them, but its rules are not in force, or others come before them. Run: dockerfw apply FOLDER"
	}
	if len(x.ByInput) > 0 {
		return text + fmt.Sprintf(" The input block accepts them%s: publish the container's port on another port of the host, or narrow that block", blocksText(x.ByInput))
	}
	return text + fmt.Sprintf(" Add an input block to the policy, or proxy_ports = [%s] to its host block", proxyPortsText(x.Port.Protocol, x.Port.First, s.last))
}
