//go:build linux

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// handmade is rules that people write into DOCKER-USER, and who gets through them.
type handmade struct {
	name, v4, v6, sets string
	// options are those of import.
	options []string
	// open are the reaches that the rules let through; they refuse all others.
	open []string
	// want is what import prints.
	want string
}

// reach is a connection with a short name.
type reach struct {
	name    string
	from    *lab.Node
	network string
	to      string
}

// reaches are those of clients to published ports, and of the container to servers outside. The
// container ports are 80, 81 and 53.
func (b *bench) reaches(web *lab.Container) []reach {
	var out []reach
	for _, client := range []*lab.Node{b.Allowed, b.Other, b.Inside} {
		for _, to := range []struct{ name, network, to string }{
			{"8080", "tcp", b.Host.At(8080)},
			{"8443", "tcp", b.Host.At(8443)},
			{"5353", "udp", b.Host.At(5353)},
			{"8080 IPv6", "tcp", b.Host.At6(8080)},
			{"5353 IPv6", "udp", b.Host.At6(5353)},
		} {
			out = append(out, reach{client.Name + " → " + to.name, client, to.network, to.to})
		}
	}
	for _, server := range []*lab.Node{b.Allowed, b.Other} {
		for _, to := range []struct{ name, network, to string }{
			{"443", "tcp", server.At(443)},
			{"444", "tcp", server.At(444)},
			{"53", "udp", server.At(53)},
		} {
			out = append(out, reach{"container → " + server.Name + " " + to.name, web.Node, to.network, to.to})
		}
	}
	return out
}

const (
	allOutgoing = "container → allowed 443, container → allowed 444, container → allowed 53, container → other 443, container → other 444, container → other 53"
	allInside   = "inside → 8080, inside → 8443, inside → 5353"
	allIPv6     = "allowed → 8080 IPv6, allowed → 5353 IPv6, other → 8080 IPv6, other → 5353 IPv6, inside → 8080 IPv6, inside → 5353 IPv6"
)

// madeByHand are the kinds of rules that runbooks, tutorials and ufw's after.rules have.
var madeByHand = []handmade{
	{
		name: "published ports, one of them for some clients",
		v4: `-A DOCKER-USER -i eth0 -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A DOCKER-USER -i eth0 -p tcp -m conntrack --ctorigdstport 8443 -j RETURN
-A DOCKER-USER -s 198.51.100.2/32 -i eth0 -p tcp -m conntrack --ctorigdstport 8080 -j RETURN
-A DOCKER-USER -i eth0 -j DROP
-A DOCKER-USER -j RETURN
`,
		open: []string{"allowed → 8080, allowed → 8443, other → 8443", allOutgoing, allInside, allIPv6},
		want: "to container port 8443/tcp directly (no DNAT)",
	},
	{
		name: "no new connections on one interface",
		v4: `-A DOCKER-USER -i eth0 -m conntrack --ctstate NEW -j DROP
-A DOCKER-USER -j RETURN
`,
		open: []string{allOutgoing, allInside, allIPv6},
		want: "only invalid and untracked packets",
	},
	{
		name: "a set for two ports, in both families",
		v4: `-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A DOCKER-USER -p tcp -m multiport --dports 80,443 -m set --match-set country src -j RETURN
-A DOCKER-USER -p tcp -m multiport --dports 80,443 -j DROP
-A DOCKER-USER -j RETURN
`,
		v6: `-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A DOCKER-USER -p tcp -m multiport --dports 80,443 -m set --match-set country6 src -j RETURN
-A DOCKER-USER -p tcp -m multiport --dports 80,443 -j DROP
-A DOCKER-USER -j RETURN
`,
		sets: `create country hash:net family inet
add country 198.51.100.2/32
add country 192.0.2.0/24
create country6 hash:net family inet6
add country6 2001:db8:1::2/128
`,
		// Rules without an interface are about all of them, and about what containers open.
		options: []string{"--external", "eth0", "--external", "eth1"},
		open: []string{
			"allowed → 8080, allowed → 8443, allowed → 5353, allowed → 8080 IPv6, allowed → 5353 IPv6",
			"other → 8443, other → 5353, other → 5353 IPv6, inside → 8443, inside → 5353, inside → 5353 IPv6",
			"container → allowed 444, container → allowed 53, container → other 444, container → other 53",
		},
		want: "Equal for all packets that arrive on eth0 or eth1 or leave through it: proved for IPv4 and IPv6.",
	},
	{
		name: "private networks and a port, as in after.rules",
		v4: `-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A DOCKER-USER -s 10.0.0.0/8 -j RETURN
-A DOCKER-USER -s 172.16.0.0/12 -j RETURN
-A DOCKER-USER -m set --match-set office src -j RETURN
-A DOCKER-USER -p tcp -m tcp --dport 81 -j RETURN
-A DOCKER-USER -i eth0 -m conntrack --ctstate NEW -j DROP
-A DOCKER-USER -j RETURN
`,
		sets: `create office hash:ip family inet
add office 198.51.100.2
`,
		open: []string{"allowed → 8080, allowed → 8443, allowed → 5353, other → 8443", allOutgoing, allInside, allIPv6},
		want: "only invalid and untracked packets",
	},
	{
		name: "in and out in one list",
		v4: `-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A DOCKER-USER -p udp -m udp --dport 53 -j ACCEPT
-A DOCKER-USER -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-USER -p tcp -m tcp --dport 443 -j ACCEPT
-A DOCKER-USER -m limit --limit 3/min -j LOG --log-prefix "blocked: "
-A DOCKER-USER -j DROP
`,
		options: []string{"--external", "eth0", "--external", "eth1"},
		open: []string{
			"allowed → 8080, allowed → 5353, other → 8080, other → 5353, inside → 8080, inside → 5353", allIPv6,
			"container → allowed 443, container → allowed 53, container → other 443, container → other 53",
		},
		want: "Equal for all packets that arrive on eth0 or eth1 or leave through it: proved for IPv4.",
	},
}

