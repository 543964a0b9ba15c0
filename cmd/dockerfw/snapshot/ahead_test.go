package snapshot

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// aheadPolicy refuses everything on eth0 and VPN interfaces but HTTPS.
func aheadPolicy(attributes string) string {
	return "host {\n  external_interfaces = [\"eth0\", \"wg0\", \"wt0\", \"tailscale0\"]\n  input_guard = false\n" + attributes + "}\n" +
		"accept \"https\" {\n  protocol = \"tcp\"\n  published_ports = [443]\n}\n"
}

const (
	onlyV4, onlyV6, byJump = "  families = [\"ipv4\"]\n", "  families = [\"ipv6\"]\n", "  install = \"jump\"\n"
	toBridges              = "  container_interfaces = [\"docker0\", \"br-+\"]\n"
)

// fallbackLoaded are the jumps to the fallback rules, where they should be.
const fallbackLoaded = "*security\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:DOCKERFW - [0:0]\n:DOCKERFW-INPUT - [0:0]\n-A INPUT -j DOCKERFW-INPUT\n-A FORWARD -j DOCKERFW\nCOMMIT\n"

// beside are the rules of other tools, as their versions of 2024 and 2025 make them.
var beside = []struct {
	name, attributes string
	// chains are declared besides the built-in ones and DOCKER-USER. rules are those of the
	// filter table; other is another table.
	chains, rules, other string
	// said is the text of each placement that does something. forward and user are FORWARD and
	// DOCKER-USER afterwards; user only with install = "jump".
	said          []string
	forward, user []string
}{
	{
		name:    "an engine from 28 on",
		chains:  "DOCKER-FORWARD DOCKER",
		rules:   "-A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-FORWARD\n-A DOCKER-FORWARD -i docker0 -j ACCEPT\n",
		forward: []string{"-j DOCKER-USER", "-j DOCKER-FORWARD"},
	},
	{
		name:   "an engine's jump after its rules",
		chains: "DOCKER-FORWARD DOCKER",
		rules:  "-A FORWARD -j DOCKER-FORWARD\n-A FORWARD -j DOCKER-USER\n-A DOCKER-FORWARD -o docker0 -j DOCKER\n-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\n",
		said: []string{
			"IPv4 FORWARD: moved the jump to DOCKER-USER ahead of -A FORWARD -j DOCKER-FORWARD, which lets through packets that the policy refuses, such as tcp 198.51.100.1:40000 -> 192.0.2.1:1 => 172.17.0.2:80 in eth0 out docker0 NEW",
		},
		forward: []string{"-j DOCKER-USER", "-j DOCKER-FORWARD"},
	},
	{
		name:    "chains of an engine that only drop",
		chains:  "DOCKER-ISOLATION-STAGE-1 DOCKER-ISOLATION-STAGE-2",
		rules:   "-A FORWARD -j DOCKER-ISOLATION-STAGE-1\n-A FORWARD -j DOCKER-USER\n-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2\n-A DOCKER-ISOLATION-STAGE-1 -j RETURN\n-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP\n",
		forward: []string{"-j DOCKER-ISOLATION-STAGE-1", "-j DOCKER-USER"},
	},
	{
		name:       "engine 20.10, IPv6: no jump",
		attributes: onlyV6,
		chains:     "DOCKER",
		rules:      "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A FORWARD -o docker0 -j DOCKER\n-A FORWARD -i docker0 -j ACCEPT\n",
		said:       []string{"IPv6 FORWARD: added the jump to DOCKER-USER as the first rule"},
		forward:    []string{"-j DOCKER-USER", "-o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-o docker0 -j DOCKER", "-i docker0 -j ACCEPT"},
	},
	{
		name:       "engine 20.10, IPv6: rules ahead of the jump",
		attributes: onlyV6,
		chains:     "DOCKER",
		rules:      "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A FORWARD -o docker0 -j DOCKER\n-A FORWARD -j DOCKER-USER\n-A DOCKER -d fd00::2/128 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\n",
		said: []string{
			"IPv6 FORWARD: moved the jump to DOCKER-USER ahead of -A FORWARD -o docker0 -j DOCKER, which lets through packets that the policy refuses, such as tcp [2001:db8::1]:40000 -> [2001:db8:ffff::1]:1 => [fd00::2]:80 in eth0 out docker0 NEW",
		},
		forward: []string{"-j DOCKER-USER", "-o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-o docker0 -j DOCKER"},
	},
	{
		name:   "NetBird",
		chains: "NETBIRD-RT-FWD-IN NETBIRD-RT-FWD-OUT",
		rules: "-A FORWARD -i wt0 -j NETBIRD-RT-FWD-IN\n-A FORWARD -o wt0 -j NETBIRD-RT-FWD-OUT\n-A FORWARD -j DOCKER-USER\n" +
			"-A NETBIRD-RT-FWD-IN -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A NETBIRD-RT-FWD-IN -s 100.64.0.0/10 -d 172.17.0.0/16 -j ACCEPT\n-A NETBIRD-RT-FWD-IN -j DROP\n-A NETBIRD-RT-FWD-OUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n",
		said: []string{
			"IPv4 FORWARD: moved the jump to DOCKER-USER ahead of -A FORWARD -i wt0 -j NETBIRD-RT-FWD-IN, which lets through packets that the policy refuses, such as tcp 100.64.0.1:40000 -> 192.0.2.1:1 => 172.17.0.2:80 in wt0 out docker0 NEW",
		},
		forward: []string{"-j DOCKER-USER", "-i wt0 -j NETBIRD-RT-FWD-IN", "-o wt0 -j NETBIRD-RT-FWD-OUT"},
	},
	{
		name:    "Tailscale on an interface of the policy",
		chains:  "ts-forward DOCKER",
		rules:   "-A FORWARD -j ts-forward\n-A FORWARD -j DOCKER-USER\n-A DOCKER -o docker0 -j DROP\n" + tsForward,
		said:    []string{"IPv4 FORWARD: moved the jump to DOCKER-USER ahead of -A FORWARD -j ts-forward, which lets through packets that the policy refuses, such as tcp 198.51.100.1:40000 -> 192.0.2.1:1 => 172.17.0.2:80 in tailscale0 out docker0 NEW"},
		forward: []string{"-j DOCKER-USER", "-j ts-forward"},
	},
	{
		// Its mark is only set for tailscale0, and nothing but that chain accepts by it.
		name:       "Tailscale on another interface",
		attributes: toBridges,
		chains:     "ts-forward",
		rules:      "-A FORWARD -j ts-forward\n-A FORWARD -j DOCKER-USER\n" + strings.ReplaceAll(tsForward, "tailscale0", "ts9"),
		forward:    []string{"-j ts-forward", "-j DOCKER-USER"},
	},
	{
		name:       "a mark of an interface of the policy, set in mangle",
		attributes: toBridges,
		rules:      "-A FORWARD -m mark --mark 0x1/0x1 -j ACCEPT\n-A FORWARD -j DOCKER-USER\n",
		other:      "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth0 -s 203.0.113.9 -j MARK --set-xmark 0x1/0x1\nCOMMIT\n",
		said:       []string{"IPv4 FORWARD: moved the jump to DOCKER-USER ahead of -A FORWARD -m mark --mark 0x1/0x1 -j ACCEPT, which lets through packets that the policy refuses, such as tcp 203.0.113.9:40000 -> 192.0.2.1:1 => 172.17.0.2:80 in eth0 out br-0 NEW"},
		forward:    []string{"-j DOCKER-USER", "-m mark --mark 0x1/0x1 -j ACCEPT"},
	},
	{
		name:       "a mark that a queue in mangle may set",
		attributes: toBridges,
		rules:      "-A FORWARD -m mark --mark 0x1/0x1 -j ACCEPT\n-A FORWARD -j DOCKER-USER\n",
		other:      "*mangle\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j NFQUEUE --queue-num 0\nCOMMIT\n",
		said:       []string{"IPv4 FORWARD: moved the jump to DOCKER-USER ahead of -A FORWARD -m mark --mark 0x1/0x1 -j ACCEPT, which lets through packets that the policy refuses, such as tcp 198.51.100.1:40000 -> 192.0.2.1:1 => 172.17.0.2:80 in eth0 out br-0 NEW [mark 0x1/0x1]"},
		forward:    []string{"-j DOCKER-USER", "-m mark --mark 0x1/0x1 -j ACCEPT"},
	},
	{
		name:    "a mark of the connection, which no new connection has",
		rules:   "-A FORWARD -m connmark --mark 0x1/0x1 -j ACCEPT\n-A FORWARD -j DOCKER-USER\n",
		forward: []string{"-m connmark --mark 0x1/0x1 -j ACCEPT", "-j DOCKER-USER"},
	},
	{
		name:    "wg-quick",
		rules:   "-A FORWARD -o wg0 -j ACCEPT\n-A FORWARD -i wg0 -j ACCEPT\n-A FORWARD -j DOCKER-USER\n-A DOCKER -o docker0 -j DROP\n",
		chains:  "DOCKER",
		said:    []string{"IPv4 FORWARD: moved the jump to DOCKER-USER ahead of -A FORWARD -i wg0 -j ACCEPT, which lets through packets that the policy refuses, such as tcp 198.51.100.1:40000 -> 192.0.2.1:1 => 172.17.0.2:80 in wg0 out docker0 NEW"},
		forward: []string{"-j DOCKER-USER", "-o wg0 -j ACCEPT", "-i wg0 -j ACCEPT"},
	},
	{
		name:       "wg-quick on an interface that is not in the policy",
		attributes: toBridges,
		rules:      "-A FORWARD -o wg7 -j ACCEPT\n-A FORWARD -i wg7 -j ACCEPT\n-A FORWARD -j DOCKER-USER\n",
		forward:    []string{"-o wg7 -j ACCEPT", "-i wg7 -j ACCEPT", "-j DOCKER-USER"},
	},
	{
		name:   "firewalld with the backend iptables",
		chains: "FORWARD_direct FORWARD_IN_ZONES FWDI_public",
		rules: "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT\n-A FORWARD -i lo -j ACCEPT\n-A FORWARD -j FORWARD_direct\n-A FORWARD -j FORWARD_IN_ZONES\n" +
			"-A FORWARD -m conntrack --ctstate INVALID -j DROP\n-A FORWARD -j REJECT --reject-with icmp-host-prohibited\n-A FORWARD -j DOCKER-USER\n-A FORWARD_IN_ZONES -g FWDI_public\n-A FWDI_public -p icmp -j ACCEPT\n",
		said: []string{"IPv4 FORWARD: moved the jump to DOCKER-USER ahead of -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT, which lets through packets that the policy refuses, such as tcp 198.51.100.1:40000 -> 192.0.2.1:1 => 172.17.0.2:80 in eth0 out docker0 NEW"},
		forward: []string{
			"-j DOCKER-USER", "-m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT", "-i lo -j ACCEPT", "-j FORWARD_direct", "-j FORWARD_IN_ZONES",
			"-m conntrack --ctstate INVALID -j DROP", "-j REJECT --reject-with icmp-host-prohibited",
		},
	},
	{
		name:    "ufw, established connections only",
		chains:  "ufw-before-forward ufw-reject-forward",
		rules:   "-A FORWARD -j ufw-before-forward\n-A FORWARD -j DOCKER-USER\n-A FORWARD -j ufw-reject-forward\n-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n",
		forward: []string{"-j ufw-before-forward", "-j DOCKER-USER", "-j ufw-reject-forward"},
	},
	{
		name:    "ufw with a rule for a network",
		chains:  "ufw-before-forward ufw-user-forward",
		rules:   "-A FORWARD -j ufw-before-forward\n-A FORWARD -j DOCKER-USER\n-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A ufw-before-forward -j ufw-user-forward\n-A ufw-user-forward -s 203.0.113.0/24 -j ACCEPT\n",
		said:    []string{"IPv4 FORWARD: moved the jump to DOCKER-USER ahead of -A FORWARD -j ufw-before-forward, which lets through packets that the policy refuses, such as tcp 203.0.113.1:40000 -> 192.0.2.1:1 => 172.17.0.2:80 in eth0 out docker0 NEW"},
		forward: []string{"-j DOCKER-USER", "-j ufw-before-forward"},
	},
	{
		name:    "fail2ban and CrowdSec in FORWARD",
		chains:  "f2b-nginx CROWDSEC_CHAIN",
		rules:   "-A FORWARD -p tcp -m multiport --dports 80,443 -j f2b-nginx\n-A FORWARD -j CROWDSEC_CHAIN\n-A FORWARD -j DOCKER-USER\n" + banning,
		forward: []string{"-p tcp -m multiport --dports 80,443 -j f2b-nginx", "-j CROWDSEC_CHAIN", "-j DOCKER-USER"},
	},
	{
		name:       "fail2ban and CrowdSec in DOCKER-USER",
		attributes: byJump,
		chains:     "f2b-nginx CROWDSEC_CHAIN DOCKERFW",
		rules:      "-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -p tcp -j f2b-nginx\n-A DOCKER-USER -j CROWDSEC_CHAIN\n-A DOCKER-USER -j DOCKERFW\n-A DOCKER-USER -j RETURN\n" + banning,
		forward:    []string{"-j DOCKER-USER"},
		user:       []string{"-p tcp -j f2b-nginx", "-j CROWDSEC_CHAIN", "-j DOCKERFW", "-j RETURN"},
	},
	{
		name:       "a jump after the RETURN of an engine up to 26",
		attributes: byJump,
		chains:     "DOCKERFW",
		rules:      "-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j RETURN\n-A DOCKER-USER -j DOCKERFW\n",
		said:       []string{"IPv4 DOCKER-USER: moved the jump to DOCKERFW ahead of -A DOCKER-USER -j RETURN, which lets through packets that the policy refuses, such as tcp 198.51.100.1:40000 -> 192.0.2.1:1 => 172.17.0.2:80 in eth0 out docker0 NEW"},
		forward:    []string{"-j DOCKER-USER"},
		user:       []string{"-j DOCKERFW", "-j RETURN"},
	},
	{
		name:       "a mark in DOCKER-USER, which rules of FORWARD may have set",
		attributes: byJump + toBridges,
		chains:     "DOCKERFW",
		rules:      "-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -m mark --mark 0x1/0x1 -j RETURN\n-A DOCKER-USER -j DOCKERFW\n",
		said:       []string{"IPv4 DOCKER-USER: moved the jump to DOCKERFW ahead of -A DOCKER-USER -m mark --mark 0x1/0x1 -j RETURN, which lets through packets that the policy refuses, such as tcp 198.51.100.1:40000 -> 192.0.2.1:1 => 172.17.0.2:80 in eth0 out br-0 NEW [mark 0x1/0x1]"},
		forward:    []string{"-j DOCKER-USER"},
		user:       []string{"-j DOCKERFW", "-m mark --mark 0x1/0x1 -j RETURN"},
	},
	{
		name:   "libvirt with NAT",
		chains: "LIBVIRT_FWI LIBVIRT_FWO LIBVIRT_FWX",
		rules: "-A FORWARD -j LIBVIRT_FWX\n-A FORWARD -j LIBVIRT_FWI\n-A FORWARD -j LIBVIRT_FWO\n-A FORWARD -j DOCKER-USER\n" +
			"-A LIBVIRT_FWI -d 192.168.122.0/24 -o virbr0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A LIBVIRT_FWI -o virbr0 -j REJECT --reject-with icmp-port-unreachable\n" +
			"-A LIBVIRT_FWO -s 192.168.122.0/24 -i virbr0 -j ACCEPT\n-A LIBVIRT_FWO -i virbr0 -j REJECT --reject-with icmp-port-unreachable\n-A LIBVIRT_FWX -i virbr0 -o virbr0 -j ACCEPT\n",
		forward: []string{"-j LIBVIRT_FWX", "-j LIBVIRT_FWI", "-j LIBVIRT_FWO", "-j DOCKER-USER"},
	},
	{
		name:    "libvirt with a routed network",
		chains:  "LIBVIRT_FWI",
		rules:   "-A FORWARD -j LIBVIRT_FWI\n-A FORWARD -j DOCKER-USER\n-A LIBVIRT_FWI -d 192.168.100.0/24 -o virbr1 -j ACCEPT\n",
		said:    []string{"IPv4 FORWARD: moved the jump to DOCKER-USER ahead of -A FORWARD -j LIBVIRT_FWI, which lets through packets that the policy refuses, such as tcp 198.51.100.1:40000 -> 192.0.2.1:1 => 192.168.100.1:80 in eth0 out virbr1 NEW"},
		forward: []string{"-j DOCKER-USER", "-j LIBVIRT_FWI"},
	},
	{
		name:       "libvirt with a routed network, beside a policy for containers only",
		attributes: toBridges,
		chains:     "LIBVIRT_FWI",
		rules:      "-A FORWARD -j LIBVIRT_FWI\n-A FORWARD -j DOCKER-USER\n-A LIBVIRT_FWI -d 192.168.100.0/24 -o virbr1 -j ACCEPT\n",
		forward:    []string{"-j LIBVIRT_FWI", "-j DOCKER-USER"},
	},
	{
		name:    "a set that is not in the policy",
		rules:   "-A FORWARD -m set --match-set trusted src -j ACCEPT\n-A FORWARD -j DOCKER-USER\n",
		said:    []string{"IPv4 FORWARD: moved the jump to DOCKER-USER ahead of -A FORWARD -m set --match-set trusted src -j ACCEPT, which lets through packets that the policy refuses, such as tcp 198.51.100.1:40000 -> 192.0.2.1:1 => 172.17.0.2:80 in eth0 out docker0 NEW [source in set trusted (members unknown)]"},
		forward: []string{"-j DOCKER-USER", "-m set --match-set trusted src -j ACCEPT"},
	},
	{
		name:    "a rule for packets that the policy accepts too",
		rules:   "-A FORWARD -i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport 443 --ctdir ORIGINAL -j ACCEPT\n-A FORWARD -j DOCKER-USER\n",
		forward: []string{"-i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport 443 --ctdir ORIGINAL -j ACCEPT", "-j DOCKER-USER"},
	},
	{
		name:       "foreign rules after ours do not count",
		attributes: byJump,
		chains:     "DOCKERFW",
		rules:      "-A FORWARD -i eth9 -j ACCEPT\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j DOCKERFW\n-A DOCKER-USER -i eth9 -j DROP\n",
		forward:    []string{"-i eth9 -j ACCEPT", "-j DOCKER-USER"},
		user:       []string{"-j DOCKERFW", "-i eth9 -j DROP"},
	},
	{
		name:       "foreign rules after ours in the same chain do not count",
		attributes: "  install = \"insert\"\n",
		rules:      "-A FORWARD -i eth9 -j ACCEPT\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -i eth9 -j DROP\n",
		forward:    []string{"-i eth9 -j ACCEPT", "-j DOCKER-USER"},
	},
	{
		name:    "a jump with a condition does not count, and stays",
		rules:   "-A FORWARD -i eth0 -j DOCKER-USER\n-A FORWARD -i docker0 -j ACCEPT\n",
		said:    []string{"IPv4 FORWARD: added the jump to DOCKER-USER as the first rule"},
		forward: []string{"-j DOCKER-USER", "-i eth0 -j DOCKER-USER", "-i docker0 -j ACCEPT"},
	},
	{
		name:    "copies of a jump that is not dockerfw's",
		rules:   "-A FORWARD -i docker0 -j ACCEPT\n-A FORWARD -j DOCKER-USER\n-A FORWARD -i wg0 -j ACCEPT\n-A FORWARD -m comment --comment again -j DOCKER-USER\n",
		forward: []string{"-i docker0 -j ACCEPT", "-j DOCKER-USER", "-i wg0 -j ACCEPT", "-m comment --comment again -j DOCKER-USER"},
	},
	{
		name:    "copies of a jump that moves",
		rules:   "-A FORWARD -i wg0 -j ACCEPT\n-A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-USER\n",
		said:    []string{"IPv4 FORWARD: moved the jump to DOCKER-USER ahead of -A FORWARD -i wg0 -j ACCEPT, which lets through packets that the policy refuses, such as tcp 198.51.100.1:40000 -> 192.0.2.1:1 => 172.17.0.2:80 in wg0 out docker0 NEW"},
		forward: []string{"-j DOCKER-USER", "-i wg0 -j ACCEPT"},
	},
}

