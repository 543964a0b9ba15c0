package golden

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/diff"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/parser"
)

// attributeSample is what a policy needs for one attribute to have an effect.
type attributeSample struct {
	// without and with are the lines of the attribute's block.
	without, with string
	// spelling is set if the attribute changes the emitted files, but not what happens to
	// any packet.
	spelling bool
	// attribute is the name, which the test sets.
	attribute string
}

const webPort = "protocol = \"tcp\"\npublished_ports = [80]\n"

// attributeSamples has one sample for each attribute of the blocks that become rules or
// sets, by "block.attribute".
var attributeSamples = map[string]attributeSample{
	"host.external_interfaces":  {`external_interfaces = ["eth0"]`, `external_interfaces = ["eth0", "eth1"]`, false, ""},
	"host.container_interfaces": {``, `container_interfaces = ["docker0"]`, false, ""},
	"host.families":             {``, `families = ["ipv4"]`, false, ""},
	"host.chain":                {"install = \"insert\"", "install = \"insert\"\nchain = \"DOCKER\"", true, ""},
	"host.install":              {``, `install = "jump"`, false, ""},
	"host.verdict":              {``, `verdict = "return"`, false, ""},
	"host.input_guard":          {``, `input_guard = false`, false, ""},
	"host.proxy_ports":          {``, `proxy_ports = [8080]`, false, ""},
	"host.variables":            {`variables = { allowed = "192.0.2.1" }`, `variables = { allowed = "192.0.2.2" }`, false, ""},
	"ipset.type":                {`entries = ["192.0.2.1"]`, "type = \"hash:ip\"\nentries = [\"192.0.2.1\"]", true, ""},
	"ipset.entries":             {`entries = ["192.0.2.1"]`, `entries = ["192.0.2.1", "192.0.2.9"]`, false, ""},
	"ipset.files":               {`entries = ["192.0.2.1"]`, "entries = [\"192.0.2.1\"]\nfiles = [\"list.txt\"]", false, ""},
	"ipset.exclude":             {`entries = ["192.0.2.0/24"]`, "entries = [\"192.0.2.0/24\"]\nexclude = [\"192.0.2.9\"]", false, ""},
	"ipset.exclude_files":       {`entries = ["203.0.113.0/24"]`, "entries = [\"203.0.113.0/24\"]\nexclude_files = [\"list.txt\"]", false, ""},
	"ipset.aggregate":           {`entries = ["192.0.2.0/25", "192.0.2.128/25"]`, "entries = [\"192.0.2.0/25\", \"192.0.2.128/25\"]\naggregate = false", true, ""},
	"ipset.managed":             {`entries = []`, `managed = false`, false, ""},
	"ipset.ipv6_name":           {`managed = false`, "managed = false\nipv6_name = \"other6\"", false, ""},
	"ipset.members":             {"type = \"list:set\"\nmembers = [ipset.other]", "type = \"list:set\"\nmembers = [ipset.other, ipset.third]", false, ""},
	"ipset.hashsize":            {`entries = ["192.0.2.1"]`, "entries = [\"192.0.2.1\"]\nhashsize = 4096", true, ""},
	"ipset.maxelem":             {`entries = ["192.0.2.1"]`, "entries = [\"192.0.2.1\"]\nmaxelem = 99", true, ""},
	"ipset.timeout":             {`managed = false`, "managed = false\ntimeout = 60", true, ""},
	"ipset.counters":            {`entries = ["192.0.2.1"]`, "entries = [\"192.0.2.1\"]\ncounters = true", true, ""},
	"ipset.comment":             {`entries = ["192.0.2.1"]`, "entries = [\"192.0.2.1\"]\ncomment = true", true, ""},
	"established.sessions":      {``, `sessions = "recheck"`, false, ""},
	"established.drop_invalid":  {``, `drop_invalid = true`, false, ""},
	"rule.source":               {webPort, webPort + `source = ["192.0.2.0/24"]`, false, ""},
	"rule.source_not":           {webPort, webPort + `source_not = ["192.0.2.0/24"]`, false, ""},
	"rule.destination":          {webPort, webPort + `destination = ["172.17.0.2"]`, false, ""},
	"rule.destination_not":      {webPort, webPort + `destination_not = ["172.17.0.2"]`, false, ""},
	"rule.protocol":             {`protocol = "tcp"`, `protocol = "udp"`, false, ""},
	"rule.published_ports":      {webPort, "protocol = \"tcp\"\npublished_ports = [81]\n", false, ""},
	"rule.published_address":    {webPort, webPort + `published_address = ["198.51.100.1"]`, false, ""},
	"rule.ports":                {webPort, "protocol = \"tcp\"\nports = [81]\n", false, ""},
	"rule.container_ports":      {webPort, webPort + `container_ports = [8080]`, false, ""},
	"rule.source_ports":         {webPort, webPort + `source_ports = [53]`, false, ""},
	"rule.icmp_types":           {`icmp_types = ["echo-request"]`, `icmp_types = ["echo-request", "timestamp-request"]`, false, ""},
	"rule.interfaces":           {webPort, webPort + `interfaces = ["eth9"]`, false, ""},
	"rule.out_interfaces":       {webPort, webPort + `out_interfaces = ["docker0"]`, false, ""},
	"rule.hosts":                {webPort, webPort + `hosts = ["other"]`, false, ""},
	"rule.action":               {webPort, webPort + `action = "reject"`, false, ""},
	"rule.for_each":             {"for_each = [\"a\"]\n" + webPort, "for_each = [\"a\", \"b\"]\n" + webPort, true, ""},
	"rule.expires":              {webPort, webPort + `expires = "2037-01-31"`, false, ""},
	"rule.enabled":              {webPort, webPort + `enabled = false`, false, ""},
	"rate.limit":                {`limit = "1/second"`, `limit = "2/second"`, false, ""},
	"rate.burst":                {`limit = "1/second"`, "limit = \"1/second\"\nburst = 9", false, ""},
	"rate.per":                  {`limit = "1/second"`, "limit = \"1/second\"\nper = \"rule\"", false, ""},
	"connections.max":           {`max = 3`, `max = 4`, false, ""},
	"connections.per_prefix_v4": {`max = 3`, "max = 3\nper_prefix_v4 = 24", false, ""},
	"connections.per_prefix_v6": {`max = 3`, "max = 3\nper_prefix_v6 = 64", false, ""},
	"log.prefix":                {``, `prefix = "other: "`, true, ""},
	"log.level":                 {``, `level = "info"`, true, ""},
	"log.limit":                 {``, `limit = "1/hour"`, true, ""},
	"log.nflog_group":           {``, `nflog_group = 7`, true, ""},
	"default.allow":             {``, `allow = ["203.0.113.77"]`, false, ""},
	"default.action":            {``, `action = "reject"`, false, ""},
}

