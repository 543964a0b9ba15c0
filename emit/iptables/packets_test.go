package iptables_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/parser"
)

// compile lowers a policy's text for its first host.
func compile(t testing.TB, text string) (*iptables.Tables, hcl.Diagnostics) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.hcl")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	source, diags := parser.Load(path, parser.Inputs{}, false)
	if diags.HasErrors() {
		return nil, diags
	}
	defer source.Close()
	policy, more := source.Evaluate(source.Hosts()[0], time.Time{})
	diags = append(diags, more...)
	if diags.HasErrors() {
		return nil, diags
	}
	ruleset, more := compiler.Compile(policy, compiler.NewLists(source.Dir))
	if diags = append(diags, more...); ruleset == nil {
		return nil, diags
	}
	tables, more := iptables.Legalise(ruleset)
	return tables, append(diags, more...)
}

// packet is what the rules can know of a packet. The zero value of a field means
// what a usual packet has; see parsePacket.
type packet struct {
	in, out              string
	src, dst             netip.Addr
	protocol             uint8
	srcPort, dstPort     uint16
	icmpType, icmpCode   uint8
	states               ir.CTState
	reply                bool
	origDst              netip.Addr
	origDstPort          uint16
	overRate, overNumber bool
}

// parsePacket reads words such as "src=192.0.2.1 tcp pub=443 port=8443":
//
//	in= out=      interfaces, eth0 and docker0 unless given
//	src= dst=     addresses; dst is a container's unless given
//	tcp udp …     the protocol
//	pub=          the published port that the client connected to, through DNAT
//	at=           the host address that the client connected to, through DNAT
//	port= sport=  the port after DNAT, the source port
//	type=8/0      ICMP type and code
//	established, related, invalid, reply; new unless given
//	overrate, overnumber: limits are exceeded
func parsePacket(t testing.TB, text string) packet {
	t.Helper()
	p := packet{in: "eth0", out: "docker0"}
	number := func(s string) uint16 {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			t.Fatalf("packet %q: %v", text, err)
		}
		return uint16(n)
	}
	dnat := false
	for _, word := range strings.Fields(text) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "in":
			p.in = value
		case "out":
			p.out = value
		case "src":
			p.src = netip.MustParseAddr(value)
		case "dst":
			p.dst = netip.MustParseAddr(value)
		case "tcp":
			p.protocol = 6
		case "udp":
			p.protocol = 17
		case "sctp":
			p.protocol = 132
		case "icmp":
			p.protocol = 1
		case "icmpv6":
			p.protocol = 58
		case "proto":
			p.protocol = uint8(number(value))
		case "pub":
			p.origDstPort, dnat = number(value), true
		case "at":
			p.origDst, dnat = netip.MustParseAddr(value), true
		case "port":
			p.dstPort = number(value)
		case "sport":
			p.srcPort = number(value)
		case "type":
			typ, code, _ := strings.Cut(value, "/")
			p.icmpType = uint8(number(typ))
			if code != "" {
				p.icmpCode = uint8(number(code))
			}
		case "established":
			p.states |= ir.CTEstablished
		case "related":
			p.states |= ir.CTRelated
		case "invalid":
			p.states |= ir.CTInvalid
		case "reply":
			p.reply = true
		case "overrate":
			p.overRate = true
		case "overnumber":
			p.overNumber = true
		default:
			t.Fatalf("packet %q: what is %q?", text, word)
		}
	}
	if p.states == 0 {
		p.states = ir.CTNew
	}
	v6 := p.src.Is6()
	if !p.dst.IsValid() {
		p.dst = netip.MustParseAddr("172.17.0.2")
		if v6 {
			p.dst = netip.MustParseAddr("fd00::2")
		}
	}
	if dnat {
		p.states |= ir.CTDNAT
		if p.dstPort == 0 {
			p.dstPort = p.origDstPort
		}
	} else {
		p.origDstPort = p.dstPort
	}
	if !p.origDst.IsValid() {
		p.origDst = p.dst
		if dnat {
			p.origDst = netip.MustParseAddr("198.51.100.1")
			if v6 {
				p.origDst = netip.MustParseAddr("2001:db8:ffff::1")
			}
		}
	}
	return p
}

