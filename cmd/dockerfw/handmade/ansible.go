package handmade

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"go.yaml.in/yaml/v4"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// prefix is what the variables of the Ansible role iptables-docker begin with. Those that matter for
// forwarded packets are here, with the role's defaults; the others are about INPUT, or about files
// and packages.
const prefix = "iptables_docker_"

// ansible is the variables of the role.
type ansible struct {
	source *Source
	path   string
	diags  hcl.Diagnostics
	values map[string]*yaml.Node
}

// errorLine is the position in an error of the library.
var errorLine = regexp.MustCompile(`\bline ([1-9][0-9]*)`)

// addAnsible makes the rules that the role makes of its variables.
func (s *Source) addAnsible(path string, text []byte) hcl.Diagnostics {
	a := &ansible{source: s, path: path, values: map[string]*yaml.Node{}}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		at := hcl.InitialPos
		if m := errorLine.FindStringSubmatch(err.Error()); m != nil {
			at.Line, _ = strconv.Atoi(m[1])
		}
		return hcl.Diagnostics{problem(hcl.Range{Filename: path, Start: at, End: at}, "no YAML", "%s.", strings.TrimSpace(err.Error()))}
	}
	top := &root
	if len(root.Content) > 0 {
		top = root.Content[0]
	}
	if top.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(top.Content); i += 2 {
			if name, ok := strings.CutPrefix(top.Content[i].Value, prefix); ok {
				a.values[name] = top.Content[i+1]
			}
		}
	}
	if len(a.values) == 0 {
		at := hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}
		return hcl.Diagnostics{problem(at, "no variables of the Ansible role", "Of YAML files, import reads the variables of the role iptables-docker, whose names begin with %s. For another role, import what iptables-save prints on a host that it configured.", prefix)}
	}
	rules, sets := a.text()
	if a.diags.HasErrors() {
		return a.diags
	}
	a.load(rules, sets)
	s.Notes = append(s.Notes, fmt.Sprintf("%s: the rules are those that the Ansible role iptables-docker writes into DOCKER-USER; its rules for the host's own ports (chain FILTERS) are not imported", path))
	return a.diags
}

func (a *ansible) rangeOf(n *yaml.Node) hcl.Range {
	start := hcl.Pos{Line: max(1, n.Line), Column: max(1, n.Column)}
	end := start
	if n.Kind == yaml.ScalarNode {
		end.Column += len([]rune(n.Value))
	}
	return hcl.Range{Filename: a.path, Start: start, End: end}
}

func (a *ansible) bad(n *yaml.Node, summary, format string, args ...any) {
	a.diags = append(a.diags, problem(a.rangeOf(n), summary, format, args...))
}

// list is a list of scalars; nil if the variable is not set.
func (a *ansible) list(name string) []*yaml.Node {
	n := a.values[name]
	if n == nil {
		return nil
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.SequenceNode {
		if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "{{") {
			a.bad(n, "template", "import does not evaluate templates of Ansible: write the value of %s%s.", prefix, name)
			return nil
		}
		if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
			return nil
		}
		a.bad(n, "not a list", "%s%s is a list.", prefix, name)
		return nil
	}
	var out []*yaml.Node
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode || strings.Contains(item.Value, "{{") {
			a.bad(item, "not a value", "import does not evaluate templates of Ansible: write the value.")
			continue
		}
		out = append(out, item)
	}
	return out
}

// text is a scalar, or its default.
func (a *ansible) scalar(name, otherwise string) string {
	n := a.values[name]
	switch {
	case n == nil:
		return otherwise
	case n.Kind != yaml.ScalarNode || strings.Contains(n.Value, "{{"):
		a.bad(n, "not a value", "import does not evaluate templates of Ansible: write the value of %s%s.", prefix, name)
		return otherwise
	}
	return n.Value
}

// line is a rule, with the node that it comes from; nil for what the role always writes.
type ansibleRule struct {
	words []string
	at    *yaml.Node
}