// The policy that import writes for the saved rules of a host admits the clients that the rules
// admitted, and refuses those that they refused.
func TestAnImportedPolicyAdmitsTheSameClients(t *testing.T) {
	onEngines(t, func(b *bench) {
		web := b.web("8080:80/tcp", "8443:81/tcp", "5353:53/udp")
		b.Allowed.Serve("443/tcp", "444/tcp", "53/udp")
		b.Other.Serve("443/tcp", "444/tcp", "53/udp")
		all := b.reaches(web)
		for _, h := range madeByHand {
			b.testImport(h, all)
		}
	})
}

// testImport takes rules from DOCKER-USER into a policy, as docs/migration.md describes it.
func (b *bench) testImport(h handmade, all []reach) {
	b.Helper()
	if err := b.engine.Tools.IPSetRestore(h.sets); err != nil {
		b.Fatal(err)
	}
	for family, rules := range map[int]string{4: h.v4, 6: h.v6} {
		text := "*filter\n:DOCKER-USER - [0:0]\n" + rules
		if !strings.Contains(b.engine.Tools.IPTablesSave(b.backend, family, "filter"), "-A FORWARD -j DOCKER-USER\n") {
			text += "-I FORWARD -j DOCKER-USER\n" // engine 20.10 has no such rule for IPv6
		}
		if err := b.engine.Tools.IPTablesRestore(b.backend, family, text+"COMMIT\n"); err != nil {
			b.Fatal(err)
		}
	}
	tries := b.tries(h, all)
	b.flushConntrack()
	b.expect(h.name+", by hand", tries...)

	files := map[string][]byte{"rules.v4": []byte(b.engine.Tools.IPTablesSave(b.backend, 4, "filter")), "sets": []byte(b.engine.Tools.IPSetSave())}
	inputs := []string{"rules.v4", "sets"}
	if h.v6 != "" {
		files["rules.v6"] = []byte(b.engine.Tools.IPTablesSave(b.backend, 6, "filter"))
		inputs = append(inputs, "rules.v6")
	}
	dir := b.engine.WriteFolder("state", files)
	command := append([]string{"import", "-o", dir + "/policy.hcl"}, h.options...)
	for _, name := range inputs {
		command = append(command, dir+"/"+name)
	}
	// The exit code is 1 where something differs; what import prints says which packets.
	printed, _ := b.dockerfw(command...)
	if !strings.Contains(printed, h.want) {
		b.Errorf("%s: import does not print %q:\n%s", h.name, h.want, printed)
	}
	for _, step := range [][]string{
		{"compile", "-q", dir + "/policy.hcl", "-o", dir + "/compiled"},
		{"apply", dir + "/compiled", "--force"}, // it replaces rules that dockerfw did not create
	} {
		if out, err := b.dockerfw(step...); err != nil {
			b.Fatalf("%s: %v: %v\n%s", h.name, step, err, out)
		}
	}
	for family, rules := range map[int]string{4: h.v4, 6: h.v6} {
		loaded := b.engine.Tools.IPTablesSave(b.backend, family, "filter")
		if last := lastLine(strings.TrimSuffix(rules, "-A DOCKER-USER -j RETURN\n")); last != "" && strings.Contains(loaded, last) {
			b.Errorf("%s: the host still has the rule %s", h.name, last)
		}
	}
	b.flushConntrack()
	b.expect(h.name+", imported", tries...)

	if out, err := b.dockerfw("remove"); err != nil {
		b.Fatalf("%s: %v\n%s", h.name, err, out)
	}
	b.engine.Tools.MustRun("rm", "-r", dir)
	b.engine.Tools.MustRun("ipset", "destroy")
}

// lastLine is the last line of a text, with its end.
func lastLine(text string) string {
	lines := slices.Collect(strings.Lines(text))
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}

// tries are the connections with the results that the rules have.
func (b *bench) tries(h handmade, all []reach) []try {
	b.Helper()
	open := strings.Split(strings.Join(h.open, ", "), ", ")
	var out []try
	for _, r := range all {
		want := lab.TimedOut
		if i := slices.Index(open, r.name); i >= 0 {
			want, open = lab.Answered, slices.Delete(open, i, i+1)
		}
		out = append(out, try{r.from, r.network, r.to, want})
	}
	if len(open) > 0 {
		b.Fatalf("%s: no such reach: %v", h.name, open)
	}
	return out
}