const (
	tsForward = "-A ts-forward -i tailscale0 -j MARK --set-xmark 0x40000/0xff0000\n-A ts-forward -m mark --mark 0x40000/0xff0000 -j ACCEPT\n" +
		"-A ts-forward -s 100.64.0.0/10 -o tailscale0 -j DROP\n-A ts-forward -o tailscale0 -j ACCEPT\n"
	banning = "-A f2b-nginx -s 198.51.100.7/32 -j REJECT --reject-with icmp-port-unreachable\n-A f2b-nginx -j RETURN\n" +
		"-A CROWDSEC_CHAIN -m set --match-set crowdsec-blacklists src -j DROP\n"
)

func TestJumpsGoAheadOfWhatLetsThroughRefusedPackets(t *testing.T) {
	for _, c := range beside {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			f, file := ir.IPv4, "v4.save"
			if c.attributes == onlyV6 {
				f, file = ir.IPv6, "v6.save"
			} else {
				c.attributes += onlyV4
			}
			compiled := open(t, write(t, filepath.Join(dir, "policy.hcl"), aheadPolicy(c.attributes)))
			text := c.other + head
			for _, chain := range append(strings.Fields(c.chains), "DOCKER-USER") {
				text += ":" + chain + " - [0:0]\n"
			}
			file = filepath.Join(dir, file)
			host := open(t, write(t, file, text+c.rules+"COMMIT\n"+fallbackLoaded))
			after, said := loaded(t, compiled, host)
			if diff := cmp.Diff(c.said, said); diff != "" {
				t.Errorf("said (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff([][]string{c.forward, c.user}, [][]string{rulesOf(after, f, "FORWARD"), usersRules(after, f)}); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			var b strings.Builder
			if err := after.Rules[f].Print(&b); err != nil {
				t.Fatal(err)
			}
			again := open(t, write(t, file, b.String()))
			if _, said := loaded(t, compiled, again); len(said) > 0 {
				t.Errorf("loading twice: %q", said)
			}
			other, filter, _ := strings.Cut(b.String(), "*filter\n")
			address := map[ir.Family]string{ir.IPv4: "203.0.113.7/32", ir.IPv6: "2001:db8::7/128"}[f]
			filter = strings.Replace(filter, "-A FORWARD", "-A FORWARD -p tcp -j f2b-again\n-A f2b-again -s "+address+" -j DROP\n-A f2b-again -j RETURN\n-A FORWARD", 1)
			if compiled.Install == ir.InstallJump {
				filter = strings.Replace(filter, "-A DOCKER-USER", "-A DOCKER-USER -p tcp -j f2b-again\n-A DOCKER-USER", 1)
			}
			banned := other + "*filter\n:f2b-again - [0:0]\n" + filter
			if _, said := loaded(t, compiled, open(t, write(t, file, banned))); len(said) > 0 {
				t.Errorf("after fail2ban has put its jump first: %q", said)
			}
		})
	}
}

