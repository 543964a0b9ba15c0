package driver

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// everything is a policy whose output has rules and sets of every kind.
const everything = `
host {
  external_interfaces  = ["eth0", "eth1"]
  container_interfaces = ["br-+"]
  install              = "INSTALL"
}
ipset "clients" { entries = ["192.0.2.10", "2001:db8::/48"] }
ipset "vpn" { entries = ["198.51.100.0/24"] }
ipset "all" {
  type    = "list:set"
  members = [ipset.clients, ipset.vpn]
}
ipset "f2b" { managed = false }
established {
  sessions     = "recheck"
  drop_invalid = true
}
deny "blocked" {
  source = [ipset.f2b]
  action = "reject"
  log { limit = "1/minute" }
}
deny "flood" {
  protocol        = "udp"
  published_ports = [53]
  rate {
    limit = "90/minute"
    per   = "rule"
  }
}
accept "web" {
  protocol          = "tcp"
  published_ports   = [443, "8000-8010"]
  published_address = ["198.51.100.1", "2001:db8::1"]
  source            = ["192.0.2.0/24", "2001:db8::/32"]
  source_not        = ["192.0.2.66", "192.0.2.99"]
  connections { max = 20 }
  log { nflog_group = 5 }
}
accept "ping" { icmp_types = ["echo-request"] }
accept "dns" {
  protocol        = ["tcp", "udp"]
  container_ports = [53]
  source_ports    = ["1024-65535"]
  destination     = ["172.17.0.0/16"]
}
default {
  allow  = [ipset.all, "203.0.113.7"]
  action = "reject"
}
egress {
  deny "lan" { destination = ["10.0.0.0/8"] }
  default { allow = ["203.0.113.0/24"] }
}
`