// withoutEffect are attributes that change no rule and no set, and why.
var withoutEffect = map[string]string{
	"host.internal_interfaces": "the manifest has it, for the checks of a host",
	"host.target":              "it changes which files there are: TestExamplesCompileForNFTables",
	"ipset.min_entries":        "it stops a compile",
	"rule.description":         "it is for people",
}

// TestEveryAttributeHasAnEffect compiles each attribute's sample with and without the
// attribute: an attribute that neither the passes nor the semantics know would be proved
// right, and have no effect.
func TestEveryAttributeHasAnEffect(t *testing.T) {
	seen, unused := map[string]bool{}, map[string]bool{}
	for name := range attributeSamples {
		unused[name] = true
	}
	eachBlock(func(_ string, b *parser.Block) {
		switch b.Type {
		case "variable", "validation", "locals", "test":
			return // they become no rule
		}
		for _, a := range b.Attributes {
			kind := b.Type
			if kind == "deny" || kind == "accept" {
				kind = "rule"
			}
			name := kind + "." + a.Name
			if seen[name] {
				continue
			}
			seen[name] = true
			delete(unused, name)
			sample, found := attributeSamples[name]
			switch {
			case withoutEffect[name] != "":
			case !found:
				t.Errorf("%s: no sample, so that nothing shows that lowering, semantics and emission know it", name)
			default:
				sample.attribute = a.Name
				t.Run(name, func(t *testing.T) { sample.test(t, kind) })
			}
		}
	})
	for name := range unused {
		t.Errorf("a sample of %s, which the schema does not have", name)
	}
}