// loaded is a host after loading, and the texts of what it does with the jumps.
func loaded(t *testing.T, compiled, host *Host) (*Host, []string) {
	t.Helper()
	after, err := compiled.LoadedOnto(host)
	if err != nil {
		t.Fatal(err)
	}
	placements, err := compiled.Placements(host)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, p := range placements {
		checkCopies(t, host, p)
		if text := p.Text(); text != "" {
			said = append(said, text)
		}
	}
	return after, said
}

// checkCopies compares a placement with the jumps that the host has.
func checkCopies(t *testing.T, host *Host, p Placement) {
	t.Helper()
	have := 0
	if rules := host.Rules[p.Family]; rules != nil && rules.Table(p.Table).Chain(p.Chain) != nil {
		for _, r := range rules.Table(p.Table).Chain(p.Chain).Rules {
			if words := strings.Fields(r.Canonical(iptables.Family(p.Family))); words[len(words)-1] == p.To && (len(words) == 2 || words[1] == "comment") {
				have++
			}
		}
	}
	if p.Copies != have || have == 0 && !p.Move {
		t.Errorf("%+v: the host has the jump %d times", p, have)
	}
}

func rulesOf(h *Host, f ir.Family, chain string) []string {
	var out []string
	for _, r := range h.Filter(f).Chain(chain).Rules {
		out = append(out, r.Canonical(iptables.Family(f)))
	}
	return out
}