func compileText(t *testing.T, policy string) *Result {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.hcl")
	if err := os.WriteFile(path, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	result, diags := Policy(path, Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return result
}

// textFaults are faults in printed rules, as regular expressions and their replacements.
var textFaults = []struct{ name, old, new string }{
	{"a rule of a later phase first", `(?m)^(-A \S+ .*dockerfw established".*\n)(?s:(.*?))(-A \S+ .*dockerfw default".*\n)`, "$3$2$1"},
	{"two rules of one phase swapped", `(-A .*-o br-\+ .*dockerfw accept ping".*\n)(-A .*dockerfw accept ping".*\n)`, "$2$1"},
	{"deny after accept", `(?m)^(-A .*dockerfw deny flood".*\n)(?s:(.*?))(-A .*dockerfw accept dns".*\n)`, "$2$3$1"},
	{"a rule lost", `(?m)^-A .*dockerfw deny flood".*\n`, ""},
	{"a rule twice", `(?m)^(-A .*dockerfw deny flood".*\n)`, "$1$1"},
	{"a foreign rule", `COMMIT\n\*security`, "-A CHAIN -j ACCEPT\nCOMMIT\n*security"},
	{"negation lost", `! --match-set`, "--match-set"},
	{"negation added", `-m set --match-set f2b`, "-m set ! --match-set f2b"},
	{"the wrong set", `--match-set f2b(\S*) `, "--match-set clients$1 "},
	{"the wrong end", `--match-set f2b(\S*) src`, "--match-set f2b$1 dst"},
	{"the wrong interface", `-i eth1`, "-i eth2"},
	{"interface lost", `-i eth1 `, ""},
	{"out interface lost", `-o br-\+ `, ""},
	{"the wrong protocol", `-p udp -m conntrack`, "-p tcp -m conntrack"},
	{"another published port", `--ctorigdstport 53`, "--ctorigdstport 54"},
	{"a published range without its end", `--ctorigdstport 8000:8010`, "--ctorigdstport 8000"},
	{"the wrong direction", `--ctdir ORIGINAL`, "--ctdir REPLY"},
	{"direction lost", ` --ctdir ORIGINAL`, ""},
	{"the DNAT state lost", `--ctstate DNAT `, ""},
	{"an additional state", `--ctstate RELATED `, "--ctstate NEW,RELATED "},
	{"restriction to replies lost", `--ctstate ESTABLISHED --ctdir REPLY`, "--ctstate ESTABLISHED"},
	{"source ports lost", ` --sport 1024:65535`, ""},
	{"another port", `--dport 53`, "--dport 5353"},
	{"another ICMP type", `-type (8|128)`, "-type 3"},
	{"a rate limit up to instead of above", `--hashlimit-above`, "--hashlimit-upto"},
	{"another rate", `--hashlimit-above 90/min`, "--hashlimit-above 90/sec"},
	{"another number of connections", `--connlimit-upto 20`, "--connlimit-upto 21"},
	{"limit lost", `-m connlimit \S+ \S+ \S+ \S+ --connlimit-saddr `, ""},
	{"accept instead of drop", `-j DROP`, "-j ACCEPT"},
	{"drop instead of accept", `-j (ACCEPT|RETURN)`, "-j DROP"},
	{"the wrong reject answer", `-j REJECT --reject-with tcp-reset`, "-j REJECT --reject-with PORT"},
	{"another log prefix", `"dockerfw blocked: "`, `"dockerfw: "`},
	{"another log group", `--nflog-group 5`, "--nflog-group 6"},
	{"the egress jump lost", `(?m)^-A .*-j DOCKERFW-EGRESS\n`, ""},
	{"the egress jump first", `(?ms)^(-A .*?)(^-A [^\n]*-j DOCKERFW-EGRESS\n)`, "$2$1"},
	{"a protected port off by one", `(-A DOCKERFW-INPUT .*)--dport 443`, "${1}--dport 444"},
	{"the jump to INPUT protection lost", `(?m)^-A DOCKERFW-INPUT .*\n`, ""},
	{"the jump to INPUT protection in another chain", `-A DOCKERFW-INPUT`, "-A DOCKERFW-PROXY"},
	{"INPUT protection accepts instead of returning", `(-A DOCKERFW-PROXY .*)-j RETURN`, "${1}-j ACCEPT"},
	{"the chain of INPUT protection not flushed", `(?m)^:DOCKERFW-PROXY .*\n`, ""},
	{"a chain not flushed", `(?m)^:DOCKERFW-EGRESS .*\n`, ""},
	{"COMMIT lost", `(?m)^COMMIT\n`, ""},
	{"another destination", `-d 172.17.0.0/16`, "-d 172.16.0.0/16"},
	{"another name", `dockerfw accept dns`, "dockerfw accept dn"},
	{"the fallback rules lost", `(?s)\*security.*`, ""},
	{"the fallback rules in another table", `\*security`, "*mangle"},
	{"a fallback rule lost", `(?s)(\*security.*?)-A DOCKERFW [^\n]*deny blocked[^\n]*\n`, "$1"},
	{"a fallback rule twice", `(?s)(\*security.*?)(-A DOCKERFW [^\n]*deny blocked[^\n]*\n)`, "$1$2$2"},
	{"two fallback rules swapped", `(?s)(\*security.*?)(-A [^\n]*accept ping[^\n]*\n)(-A [^\n]*accept dns[^\n]*\n)`, "$1$3$2"},
	{"a fallback rule before those of an earlier phase", `(?s)(\*security.*?)(-A DOCKERFW [^\n]*established.*?)(-A DOCKERFW [^\n]*default[^\n]*\n)`, "$1$3$2"},
	{"a fallback rule that returns instead of dropping", `(?s)(\*security.*)-j DROP`, "${1}-j RETURN"},
	{"a fallback rule that drops instead of returning", `(?s)(\*security.*)-j RETURN`, "${1}-j DROP"},
	{"a fallback rule that accepts", `(?s)(\*security.*)-j RETURN`, "${1}-j ACCEPT"},
	{"a fallback rule that logs", `(?s)(\*security.*)-j DROP`, "${1}-j LOG"},
	{"a fallback rule with the limit of its rule", `(?s)(\*security.*?-A [^\n]*)(-m comment[^\n]* accept web)`, "$1-m connlimit --connlimit-upto 20 --connlimit-mask 32 --connlimit-saddr $2"},
	{"a fallback rule with another set", `(?s)(\*security.*)--match-set f2b(\S*) `, "$1--match-set clients$2 "},
	{"the egress chain of the fallback rules lost", `(?s)(\*security.*?):DOCKERFW-EGRESS - \[0:0\]\n`, "$1"},
	{"another chain in the security table", `(?s)(\*security.*)COMMIT`, "$1:DOCKERFW-INPUT - [0:0]\nCOMMIT"},
	{"the jump to the fallback rules", `(?s)(\*security.*)COMMIT`, "$1-A FORWARD -j DOCKERFW\nCOMMIT"},
	{"the policy of the security table", `(?s)(\*security.*)COMMIT`, "$1:FORWARD DROP [0:0]\nCOMMIT"},
	{"a third table", `(?s)\z`, "*mangle\n:DOCKERFW - [0:0]\nCOMMIT\n"},
}

func TestFaultsInPrintedRulesAreRefused(t *testing.T) {
	for _, install := range installs(t) {
		result := compileText(t, strings.ReplaceAll(everything, "INSTALL", install))
		host := result.Hosts[0]
		good := iptablesText(host.Files)
		for _, fault := range textFaults {
			for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
				old := strings.ReplaceAll(fault.old, "-A", "-[AI]")
				chain := host.Tables.Programs[0].Chains[0].Name
				broken := good
				broken.Rules = maps.Clone(good.Rules)
				port := map[ir.Family]string{ir.IPv4: "icmp-port-unreachable", ir.IPv6: "icmp6-port-unreachable"}[f]
				replacement := strings.NewReplacer("CHAIN", chain, "PORT", port).Replace(fault.new)
				broken.Rules[f] = regexp.MustCompile(old).ReplaceAll(good.Rules[f], []byte(replacement))
				if bytes.Equal(broken.Rules[f], good.Rules[f]) {
					if f == ir.IPv4 && install != "insert" {
						t.Errorf("%s, %s: the fault changes nothing; fix the test", install, fault.name)
					}
					continue
				}
				diags := prove(host, broken)
				if !refused(diags) {
					t.Errorf("%s, %s, %s: accepted:\n%s", install, f, fault.name, broken.Rules[f])
				}
			}
		}
	}
}

// Long runs of elements are read back as numbers.
func TestFaultsInALargeSetAreRefused(t *testing.T) {
	result := compileText(t, `
host {
  external_interfaces = ["eth0"]
}
ipset "many" {
  entries = flatten([for i in range(1000) : ["10.0.${floor(i / 100)}.${2 * (i % 100)}", format("2001:db8::%x", 2 * i)]])
}
default {
  allow = [ipset.many]
}
`)
	host := result.Hosts[0]
	for _, fault := range []struct{ name, old, new string }{
		{"another address", `(add many-new 10.0.5.100)\n`, "add many-new 10.0.5.101\n"},
		{"another network", `(add many-new 10.0.5.100)\n`, "$1/31\n"},
		{"another IPv6 address", `(add many-v6-new 2001:db8::100)\n`, "add many-v6-new 2001:db8::101\n"},
		{"an address twice instead of the next one", `(add many-new 10.0.5.100\n)add many-new 10.0.5.102\n`, "$1$1"},
		{"the last address lost", `add many-new 10.0.9.198\n`, ""},
		{"an additional address", `(add many-new 10.0.5.100\n)`, "${1}add many-new 10.0.5.101\n"},
	} {
		text := iptablesText(host.Files)
		good := text.Sets
		text.Sets = regexp.MustCompile(fault.old).ReplaceAll(good, []byte(fault.new))
		if bytes.Equal(text.Sets, good) {
			t.Fatalf("%s: the fault changes nothing; fix the test", fault.name)
		}
		if !refused(prove(host, text)) {
			t.Errorf("%s: accepted", fault.name)
		}
		if !refused(prove(host, printed(text))) {
			t.Errorf("%s, printed: accepted", fault.name)
		}
	}
	good := printed(iptablesText(host.Files))
	if diags := prove(host, good); diags.HasErrors() {
		t.Fatal(diags)
	}
	print := good.PrintSets
	good.SetsDigest[0]++ // it is a text that was not printed before
	good.PrintSets = func(w io.Writer) error { return errors.Join(print(w), errors.New("printed otherwise than before")) }
	if !refused(prove(host, good)) {
		t.Error("an error at the end of the text: accepted")
	}
	good.SetsDigest[0]++
	good.PrintSets = func(w io.Writer) error {
		err := print(w)
		for range 2 {
			_, more := io.WriteString(w, "quit\n"+strings.Repeat("# more than a buffer\n", 10_000))
			err = errors.Join(err, more)
		}
		return errors.Join(err, errors.New("printed otherwise than before"))
	}
	if !refused(prove(host, good)) {
		t.Error("an error after the parser has stopped: accepted")
	}
}

// printed returns the text with sets that are printed, as if they were too large for memory.
func printed(text iptables.Text) iptables.Text {
	sets := text.Sets
	text.Sets, text.SetsDigest = nil, sha256.Sum256(sets)
	text.PrintSets = func(w io.Writer) error {
		for chunk := range slices.Chunk(sets, 1000) {
			if _, err := w.Write(chunk); err != nil {
				return err
			}
		}
		return nil
	}
	return text
}

func TestFaultsInPrintedSetsAreRefused(t *testing.T) {
	result := compileText(t, strings.ReplaceAll(everything, "INSTALL", "replace"))
	host := result.Hosts[0]
	for _, fault := range []struct{ name, old, new string }{
		{"an element lost", `(?m)^add clients-new .*\n`, ""},
		{"an additional element", `(?m)^(add clients-new .*\n)`, "${1}add clients-new 203.0.113.99\n"},
		{"a wider element", `add vpn-new 198.51.100.0/24`, "add vpn-new 198.51.0.0/16"},
		{"a member lost", `(?m)^add all-new vpn\n`, ""},
		{"a set not swapped in", `(?m)^swap clients-new clients\n`, ""},
		{"a temporary set not destroyed", `(?m)^destroy clients-new\n`, ""},
		{"another type", `create clients(\S*) hash:net`, "create clients$1 hash:ip"},
		{"a flush", `(?m)^(swap clients-new clients\n)`, "${1}flush clients\n"},
		{"an unmanaged set destroyed", `(?m)^(swap clients-new clients\n)`, "${1}destroy f2b\n"},
		{"another maxelem", `create vpn(\S*) (.*)maxelem 1048576`, "create vpn$1 ${2}maxelem 65536"},
	} {
		text := iptablesText(host.Files)
		good := text.Sets
		text.Sets = regexp.MustCompile(fault.old).ReplaceAll(good, []byte(fault.new))
		if bytes.Equal(good, text.Sets) {
			t.Errorf("%s: the fault changes nothing; fix the test", fault.name)
		}
		if !refused(prove(host, text)) {
			t.Errorf("%s: accepted:\n%s", fault.name, text.Sets)
		}
	}
}

func TestIncompleteRemovalIsRefused(t *testing.T) {
	for _, install := range []string{"replace", "jump", "insert"} {
		result := compileText(t, strings.ReplaceAll(everything, "INSTALL", install))
		host := result.Hosts[0]
		lines := strings.SplitAfter(string(iptablesText(host.Files).RulesRemoval[ir.IPv4]), "\n")
		for i, line := range lines {
			if !strings.HasPrefix(line, "-") && !strings.HasPrefix(line, ":DOCKER-USER") {
				continue
			}
			text := iptablesText(host.Files)
			text.RulesRemoval[ir.IPv4] = []byte(strings.Join(slices.Delete(slices.Clone(lines), i, i+1), ""))
			// A chain without rules needs no flush before it is deleted.
			if strings.HasPrefix(line, "-F") && refused(prove(host, text)) {
				continue
			}
			if !refused(prove(host, text)) {
				t.Errorf("%s: removal without %q accepted", install, line)
			}
		}
	}
}

// refused reports whether the first diagnostic is an internal error, as for every failed
// proof.
func refused(diags hcl.Diagnostics) bool {
	return diags.HasErrors() && diag.InfoOf(diags[0]).Code == diag.CodeInternal
}
