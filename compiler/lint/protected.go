package lint

import "github.com/dockerfw/dockerfw/parser"

// portCounts counts for each port of a protocol how often a policy lists it as published.
// INPUT protection is for those ports.
type portCounts map[uint8]*[1<<16 + 1]int

// protectedPorts counts the ports of proxy_ports and of published_ports.
func protectedPorts(p *parser.Policy) portCounts {
	out := portCounts{}
	// Starts and ends of ranges first, then their running sum.
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
	for _, counts := range out {
		for i := 1; i < len(counts); i++ {
			counts[i] += counts[i-1]
		}
	}
	return out
}

// onlyBy reports whether this rule alone lists some port.
func (n portCounts) onlyBy(r *parser.Rule) bool {
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

// protectedPortsNote warns that removing the rule ends INPUT protection of some ports.
func (r *ruleEvidence) protectedPortsNote() string {
	if !r.protects {
		return ""
	}
	return " If you remove it, list its published ports in proxy_ports of the host: INPUT protection for docker-proxy covers some of them because of this rule only."
}
