package lint

import "github.com/dockerfw/dockerfw/parser"

// namedPorts counts, for each port of a protocol, how often the policy names it as
// published. The guard of INPUT is for those ports.
type namedPorts map[uint8]*[1<<16 + 1]int

func portsNamed(p *parser.Policy) namedPorts {
	out := namedPorts{}
	add := func(protocol uint8, ports parser.Ports) {
		if out[protocol] == nil {
			out[protocol] = new([1<<16 + 1]int)
		}
		out[protocol][ports.First]++
		out[protocol][int(ports.Last)+1]--
	}
	for _, port := range p.Host.ProxyPorts {
		add(port.Value.Protocol, port.Value.Ports)
	}
	for _, r := range p.Rules {
		for _, protocol := range r.Protocols {
			for _, port := range r.PublishedPorts {
				add(protocol.Value.Number, port.Value)
			}
		}
	}
	for _, steps := range out {
		for i := 1; i < len(steps); i++ {
			steps[i] += steps[i-1]
		}
	}
	return out
}

// onlyBy tells whether a port is named by this rule alone.
func (n namedPorts) onlyBy(r *parser.Rule) bool {
	for _, protocol := range r.Protocols {
		for _, ports := range r.PublishedPorts {
			for port := int(ports.Value.First); port <= int(ports.Value.Last); port++ {
				if n[protocol.Value.Number][port] == 1 {
					return true
				}
			}
		}
	}
	return false
}

// keepGuarded says what else a block does that alone names a published port.
func (b *block) keepGuarded() string {
	if !b.guards {
		return ""
	}
	return " If you take it out, list its published ports in the host's proxy_ports: INPUT protection for docker-proxy depends on this rule for some of them."
}