func (s attributeSample) test(t *testing.T, kind string) {
	if kind != "rule" {
		s.compare(t, kind, sampleVariant{}, diff.Forwarded, diff.ToProxy)
		return
	}
	for _, v := range sampleVariants {
		if slices.Contains(v.without, s.attribute) {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			if v.block == "" || s.spelling {
				s.compare(t, kind, v, diff.Forwarded, diff.ToProxy)
				return
			}
			s.compare(t, kind, v, v.path)
		})
	}
}

// sampleVariant is a place in a policy where the attributes of a rule must have an effect.
type sampleVariant struct {
	name string
	// block is "deny" or "accept", and in the block around it, "" for none.
	block, in string
	// path is where the effect must show.
	path diff.Path
	// without are attributes that have none there.
	without []string
}

// containerAttributes are conditions that no packet in INPUT shows. A rule with one of them
// is left out there, or has no such condition: docs/language.md, "INPUT protection".
var containerAttributes = []string{"destination", "destination_not", "container_ports", "out_interfaces", "icmp_types"}

var sampleVariants = []sampleVariant{
	{name: "deny", block: "deny", path: diff.Forwarded, without: []string{"ports"}},
	{name: "accept", block: "accept", path: diff.Forwarded, without: []string{"action", "ports"}},
	{name: "deny in INPUT", block: "deny", path: diff.ToProxy, without: append([]string{"ports"}, containerAttributes...)},
	// An accept with a container condition is left out of INPUT as a whole, which shows.
	{name: "accept in INPUT", block: "accept", path: diff.ToProxy, without: []string{"action", "icmp_types", "ports"}},
	{name: "deny in egress", block: "deny", in: "egress", path: diff.Forwarded, without: []string{"ports", "published_ports", "published_address"}},
	{name: "accept in egress", block: "accept", in: "egress", path: diff.Forwarded, without: []string{"ports", "published_ports", "published_address", "action"}},
	{name: "deny in the input block", block: "deny", in: "input", path: diff.ToProxy, without: []string{"published_ports", "published_address", "container_ports", "out_interfaces"}},
	// ICMP is left alone by its default.
	{name: "accept in the input block", block: "accept", in: "input", path: diff.ToProxy, without: []string{"published_ports", "published_address", "container_ports", "out_interfaces", "action", "icmp_types"}},
}

// compare compiles the sample with and without the attribute, and requires a change on one
// of the paths; none at all if it is a matter of spelling.
func (s attributeSample) compare(t *testing.T, kind string, v sampleVariant, paths ...diff.Path) {
	t.Helper()
	without, with := compileSample(t, samplePolicy(t, kind, v, s.without)), compileSample(t, samplePolicy(t, kind, v, s.with))
	if emittedRules(without) == emittedRules(with) {
		t.Error("the emitted files are the same with and without it")
	}
	report := compareSamples(t, without, with)
	changed := slices.ContainsFunc(report.Changes, func(c diff.Change) bool {
		return slices.Contains(paths, c.Path) || len(c.Proxy) > 0 && slices.Contains(paths, diff.ToProxy)
	})
	if changed == s.spelling {
		t.Errorf("changes in what happens to packets: %t; want %t\n%+v", changed, !s.spelling, report.Changes)
	}
}