// usersRules are the rules of DOCKER-USER where dockerfw has a chain of its own.
func usersRules(h *Host, f ir.Family) []string {
	if h.Install != ir.InstallJump {
		return nil
	}
	return rulesOf(h, f, "DOCKER-USER")
}

// The INPUT chain has rules that accept packets for docker-proxy.
func TestJumpInInput(t *testing.T) {
	for _, c := range []struct{ ahead, want string }{
		{"-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -i lo -j ACCEPT\n", ""},
		{"-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT\n", ""},
		{"-A INPUT -p tcp -m multiport --dports 443,5432 -j ACCEPT\n", "IPv4 INPUT: moved the jump to DOCKERFW-INPUT ahead of -A INPUT -p tcp -m multiport --dports 443,5432 -j ACCEPT, which lets through packets that the policy refuses, such as tcp 198.51.100.1:40000 -> 192.0.2.1:5432 in eth0 NEW"},
	} {
		dir := t.TempDir()
		compiled := open(t, write(t, filepath.Join(dir, "policy.hcl"), policy("")+"deny \"db\" {\n  protocol = \"tcp\"\n  published_ports = [5432]\n}\n"))
		text := head + ":DOCKER-USER - [0:0]\n:DOCKERFW-INPUT - [0:0]\n-A FORWARD -j DOCKER-USER\n" + c.ahead + "-A INPUT -j DOCKERFW-INPUT\nCOMMIT\n" + fallbackLoaded
		_, said := loaded(t, compiled, open(t, write(t, filepath.Join(dir, "v4.save"), text)))
		if got := strings.Join(said, "\n"); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.ahead, got, c.want)
		}
	}
}