// decide sends p through the rules as the kernel would: the first rule that
// matches and has a verdict decides. It knows nothing of how the rules came about.
// A packet no rule decides is Docker's. "+log" marks that the packet was logged.
func decide(rs *iptables.Tables, p packet) string {
	for _, program := range rs.Programs {
		if (program.Family == ir.IPv6) == p.src.Is6() {
			verdict, logged := walk(rs, program, program.Chains[0].Name, p)
			if verdict == "" {
				verdict = "docker"
			}
			if logged {
				verdict += "+log"
			}
			return verdict
		}
	}
	return "docker" // no table of ours for the family
}

func walk(rs *iptables.Tables, program *iptables.Program, name string, p packet) (verdict string, logged bool) {
	i := slices.IndexFunc(program.Chains, func(c *iptables.Chain) bool { return c.Name == name })
	for _, r := range program.Chains[i].Rules {
		if !slices.ContainsFunc(r.Matches, func(m iptables.Match) bool { return !matches(rs, m, p) }) {
			switch v := r.Verdict.(type) {
			case iptables.Accept:
				return "accept", logged
			case iptables.Drop:
				return "drop", logged
			case iptables.Reject:
				return "reject " + v.With, logged
			case iptables.Return:
				return "", logged
			case iptables.Log, iptables.NFLog:
				logged = true
			case iptables.Jump:
				inner, more := walk(rs, program, v.Chain, p)
				logged = logged || more
				if inner != "" {
					return inner, logged
				}
			default:
				panic(fmt.Sprintf("verdict %T", v))
			}
		}
	}
	return "", logged
}

func matches(rs *iptables.Tables, m iptables.Match, p packet) bool {
	end := func(d iptables.Direction) netip.Addr {
		if d == iptables.Dst {
			return p.dst
		}
		return p.src
	}
	within := func(r *ir.PortRange, port uint16) bool { return r == nil || r.First <= port && port <= r.Last }
	switch m := m.(type) {
	case iptables.Address:
		return m.Prefix.Contains(end(m.Dir)) != m.Not
	case iptables.Interface:
		name := p.in
		if m.Dir == iptables.Dst {
			name = p.out
		}
		if prefix, wild := strings.CutSuffix(m.Name, "+"); wild {
			return strings.HasPrefix(name, prefix)
		}
		return name == m.Name
	case iptables.Protocol:
		return m.Number == p.protocol
	case iptables.Ports:
		return m.Protocol == p.protocol && within(m.Src, p.srcPort) && within(m.Dst, p.dstPort)
	case iptables.ICMP:
		protocol := uint8(1)
		if m.Family == ir.IPv6 {
			protocol = 58
		}
		return p.protocol == protocol && m.Type == p.icmpType && (m.Code < 0 || m.Code == int(p.icmpCode))
	case iptables.Conntrack:
		return (m.States == 0 || m.States&p.states != 0) &&
			(!m.OrigDst.IsValid() || m.OrigDst == p.origDst) &&
			within(m.OrigDstPort, p.origDstPort) &&
			(m.Dir == ir.CTAny || (m.Dir == ir.CTReply) == p.reply)
	case iptables.SetMatch:
		return inSet(rs, m.Set, end(m.Dir)) != m.Not
	case iptables.HashLimit:
		return m.Above == p.overRate
	case iptables.ConnLimit:
		return m.Above == p.overNumber
	case iptables.Limit:
		return true
	}
	panic(fmt.Sprintf("match %T", m))
}

func inSet(rs *iptables.Tables, name string, a netip.Addr) bool {
	i := slices.IndexFunc(rs.Sets, func(s *iptables.Set) bool { return s.Name == name })
	if i < 0 {
		panic("no set " + name)
	}
	s := rs.Sets[i]
	return slices.ContainsFunc(s.Prefixes, func(p netip.Prefix) bool { return p.Contains(a) }) ||
		slices.ContainsFunc(s.Members, func(m string) bool { return inSet(rs, m, a) })
}

const hostEth0 = `
host {
  external_interfaces = ["eth0"]
}
`

// packetTable is a policy with packets and what becomes of each.
type packetTable struct{ name, policy, packets string }