// samplePolicy writes a policy in which a block of a kind has some lines.
func samplePolicy(t *testing.T, kind string, v sampleVariant, lines string) string {
	t.Helper()
	blocks := map[string]string{
		"host": "external_interfaces = [\"eth0\"]\n", "ipset": "entries = [\"192.0.2.1\"]\n",
		"established": "", "rule": webPort, "default": "allow = [var.allowed]\n", "rate": "", "connections": "", "log": "",
	}
	switch {
	case kind == "host" && strings.Contains(lines, "external_interfaces"):
		blocks[kind] = lines
	case kind == "host":
		blocks[kind] += lines
	default:
		blocks[kind] = lines
	}
	nested := ""
	switch kind {
	case "rate", "connections", "log":
		nested = kind + " {\n" + lines + "\n}\n"
	}
	block := "deny"
	if v.block != "" {
		block = v.block
		if v.in != "input" { // which is not for the ports that the policy lists
			blocks["host"] += "proxy_ports = [80, \"53/udp\", \"80/udp\"]\n"
		}
	}
	rule := block + " \"sample\" {\n" + blocks["rule"] + "\n" + nested + "}\n"
	if v.in == "input" {
		rule = strings.Replace(rule, "published_ports", "ports", 1)
		if block == "deny" {
			rule += "default {\n  action = \"return\"\n}\n"
		}
		rule = "input {\n" + rule + "}\n"
	}
	if v.in == "egress" {
		if !strings.Contains(rule, "container_ports") {
			rule = strings.Replace(rule, "published_ports", "container_ports", 1)
		}
		rule = strings.Replace(rule, "published_ports = [80]\n", "", 1)
		if block == "accept" {
			rule += "default {\n  action = \"drop\"\n}\n"
		}
		rule = "egress {\n" + rule + "}\n"
	}
	others := `
accept "open" {
  protocol = "tcp"
  published_ports = [22, "70-90"]
}
accept "dns" {
  protocol = "udp"
  published_ports = [53]
}
accept "ping" {
  protocol = ["icmp", "icmpv6"]
}
`
	if block == "accept" || v.in == "input" {
		others = "" // they would let through what the sample lets through
	}
	dir := t.TempDir()
	policy := `
host "sample" {
` + blocks["host"] + `
}
host "other" {
  external_interfaces = ["eth0"]
}
variable "allowed" {
  default = "203.0.113.9"
}
ipset "other" { entries = ["192.0.2.7"] }
ipset "third" { entries = ["192.0.2.8"] }
ipset "sample" {
` + blocks["ipset"] + `
}
established {
` + blocks["established"] + `
}
deny "set" {
  source = [ipset.sample]
}
` + others + rule + `
default {
` + blocks["default"] + `
}
`
	for name, text := range map[string]string{"policy.hcl": policy, "list.txt": "203.0.113.5\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "policy.hcl")
}

func compileSample(t *testing.T, policy string) *driver.Result {
	t.Helper()
	result, diags := driver.Policy(policy, driver.Options{Hosts: []string{"sample"}, Now: today})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return result
}

// emittedRules returns the files that the host loads.
func emittedRules(result *driver.Result) string {
	var b bytes.Buffer
	for _, f := range result.Hosts[0].Files {
		if strings.HasSuffix(f.Name, ".restore") {
			_, body, _ := bytes.Cut(f.Content, []byte("\n")) // the first line describes the rest
			b.Write(body)
		}
	}
	return b.String()
}

func compareSamples(t *testing.T, old, new *driver.Result) *diff.Report {
	t.Helper()
	var sides []*snapshot.Fleet
	for _, result := range []*driver.Result{old, new} {
		side, diags := snapshot.OfResult("policy.hcl", result)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		sides = append(sides, side)
	}
	reports, err := diff.Fleet(sides[0], sides[1], diff.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return reports[0]
}