// The jump in the security table is placed where the folder has rules for that table.
func TestJumpInTheSecurityTable(t *testing.T) {
	const moved = "IPv4 security table, FORWARD: moved the jump to DOCKERFW ahead of -t security -A FORWARD %s, which lets through packets that the policy refuses, such as %s"
	for _, c := range []struct{ host, want string }{
		{"", "IPv4 security table, FORWARD: added the jump to DOCKERFW as the first rule"},
		{"-A FORWARD -j DOCKERFW\n", ""},
		{"-A FORWARD -i eth0 -p udp -j DROP\n-A FORWARD -i eth7 -j ACCEPT\n-A FORWARD -j DOCKERFW\n", ""},
		{"-A FORWARD -p udp -j ACCEPT\n-A FORWARD -j DOCKERFW\n", fmt.Sprintf(moved, "-p udp -j ACCEPT", "udp 198.51.100.1:40000 -> 172.17.0.2:80 in eth0 out docker0 NEW")},
		{"-A FORWARD -m mark --mark 0x1 -j ACCEPT\n-A FORWARD -j DOCKERFW\n", fmt.Sprintf(moved, "-m mark --mark 0x1 -j ACCEPT", "tcp 198.51.100.1:40000 -> 192.0.2.1:1 => 172.17.0.2:80 in eth0 out docker0 NEW [mark 0x1/0xffffffff]")},
	} {
		dir := t.TempDir()
		compiled := open(t, write(t, filepath.Join(dir, "policy.hcl"), policy("  input_guard = false\n")))
		text := head + ":DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\nCOMMIT\n"
		if c.host != "" {
			text += "*security\n:FORWARD ACCEPT [0:0]\n:DOCKERFW - [0:0]\n" + c.host + "COMMIT\n"
		}
		after, said := loaded(t, compiled, open(t, write(t, filepath.Join(dir, "v4.save"), text)))
		if got := strings.Join(said, "\n"); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.host, got, c.want)
		}
		rules := after.Rules[ir.IPv4].Table("security").Chain("FORWARD").Rules
		if n := len(rules); c.want != "" && rules[0].Jump != "DOCKERFW" || c.want == "" && rules[n-1].Jump != "DOCKERFW" || len(after.Placed) != 2 {
			t.Errorf("%s: %d rules, %+v", c.host, n, after.Placed)
		}
	}
}