// packetTables are policies, and what they do to packets. Host blocks are left out
// where nothing depends on them; hostEth0 is put in.
var packetTables = []packetTable{
	{"nothing said drops all that enters, and nothing else", ``, `
		src=192.0.2.1 tcp pub=80                         drop
		src=2001:db8::1 tcp pub=80                       drop
		src=192.0.2.1 icmp type=8                        drop
		src=192.0.2.1 tcp pub=80 established             accept
		src=192.0.2.1 tcp related                        accept
		src=192.0.2.1 tcp established reply              accept
		src=192.0.2.1 tcp invalid                        drop
		src=172.17.0.2 dst=1.1.1.1 in=docker0 out=eth0   docker
		src=172.17.0.2 in=docker0 out=docker0            docker
		src=192.0.2.1 in=eth01                           docker
	`},
	{"a published port is the port clients connect to", `
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443, "8000-8010"]
		}
	`, `
		src=192.0.2.1 tcp pub=443 port=8443              accept
		src=2001:db8::1 tcp pub=443 port=8443            accept
		src=192.0.2.1 tcp pub=443                        accept
		src=192.0.2.1 tcp pub=444 port=443               drop
		src=192.0.2.1 udp pub=443                        drop
		src=192.0.2.1 tcp pub=8000                       accept
		src=192.0.2.1 tcp pub=8010 port=80               accept
		src=192.0.2.1 tcp pub=8011                       drop
		src=192.0.2.1 tcp pub=7999                       drop
		# A route to the container does not open what nobody published.
		src=192.0.2.1 tcp port=443                       drop
		src=192.0.2.1 tcp pub=443 reply                  drop
	`},
	{"a container port is the port behind it", `
		accept "web" {
		  protocol        = ["tcp", "udp"]
		  container_ports = [8443]
		  source_ports    = ["1024-65535"]
		}
	`, `
		src=192.0.2.1 tcp pub=443 port=8443 sport=2000   accept
		src=192.0.2.1 udp port=8443 sport=1024           accept
		src=192.0.2.1 udp port=8443 sport=1023           drop
		src=192.0.2.1 tcp pub=8443 port=443 sport=2000   drop
		src=192.0.2.1 sctp port=8443 sport=2000          drop
	`},
	{"published and container port must both hold", `
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		  container_ports = [8443]
		}
	`, `
		src=192.0.2.1 tcp pub=443 port=8443              accept
		src=192.0.2.1 tcp pub=443 port=8444              drop
		src=192.0.2.1 tcp pub=444 port=8443              drop
	`},
	{"a published address is the one clients connect to", `
		accept "web" {
		  protocol          = "tcp"
		  published_ports   = [443]
		  published_address = ["198.51.100.1", "198.51.100.2", "2001:db8:ffff::9"]
		}
		deny "admin" {
		  published_address = ["198.51.100.9"]
		}
		accept "v4-only" {
		  protocol          = "udp"
		  published_address = ["198.51.100.3"]
		}
	`, `
		src=192.0.2.1 tcp pub=443 at=198.51.100.2        accept
		src=192.0.2.1 tcp pub=443 at=198.51.100.3        drop
		src=192.0.2.1 tcp pub=80 at=198.51.100.1         drop
		src=192.0.2.1 tcp port=443 dst=198.51.100.1      drop
		src=2001:db8::1 tcp pub=443 at=2001:db8:ffff::9  accept
		src=2001:db8::1 tcp pub=443 at=2001:db8:ffff::8  drop
		src=192.0.2.1 udp at=198.51.100.3 port=5         accept
		src=192.0.2.1 tcp at=198.51.100.3 port=5         drop
		src=2001:db8::1 udp at=2001:db8:ffff::9 port=5   drop
	`},
	{"several external interfaces, wildcards among them", `
		host {
		  external_interfaces = ["eth0", "wg+"]
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
		accept "vpn" {
		  protocol        = "tcp"
		  published_ports = [22]
		  interfaces      = ["wg1", "tun+"]
		}
		deny "bad" {
		  source     = ["203.0.113.0/24"]
		  interfaces = ["eth+"]
		}
	`, `
		src=192.0.2.1 in=eth0 tcp pub=443                accept
		src=192.0.2.1 in=wg0 tcp pub=443                 accept
		src=192.0.2.1 in=wg tcp pub=443                  accept
		src=192.0.2.1 in=eth1 tcp pub=443                docker
		src=192.0.2.1 in=wg1 tcp pub=22                  accept
		src=192.0.2.1 in=wg0 tcp pub=22                  drop
		src=192.0.2.1 in=eth0 tcp pub=22                 drop
		src=192.0.2.1 in=tun5 tcp pub=22                 accept
		src=192.0.2.1 in=tun5 tcp pub=23                 docker
		src=192.0.2.1 in=tun5 tcp pub=23 established     accept
		src=203.0.113.9 in=eth7 tcp pub=443              drop
		src=203.0.113.9 in=eth0 tcp pub=443              drop
		src=203.0.113.9 in=wg0 tcp pub=443               accept
	`},
	{"container interfaces leave other routed traffic alone", `
		host {
		  external_interfaces  = ["eth0"]
		  container_interfaces = ["docker0", "br-+"]
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
		accept "dmz" {
		  protocol        = "tcp"
		  published_ports = [25]
		  out_interfaces  = ["br-dmz"]
		}
	`, `
		src=192.0.2.1 out=docker0 tcp pub=443            accept
		src=192.0.2.1 out=br-1234 tcp pub=443            accept
		src=192.0.2.1 out=virbr0 tcp pub=443             docker
		src=192.0.2.1 out=docker0 tcp pub=80             drop
		src=192.0.2.1 out=br-x tcp pub=80                drop
		src=192.0.2.1 out=virbr0 tcp pub=80              docker
		src=192.0.2.1 out=virbr0 tcp established         docker
		src=192.0.2.1 out=br-dmz tcp pub=25              accept
		src=192.0.2.1 out=br-x tcp pub=25                drop
	`},
	{"sources: one literal", `
		accept "a" {
		  source   = ["192.0.2.0/24"]
		  protocol = "tcp"
		}
		accept "b" {
		  source   = ["2001:db8::1"]
		  protocol = "udp"
		}
	`, `
		src=192.0.2.255 tcp                              accept
		src=192.0.3.0 tcp                                drop
		src=2001:db8::1 tcp                              drop
		src=2001:db8::1 udp                              accept
		src=2001:db8::2 udp                              drop
		src=192.0.2.1 udp                                drop
	`},
	{"sources: several literals, ranges, and a set", `
		ipset "friends" {
		  entries = ["198.51.100.7", "2001:db8:1::/48"]
		  exclude = ["2001:db8:1:dead::/64"]
		}
		accept "a" {
		  source = ["192.0.2.10-192.0.2.19", ipset.friends, "192.0.2.128/25", "2001:db8:2::1"]
		}
	`, `
		src=192.0.2.9                                    drop
		src=192.0.2.10                                   accept
		src=192.0.2.19                                   accept
		src=192.0.2.20                                   drop
		src=192.0.2.200                                  accept
		src=198.51.100.7                                 accept
		src=2001:db8:1::5                                accept
		src=2001:db8:1:dead::5                           drop
		src=2001:db8:2::1                                accept
		src=2001:db8:2::2                                drop
	`},
	{"sources left out", `
		ipset "bad" {
		  entries = ["192.0.2.0/28", "2001:db8:bad::/48"]
		}
		accept "a" {
		  source     = ["192.0.2.0/24", "2001:db8::/32"]
		  source_not = [ipset.bad, "192.0.2.99", "192.0.2.101"]
		  protocol   = "tcp"
		}
		accept "b" {
		  source_not = ["198.51.100.1", "2001:db8::1"]
		  protocol   = "udp"
		}
		accept "c" {
		  source     = ["192.0.2.0/24"]
		  source_not = ["192.0.2.1"]
		  protocol   = "sctp"
		}
	`, `
		src=192.0.2.5 tcp                                drop
		src=192.0.2.98 tcp                               accept
		src=192.0.2.99 tcp                               drop
		src=192.0.2.101 tcp                              drop
		src=192.0.3.1 tcp                                drop
		src=2001:db8:bad::1 tcp                          drop
		src=2001:db8:1::1 tcp                            accept
		src=198.51.100.1 udp                             drop
		src=198.51.100.2 udp                             accept
		src=2001:db8::1 udp                              drop
		src=2001:db8::2 udp                              accept
		src=192.0.2.1 sctp                               drop
		src=192.0.2.2 sctp                               accept
		src=2001:db8::2 sctp                             drop
	`},
	{"destinations", `
		accept "a" {
		  destination     = ["172.18.0.0/16", "fd00::2"]
		  destination_not = ["172.18.0.5", "172.18.0.7"]
		}
	`, `
		src=192.0.2.1 dst=172.18.0.4                     accept
		src=192.0.2.1 dst=172.18.0.5                     drop
		src=192.0.2.1 dst=172.18.0.7                     drop
		src=192.0.2.1 dst=172.17.0.4                     drop
		src=2001:db8::1 dst=fd00::2                      accept
		src=2001:db8::1 dst=fd00::3                      drop
	`},
	{"everyone, as a source", `
		accept "v4" {
		  source   = ["0.0.0.0/0"]
		  protocol = "tcp"
		}
		accept "v6" {
		  source   = ["::/0"]
		  protocol = "udp"
		}
		accept "both" {
		  source   = ["0.0.0.0/0", "::/0", "192.0.2.1"]
		  protocol = "sctp"
		}
		accept "halves" {
		  source     = ["0.0.0.0/1", "128.0.0.0/1"]
		  source_not = ["192.0.2.1"]
		  protocol   = 47
		}
	`, `
		src=192.0.2.1 tcp                                accept
		src=2001:db8::1 tcp                              drop
		src=192.0.2.1 udp                                drop
		src=2001:db8::1 udp                              accept
		src=192.0.2.1 sctp                               accept
		src=2001:db8::1 sctp                             accept
		src=192.0.2.1 proto=47                           drop
		src=192.0.2.2 proto=47                           accept
		src=2001:db8::1 proto=47                         drop
	`},
	{"everyone, in a set", `
		ipset "all4" {
		  entries = ["0.0.0.0/0"]
		}
		accept "a" {
		  source = [ipset.all4]
		}
	`, `
		src=0.0.0.1                                      accept
		src=255.1.1.1                                    accept
		src=2001:db8::1                                  drop
	`},
	{"everyone left out of one family", `
		accept "a" {
		  source_not = ["0.0.0.0/0", "2001:db8::/32"]
		}
		accept "b" {
		  destination     = ["172.17.0.0/16", "fd00::/8"]
		  destination_not = ["::/0"]
		  protocol        = "udp"
		}
	`, `
		src=192.0.2.1                                    drop
		src=2001:db8::1                                  drop
		src=2001:db9::1                                  accept
		src=192.0.2.1 udp                                accept
		src=2001:db8::1 udp                              drop
	`},
	{"everyone of one family allowed by default", `
		default {
		  allow = ["::/0", "192.0.2.1"]
		}
	`, `
		src=2001:db8::1                                  docker
		src=192.0.2.1                                    docker
		src=192.0.2.2                                    drop
	`},
	{"default allows sets and literals", `
		ipset "friends" {
		  entries = ["192.0.2.10", "2001:db8::/64"]
		}
		ipset "more" {
		  entries = ["203.0.113.1"]
		}
		default {
		  allow = [ipset.friends, "198.51.100.0/24", "198.51.101.1", ipset.more]
		}
	`, `
		src=192.0.2.10                                   docker
		src=198.51.100.200                               docker
		src=198.51.101.1                                 docker
		src=198.51.101.2                                 drop
		src=203.0.113.1                                  docker
		src=192.0.2.11                                   drop
		src=2001:db8::99                                 docker
		src=2001:db8:1::                                 drop
	`},
	{"a set without addresses of a family allows none of it", `
		ipset "friends" {
		  entries = ["192.0.2.10"]
		}
		default {
		  allow = [ipset.friends]
		}
	`, `
		src=192.0.2.10                                   docker
		src=2001:db8::1                                  drop
	`},
	{"one family alone", `
		host {
		  external_interfaces = ["eth0"]
		  families            = ["ipv4"]
		}
	`, `
		src=192.0.2.1                                    drop
		src=2001:db8::1                                  docker
	`},
	{"reject answers in the way of the protocol", `
		deny "a" {
		  source = ["192.0.2.0/24", "2001:db8::/32"]
		  action = "reject"
		}
		deny "b" {
		  protocol = ["udp", "tcp"]
		  action   = "reject"
		}
		default {
		  action = "reject"
		}
	`, `
		src=192.0.2.1 tcp                                reject tcp-reset
		src=192.0.2.1 udp                                reject icmp-admin-prohibited
		src=192.0.2.1 icmp type=8                        reject icmp-admin-prohibited
		src=2001:db8::1 tcp                              reject tcp-reset
		src=2001:db8::1 udp                              reject icmp6-adm-prohibited
		src=198.51.100.1 udp                             reject icmp-admin-prohibited
		src=198.51.100.1 tcp                             reject tcp-reset
		src=198.51.100.1 sctp                            reject icmp-admin-prohibited
		src=2001:db9::1 proto=47                         reject icmp6-adm-prohibited
		src=2001:db9::1 tcp                              reject tcp-reset
	`},
	{"a deny beats every accept, wherever it stands", `
		accept "first" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
		deny "bad" {
		  source = ["192.0.2.66"]
		}
		accept "last" {
		  source = ["192.0.2.66"]
		}
		default {
		  allow = ["192.0.2.66"]
		}
	`, `
		src=192.0.2.66 tcp pub=443                       drop
		src=192.0.2.66 udp                               drop
		src=192.0.2.67 tcp pub=443                       accept
		src=192.0.2.66 tcp pub=443 established           accept
	`},
	{"an accept stands before the default", `
		default {
		  allow = []
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
	`, `
		src=192.0.2.1 tcp pub=443                        accept
		src=192.0.2.1 tcp pub=444                        drop
	`},
	{"an open default still denies", `
		deny "bad" {
		  source = ["192.0.2.66"]
		}
		default {
		  action = "return"
		}
	`, `
		src=192.0.2.66 tcp pub=443                       drop
		src=192.0.2.67 tcp pub=443                       docker
	`},
	{"ICMP types belong to their family", `
		accept "ping" {
		  icmp_types = ["echo-request"]
		}
		accept "too-big" {
		  icmp_types = ["fragmentation-needed", "packet-too-big"]
		}
		accept "numbers" {
		  protocol   = "icmp"
		  icmp_types = [13, "11/1"]
		}
		accept "numbers6" {
		  protocol   = "icmpv6"
		  icmp_types = ["1/4"]
		}
		deny "all-other-icmp" {
		  protocol = ["icmp", "icmpv6"]
		  action   = "reject"
		  source   = ["192.0.2.66", "2001:db8::66"]
		}
	`, `
		src=192.0.2.1 icmp type=8                        accept
		src=192.0.2.1 icmp type=128                      drop
		src=2001:db8::1 icmpv6 type=128                  accept
		src=2001:db8::1 icmpv6 type=8                    drop
		src=2001:db8::1 icmp type=8                      drop
		src=192.0.2.1 icmp type=3/4                      accept
		src=192.0.2.1 icmp type=3/3                      drop
		src=192.0.2.1 icmp type=2                        drop
		src=2001:db8::1 icmpv6 type=2                    accept
		src=192.0.2.1 icmp type=13                       accept
		src=192.0.2.1 icmp type=11/1                     accept
		src=192.0.2.1 icmp type=11/0                     drop
		src=2001:db8::1 icmpv6 type=13                   drop
		src=2001:db8::1 icmpv6 type=1/4                  accept
		src=2001:db8::1 icmpv6 type=1/3                  drop
		src=192.0.2.66 icmp type=8                       reject icmp-admin-prohibited
		src=2001:db8::66 icmpv6 type=128                 reject icmp6-adm-prohibited
		src=192.0.2.66 tcp                               drop
	`},
	{"protocols of one family leave the other alone", `
		accept "a" {
		  protocol = ["icmp", "tcp"]
		}
	`, `
		src=192.0.2.1 icmp type=8                        accept
		src=192.0.2.1 tcp                                accept
		src=2001:db8::1 tcp                              accept
		src=2001:db8::1 icmp                             drop
		src=2001:db8::1 icmpv6 type=128                  drop
	`},
	{"verdict return hands on to Docker's rules", `
		host {
		  external_interfaces = ["eth0"]
		  verdict             = "return"
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
		deny "bad" {
		  source = ["192.0.2.66"]
		}
	`, `
		src=192.0.2.1 tcp pub=443                        docker
		src=192.0.2.1 established                        docker
		src=192.0.2.1 tcp pub=80                         drop
		src=192.0.2.66 tcp pub=443                       drop
	`},
	{"jump decides as replace does", `
		host {
		  external_interfaces = ["eth0"]
		  install             = "jump"
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
	`, `
		src=192.0.2.1 tcp pub=443                        docker
		src=192.0.2.1 tcp pub=80                         drop
	`},
	{"sessions rechecked: what clients send is decided anew", `
		established {
		  sessions     = "recheck"
		  drop_invalid = true
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
		deny "bad" {
		  source = ["192.0.2.66"]
		}
		default {
		  allow = ["198.51.100.1"]
		}
	`, `
		src=192.0.2.1 tcp established reply              accept
		src=192.0.2.1 tcp related                        accept
		src=192.0.2.1 tcp pub=443 established            accept
		src=192.0.2.66 tcp pub=443 established           drop
		src=192.0.2.1 tcp pub=80 established             drop
		src=198.51.100.1 tcp pub=80 established          docker
		src=198.51.100.1 tcp invalid                     drop
	`},
	{"rates: an accept up to, a deny above", `
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		  rate {
		    limit = "20/second"
		  }
		}
		deny "flood" {
		  protocol        = "udp"
		  published_ports = [53]
		  action          = "reject"
		  rate {
		    limit = "20/second"
		    per   = "rule"
		  }
		}
		default {
		  allow = ["192.0.2.0/24"]
		}
	`, `
		src=198.51.100.1 tcp pub=443                     accept
		src=198.51.100.1 tcp pub=443 overrate            drop
		src=192.0.2.1 udp pub=53                         docker
		src=192.0.2.1 udp pub=53 overrate                reject icmp-admin-prohibited
		src=192.0.2.1 udp pub=53 overrate established    accept
	`},
	{"connections: an accept up to, a deny above", `
		established {
		  sessions = "recheck"
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		  connections {
		    max = 20
		  }
		}
		deny "many" {
		  protocol = "tcp"
		  connections {
		    max = 100
		  }
		  source = ["192.0.2.0/24", "198.51.100.1"]
		}
		default {
		  allow = ["192.0.2.0/24"]
		}
	`, `
		src=203.0.113.1 tcp pub=443                      accept
		src=203.0.113.1 tcp pub=443 overnumber           drop
		src=203.0.113.1 tcp pub=443 overnumber established accept
		src=192.0.2.1 tcp pub=80                         docker
		src=192.0.2.1 tcp pub=80 overnumber              drop
		src=198.51.100.1 tcp pub=443 overnumber          drop
		src=192.0.2.1 tcp pub=80 overnumber established  docker
	`},
	{"what logs decides as what does not", `
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		  log {}
		}
		deny "bad" {
		  source = ["192.0.2.66"]
		  log {
		    nflog_group = 5
		  }
		}
		default {
		  log {}
		  allow = ["198.51.100.1"]
		}
	`, `
		src=192.0.2.1 tcp pub=443                        accept+log
		src=192.0.2.66 tcp pub=443                       drop+log
		src=192.0.2.1 tcp pub=80                         drop+log
		src=198.51.100.1 tcp pub=80                      docker
		src=192.0.2.1 tcp pub=443 established            accept
	`},
	{"egress is decided in a chain of its own", `
		egress {
		  deny "smtp" {
		    protocol        = "tcp"
		    container_ports = [25]
		  }
		  accept "dns" {
		    protocol        = "udp"
		    container_ports = [53]
		  }
		  default {
		    allow = ["203.0.113.0/24"]
		  }
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
	`, `
		src=172.17.0.2 dst=1.1.1.1 in=docker0 out=eth0 tcp port=25             drop
		src=172.17.0.2 dst=203.0.113.1 in=docker0 out=eth0 tcp port=25         drop
		src=172.17.0.2 dst=1.1.1.1 in=docker0 out=eth0 udp port=53             accept
		src=172.17.0.2 dst=1.1.1.1 in=docker0 out=eth0 tcp port=80             drop
		src=172.17.0.2 dst=203.0.113.1 in=docker0 out=eth0 tcp port=80         docker
		src=172.17.0.2 dst=1.1.1.1 in=docker0 out=eth0 tcp established         accept
		src=172.17.0.2 in=docker0 out=br-1 tcp port=25                         docker
		src=192.0.2.1 tcp pub=443                                              accept
		src=192.0.2.1 tcp pub=25                                               drop
	`},
	{"lists of sets hold what their members hold", `
		ipset "a" {
		  entries = ["192.0.2.1"]
		}
		ipset "b" {
		  entries = ["192.0.2.2", "2001:db8::2"]
		}
		ipset "all" {
		  type    = "list:set"
		  members = [ipset.a, ipset.b]
		}
		default {
		  allow = [ipset.all]
		}
	`, `
		src=192.0.2.1                                    docker
		src=192.0.2.2                                    docker
		src=192.0.2.3                                    drop
		src=2001:db8::2                                  docker
		src=2001:db8::1                                  drop
	`},
}