// text returns the rules of DOCKER-USER and the commands for the set ip_allow, in the role's order.
func (a *ansible) text() (rules []ansibleRule, sets []ansibleRule) {
	rule := func(at *yaml.Node, words ...string) { rules = append(rules, ansibleRule{words, at}) }
	rule(nil, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "RETURN")
	rule(a.values["swarm_bridge_name"], "-i", a.scalar("swarm_bridge_name", "docker_gwbridge"), "-j", "RETURN")
	rule(a.values["swarm_bridge_ips"], "-s", a.scalar("swarm_bridge_ips", "172.18.0.0/16"), "-j", "RETURN")
	rule(a.values["bridge_name"], "-i", a.scalar("bridge_name", "docker0"), "-j", "RETURN")
	rule(a.values["bridge_ips"], "-s", a.scalar("bridge_ips", "172.17.0.0/16"), "-j", "RETURN")
	for _, protocol := range []string{"tcp", "udp"} {
		if ports := a.list("swarm_ports_allow_" + protocol); len(ports) > 0 {
			var numbers []string
			for _, p := range ports {
				if !isPort(p.Value) {
					a.bad(p, "bad port", "%q is no port from 1 to 65535, and no range such as 8000:8010.", p.Value)
				}
				numbers = append(numbers, p.Value)
			}
			rule(a.values["swarm_ports_allow_"+protocol], "-p", protocol, "-m", "multiport", "--dports", strings.Join(numbers, ","), "-j", "RETURN")
		}
	}
	adapters := a.list("swarm_network_adapter")
	if a.values["swarm_network_adapter"] == nil {
		adapters = a.list("external_network_adapter")
	}
	drop := []string{"-m", "set", "!", "--match-set", "ip_allow", "src", "-j", "DROP"}
	all := len(adapters) == 0
	for _, n := range adapters {
		all = all || n.Value == "+"
	}
	if all {
		rule(nil, drop...)
	} else {
		for _, n := range adapters {
			rule(n, append([]string{"-i", n.Value}, drop...)...)
			a.source.External = append(a.source.External, n.Value)
		}
	}
	sets = append(sets, ansibleRule{words: []string{"create", "ip_allow", "hash:net", "family", "inet"}})
	for _, name := range []string{"server_ip_allow_set", "ip_allow_set"} {
		for _, n := range a.list(name) {
			if _, err := netip.ParsePrefix(n.Value); err != nil {
				if _, err := netip.ParseAddr(n.Value); err != nil {
					a.bad(n, "bad address", "%q is no IPv4 address and no network.", n.Value)
					continue
				}
			}
			sets = append(sets, ansibleRule{words: []string{"add", "ip_allow", n.Value, "-exist"}, at: n})
		}
	}
	if a.values["server_ip_allow_set"] == nil {
		a.source.Notes = append(a.source.Notes, fmt.Sprintf("%s: the role adds the addresses of all hosts in the inventory's group docker_hosts to ip_allow; they are not in the file. Add them to the set", a.path))
	}
	return rules, sets
}

func isPort(text string) bool {
	for one := range strings.SplitSeq(text, ":") {
		if n, err := strconv.ParseUint(one, 10, 16); err != nil || n == 0 {
			return false
		}
	}
	return true
}

// load makes the tables and the set.
func (a *ansible) load(rules, sets []ansibleRule) {
	place := func(r ansibleRule) hcl.Range {
		if r.at == nil {
			return hcl.Range{Filename: a.path, Start: hcl.InitialPos, End: hcl.InitialPos}
		}
		return a.rangeOf(r.at)
	}
	tables := a.source.rules(ir.IPv4)
	head, _ := iptables.ParseRules(strings.NewReader("*filter\n:DOCKER-USER - [0:0]\nCOMMIT\n"), a.path)
	tables.Load(head)
	for _, r := range rules {
		file, diags := iptables.ParseRules(strings.NewReader("*filter\n-A DOCKER-USER "+commandText(r.words)+"\nCOMMIT\n"), a.path)
		for _, b := range file.Blocks {
			for _, c := range b.Commands {
				c.Range, c.Rule.Range = place(r), place(r)
			}
		}
		if !diags.HasErrors() {
			diags = append(diags, tables.Load(file)...)
		}
		a.report(diags, place(r))
	}
	for _, r := range sets {
		file, diags := iptables.ParseSets(strings.NewReader(commandText(r.words)+"\n"), a.path)
		if !diags.HasErrors() {
			diags = append(diags, a.source.Sets.Load(file)...)
		}
		a.report(diags, place(r))
	}
}

// report adds errors about a rule at the place of its variable.
func (a *ansible) report(diags hcl.Diagnostics, at hcl.Range) {
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			a.diags = append(a.diags, problem(at, d.Summary, "%s", d.Detail))
		}
	}
}