// The fallback rules for packets to the host have a jump in INPUT of the security table.
func TestJumpInInputOfTheSecurityTable(t *testing.T) {
	for _, c := range []struct{ host, want string }{
		{"", "IPv4 security table, INPUT: added the jump to DOCKERFW-INPUT as the first rule"},
		{"-A INPUT -p udp -j ACCEPT\n-A INPUT -j DOCKERFW-INPUT\n", ""},
		{"-A INPUT -j DOCKERFW-INPUT\n-A INPUT -j DOCKERFW-INPUT\n", "IPv4 security table, INPUT: replaced 2 jumps to DOCKERFW-INPUT by one, the first rule"},
		{"-A INPUT -p tcp -j ACCEPT\n-A INPUT -j DOCKERFW-INPUT\n", "IPv4 security table, INPUT: moved the jump to DOCKERFW-INPUT ahead of -t security -A INPUT -p tcp -j ACCEPT, which lets through packets that the policy refuses, such as tcp 198.51.100.1:40000 -> 192.0.2.1:5432 in eth0 NEW"},
	} {
		dir := t.TempDir()
		compiled := open(t, write(t, filepath.Join(dir, "policy.hcl"), policy("")+"deny \"db\" {\n  protocol = \"tcp\"\n  published_ports = [5432]\n}\n"))
		text := head + ":DOCKER-USER - [0:0]\n:DOCKERFW-INPUT - [0:0]\n-A FORWARD -j DOCKER-USER\n-A INPUT -j DOCKERFW-INPUT\nCOMMIT\n" +
			strings.Replace(fallbackLoaded, "-A INPUT -j DOCKERFW-INPUT\n", c.host, 1)
		after, said := loaded(t, compiled, open(t, write(t, filepath.Join(dir, "v4.save"), text)))
		if got := strings.Join(said, "\n"); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.host, got, c.want)
		}
		rules := after.Rules[ir.IPv4].Table("security").Chain("INPUT").Rules
		if c.want != "" && rules[0].Jump != "DOCKERFW-INPUT" || c.want == "" && rules[len(rules)-1].Jump != "DOCKERFW-INPUT" {
			t.Errorf("%s: INPUT has %d rules, and the jump is elsewhere", c.host, len(rules))
		}
	}
}