func TestPackets(t *testing.T) {
	testTables(t, packetTables, decide)
}

// compile lowers the table's policy, on a host with eth0 where it names none.
func (table packetTable) compile(t *testing.T) *iptables.Tables {
	t.Helper()
	policy := table.policy
	if !strings.Contains(policy, "host {") {
		policy = hostEth0 + policy
	}
	rs, diags := compile(t, policy)
	if diags.HasErrors() {
		t.Fatalf("%s: %v", table.name, diags)
	}
	return rs
}

func testTables(t *testing.T, tables []packetTable, decide func(*iptables.Tables, packet) string) {
	for _, table := range tables {
		t.Run(table.name, func(t *testing.T) {
			rs := table.compile(t)
			tested := 0
			for line := range strings.Lines(table.packets) {
				line = strings.TrimSpace(line)
				if line == "" || strings.HasPrefix(line, "#") {
					continue
				}
				text, want := splitVerdict(line)
				if got := decide(rs, parsePacket(t, text)); got != want {
					t.Errorf("%s\n got %s\nwant %s", text, got, want)
				}
				tested++
			}
			if tested == 0 {
				t.Error("no packets")
			}
		})
	}
}

// splitVerdict takes the verdict from the end of a line.
func splitVerdict(line string) (packet, verdict string) {
	words := strings.Fields(line)
	n := len(words) - 1
	if words[n-1] == "reject" {
		n--
	}
	return strings.Join(words[:n], " "), strings.Join(words[n:], " ")
}

