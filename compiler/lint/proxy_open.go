package lint

import "github.com/dockerfw/dockerfw/parser"

// proxyOpen finds policies that refuse everyone else, but not where docker-proxy answers: the
// default is for forwarded packets, and INPUT protection for listed ports only.
func proxyOpen(e *evidence) []finding {
	var out []finding
	for _, p := range e.policies {
		if p.Input != nil || p.Default.Action == parser.ActionReturn {
			continue
		}
		out = append(out, finding{
			place: p.Default.DeclRange, summary: "closed for forwarded packets only",
			detail: "Published ports that no rule lists stay reachable through docker-proxy on the host, over IPv6 for example; so do containers with network_mode: host, and services of the host. An input block closes them; it lists what the host itself serves:\n\n  input {\n    accept \"ssh\" {\n      protocol = \"tcp\"\n      ports    = [22]\n    }\n  }",
		})
	}
	return out
}