// Sets of the policy count as they are after loading. What others hold changes between two
// loads: a rule that accepts by them is a hole whenever somebody adds an entry.
func TestSetsInRulesAheadOfAJump(t *testing.T) {
	for _, c := range []struct {
		name, set string
		moves     bool
	}{
		{"the same entries as default.allow", "clients", false},
		{"an unmanaged set of the policy, which has no entry now", "bans", true},
		{"a set of another tool, which has no entry now", "trusted", true},
	} {
		dir := t.TempDir()
		text := policy("") + "ipset \"bans\" {\n  managed = false\n}\ndeny \"banned\" {\n  source = [ipset.bans]\n}\n" +
			"ipset \"clients\" {\n  entries = [\"192.0.2.1\"]\n}\ndefault {\n  allow = [ipset.clients]\n}\ndeny \"smtp\" {\n  protocol = \"tcp\"\n  container_ports = [25]\n}\n"
		compiled := open(t, write(t, filepath.Join(dir, "policy.hcl"), text))
		sets := "create bans hash:net family inet\ncreate trusted hash:net family inet\ncreate clients hash:net family inet\nadd clients 10.0.0.0/8\n"
		rules := head + ":DOCKER-USER - [0:0]\n-A FORWARD -i eth0 -p udp -m set --match-set bans src -j DROP\n" +
			"-A FORWARD -i eth0 -p udp -m set --match-set " + c.set + " src -j ACCEPT\n-A FORWARD -j DOCKER-USER\nCOMMIT\n"
		if c.set == "bans" {
			rules = strings.Replace(rules, "--match-set bans src -j DROP", "--match-set trusted src -j DROP", 1)
		}
		host := open(t, write(t, filepath.Join(dir, "v4"), rules)+","+write(t, filepath.Join(dir, "sets"), sets))
		if _, said := loaded(t, compiled, host); c.moves != (len(said) > 0 && strings.Contains(said[0], "FORWARD: moved")) {
			t.Errorf("%s: %q", c.name, said)
		}
	}
}