// Whatever is compiled keeps the order, and can be written as iptables takes it:
// one -s, -d, -i, -o and -p a rule, before all else.
func TestCompiledPoliciesKeepTheOrder(t *testing.T) {
	for _, table := range slices.Concat(packetTables, guardTables) {
		for _, p := range table.compile(t).Programs {
			for _, c := range p.Chains {
				var ids []ir.RuleID
				for _, r := range c.Rules {
					ids = append(ids, r.ID)
				}
				if err := ir.CheckOrder(ids); err != nil {
					t.Errorf("%s: chain %s: %v", table.name, c.Name, err)
				}
				for _, r := range c.Rules {
					if ranks := baseRanks(r); !slices.IsSorted(ranks) || len(slices.Compact(ranks)) != len(baseRanks(r)) {
						t.Errorf("%s: %q has matches %v", table.name, r.ID.Comment(), r.Matches)
					}
				}
			}
		}
	}
}

// baseRanks numbers the matches that a rule has once each; the others, which may
// repeat, number upwards from there.
func baseRanks(r *iptables.Rule) []int {
	var out []int
	for i, m := range r.Matches {
		switch m := m.(type) {
		case iptables.Address:
			out = append(out, int(m.Dir))
		case iptables.Interface:
			out = append(out, 2+int(m.Dir))
		case iptables.Protocol:
			out = append(out, 4)
		default:
			out = append(out, 5+i)
		}
	}
	return out
}