// A decision that is too expensive puts the jump ahead. Rules that can only drop need none.
func TestUndecidedJumpsMove(t *testing.T) {
	old := aheadBudget
	defer func() { aheadBudget = old }()
	aheadBudget = 10
	for _, c := range []struct{ ahead, want string }{
		{"-A FORWARD -j f2b\n-A FORWARD -i lo -j ACCEPT\n", "IPv4 FORWARD: moved the jump to DOCKER-USER ahead of -A FORWARD -i lo -j ACCEPT, which may let through packets that the policy refuses ("},
		{"-A FORWARD -j f2b\n", ""},
	} {
		dir := t.TempDir()
		compiled := open(t, write(t, filepath.Join(dir, "policy.hcl"), policy("  input_guard = false\n")))
		text := head + ":DOCKER-USER - [0:0]\n:f2b - [0:0]\n" + c.ahead + "-A FORWARD -j DOCKER-USER\n-A f2b -s 192.0.2.9/32 -j DROP\nCOMMIT\n" + fallbackLoaded
		after, said := loaded(t, compiled, open(t, write(t, filepath.Join(dir, "v4.save"), text)))
		moved := rulesOf(after, ir.IPv4, "FORWARD")[0] == "-j DOCKER-USER"
		if got := strings.Join(said, "\n"); moved != (c.want != "") || !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: got %q", c.ahead, said)
		}
	}
}

func TestFirstAdmitting(t *testing.T) {
	const (
		accept  = packet.Accept
		drop    = packet.Drop
		returns = packet.Return
	)
	program := func(policy packet.Kind, chains ...[]packet.Verdict) *packet.Program {
		p := &packet.Program{Default: packet.Verdict{Kind: policy}}
		for i, verdicts := range chains {
			c := &packet.Chain{Name: fmt.Sprint(i)}
			for _, v := range verdicts {
				c.Rules = append(c.Rules, &packet.Rule{Verdict: v})
			}
			p.Chains = append(p.Chains, c)
		}
		return p
	}
	kinds := func(of ...packet.Kind) (out []packet.Verdict) {
		for _, k := range of {
			out = append(out, packet.Verdict{Kind: k})
		}
		return out
	}
	call := func(k packet.Kind, chain string) packet.Verdict { return packet.Verdict{Kind: k, Chain: chain} }
	for name, c := range map[string]struct {
		p    *packet.Program
		want int
	}{
		"drops":                       {program(accept, kinds(drop, packet.Reject, packet.Continue)), -1},
		"the end":                     {program(accept, append(kinds(drop), Reached)), -1},
		"accepts":                     {program(drop, kinds(drop, accept)), 1},
		"a target that is not known":  {program(drop, []packet.Verdict{{Kind: packet.Other, With: "NFQUEUE"}}), 0},
		"returns to a policy":         {program(accept, kinds(drop, returns)), 1},
		"returns to a policy of drop": {program(drop, kinds(returns)), -1},
		"returns to the caller":       {program(packet.Docker, kinds(returns)), 0},
		"a call that returns":         {program(accept, []packet.Verdict{call(packet.Jump, "1")}, kinds(returns, drop)), -1},
		"a call that accepts":         {program(accept, []packet.Verdict{call(packet.Jump, "1")}, []packet.Verdict{call(packet.Goto, "2")}, kinds(accept)), 0},
		"a goto":                      {program(accept, []packet.Verdict{call(packet.Goto, "1")}, kinds(drop)), 0},
		"a goto and a policy of drop": {program(drop, []packet.Verdict{call(packet.Goto, "1")}, kinds(drop)), -1},
		"a goto in a called chain":    {program(accept, []packet.Verdict{call(packet.Jump, "1")}, []packet.Verdict{call(packet.Goto, "2")}, kinds(drop)), -1},
		"a chain that is not called":  {program(accept, kinds(drop), kinds(accept)), -1},
	} {
		if got := firstAdmitting(c.p); got != c.want {
			t.Errorf("%s: rule %d, want %d", name, got, c.want)
		}
	}
}
