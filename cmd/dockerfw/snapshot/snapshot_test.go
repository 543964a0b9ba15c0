package snapshot

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, name string) *Host {
	t.Helper()
	opened, diags, err := Open(name, driver.Options{})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	if len(opened.Hosts) != 1 {
		t.Fatalf("%s has %d hosts", name, len(opened.Hosts))
	}
	return opened.Hosts[0]
}

// policy is a small policy with host attributes.
func policy(attributes string) string {
	return "host {\n  external_interfaces = [\"eth0\"]\n  families = [\"ipv4\"]\n" + attributes + "}\n" +
		"accept \"https\" {\n  protocol = \"tcp\"\n  published_ports = [443]\n}\n"
}

const (
	head = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
	ours = `-i eth0 -m comment --comment "dockerfw default" -j DROP`
)

// Loading removes the rules of an earlier version, and keeps foreign ones.
func TestLoadingReplacesOurRulesAndKeepsForeignOnes(t *testing.T) {
	for _, c := range []struct {
		name, attributes, host string
		// forward, user and own are the rules afterwards, by the last word of their comment.
		forward, user, own []string
	}{
		{
			name:    "replace on a fresh host",
			host:    head + "COMMIT\n",
			forward: []string{"-j DOCKER-USER"},
			user:    []string{"established", "https", "default"},
		},
		{
			name:    "replace deletes foreign rules in its chain",
			host:    head + ":DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -s 10.0.0.1/32 -j DROP\n-A DOCKER-USER -j RETURN\nCOMMIT\n",
			forward: []string{"-j DOCKER-USER"},
			user:    []string{"established", "https", "default"},
		},
		{
			name: "jump after replace", attributes: "install = \"jump\"\n",
			host:    head + ":DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER " + ours + "\n-A DOCKER-USER -s 10.0.0.1/32 -j DROP\nCOMMIT\n",
			forward: []string{"-j DOCKER-USER"},
			user:    []string{"-j DOCKERFW", "-s 10.0.0.1/32 -j DROP"},
			own:     []string{"established", "https", "default"},
		},
		{
			name:    "replace after jump",
			host:    head + ":DOCKER-USER - [0:0]\n:DOCKERFW - [0:0]\n:DOCKERFW-EGRESS - [0:0]\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j DOCKERFW\n-A DOCKERFW " + ours + "\nCOMMIT\n",
			forward: []string{"-j DOCKER-USER"},
			user:    []string{"established", "https", "default"},
		},
		{
			name: "a jump below foreign rules that only drop stays", attributes: "install = \"jump\"\n",
			host:    head + ":DOCKER-USER - [0:0]\n:DOCKERFW - [0:0]\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -s 10.0.0.1/32 -j DROP\n-A DOCKER-USER -j DOCKERFW\nCOMMIT\n",
			forward: []string{"-j DOCKER-USER"},
			user:    []string{"-s 10.0.0.1/32 -j DROP", "-j DOCKERFW"},
			own:     []string{"established", "https", "default"},
		},
		{
			name: "a jump below foreign rules that return moves to the top", attributes: "install = \"jump\"\n",
			host:    head + ":DOCKER-USER - [0:0]\n:DOCKERFW - [0:0]\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -s 10.0.0.1/32 -j RETURN\n-A DOCKER-USER -j DOCKERFW\nCOMMIT\n",
			forward: []string{"-j DOCKER-USER"},
			user:    []string{"-j DOCKERFW", "-s 10.0.0.1/32 -j RETURN"},
			own:     []string{"established", "https", "default"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			compiled := open(t, write(t, filepath.Join(dir, "policy.hcl"), policy(c.attributes)))
			host := open(t, write(t, filepath.Join(dir, "host.save"), c.host))
			before := printed(t, host)
			after, err := compiled.LoadedOnto(host)
			if err != nil {
				t.Fatal(err)
			}
			short := func(chain string) []string {
				var out []string
				found := after.Filter(ir.IPv4).Chain(chain)
				if found == nil {
					return nil
				}
				for _, r := range found.Rules {
					words := strings.Fields(r.Comment())
					if len(words) > 0 {
						out = append(out, words[len(words)-1])
					} else {
						out = append(out, r.Canonical(iptables.IPv4))
					}
				}
				return out
			}
			if diff := cmp.Diff([][]string{c.forward, c.user, c.own}, [][]string{short("FORWARD"), short("DOCKER-USER"), short(identity.OwnPrefix)}); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if after.Filter(ir.IPv4).Chain("DOCKERFW-EGRESS") != nil {
				t.Error("a chain of an earlier version is left")
			}
			if got := printed(t, host); got != before {
				t.Errorf("the host was changed, not a copy:\n%s", got)
			}
		})
	}
}

// Loading replaces the fallback rules of an earlier version in the security table, and keeps the
// jump behind a foreign rule that lets nothing through, or removes them.
func TestLoadingReplacesTheFallbackRules(t *testing.T) {
	const (
		builtin = "*security\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
		foreign = "-A FORWARD -s 10.0.0.1/32 -j DROP\n"
		earlier = ":DOCKERFW - [0:0]\n:DOCKERFW-EGRESS - [0:0]\n" + foreign + "-A FORWARD -j DOCKERFW\n-A DOCKERFW -j DOCKERFW-EGRESS\n-A DOCKERFW-EGRESS " + ours + "\nCOMMIT\n"
		https   = "-i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport 443 --ctdir ORIGINAL -m comment --comment \"dockerfw accept https\" -j RETURN"
		input   = "-A DOCKERFW-INPUT -i eth0 -p tcp -m tcp --dport 443 -m comment --comment \"dockerfw input\" -j DOCKERFW-PROXY\n" +
			"-A DOCKERFW-PROXY -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment \"dockerfw established\" -j RETURN\n" +
			"-A DOCKERFW-PROXY -p tcp -m tcp --dport 443 -m comment --comment \"dockerfw accept https\" -j RETURN\n" +
			"-A DOCKERFW-PROXY -m comment --comment \"dockerfw default\" -j DROP\nCOMMIT\n"
		loaded = ":DOCKERFW - [0:0]\n:DOCKERFW-INPUT - [0:0]\n:DOCKERFW-PROXY - [0:0]\n-A INPUT -j DOCKERFW-INPUT\n%s-A FORWARD -j DOCKERFW\n-A DOCKERFW -i eth0 -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment \"dockerfw established\" -j RETURN\n-A DOCKERFW " + https + "\n-A DOCKERFW " + ours + "\n" + input
	)
	for _, c := range []struct{ name, policy, security, want string }{
		{"on a fresh host", policy(""), "", builtin + fmt.Sprintf(loaded, "")},
		{"after another version", policy(""), builtin + earlier, builtin + fmt.Sprintf(loaded, foreign)},
		{"jump after another version", policy("install = \"jump\"\n"), builtin + earlier, builtin + fmt.Sprintf(loaded, foreign)},
		{"a policy without refusals", policy("") + "default { action = \"return\" }\n", builtin + earlier, builtin + foreign + "COMMIT\n"},
		{"rules in the chain DOCKER", policy("chain = \"DOCKER\"\ninstall = \"insert\"\n"), builtin + earlier, builtin + ":DOCKERFW-INPUT - [0:0]\n:DOCKERFW-PROXY - [0:0]\n-A INPUT -j DOCKERFW-INPUT\n" + foreign + input},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			compiled := open(t, write(t, filepath.Join(dir, "policy.hcl"), c.policy))
			host := open(t, write(t, filepath.Join(dir, "host.save"), head+"COMMIT\n"+c.security))
			before := printed(t, host)
			after, err := compiled.LoadedOnto(host)
			if err != nil {
				t.Fatal(err)
			}
			_, got, found := strings.Cut(printed(t, after), "*security\n")
			if got = "*security\n" + got; !found || got != c.want {
				t.Errorf("(-want +got)\n%s", cmp.Diff(c.want, got))
			}
			if printed(t, host) != before {
				t.Error("the host was changed, not a copy")
			}
		})
	}
}

func TestLoadingRemovesOurRulesOfAFamilyThatIsNotCompiled(t *testing.T) {
	dir := t.TempDir()
	compiled := open(t, write(t, filepath.Join(dir, "policy.hcl"), policy("")))
	host := open(t, write(t, filepath.Join(dir, "v6.save"), head+":DOCKER-USER - [0:0]\n:DOCKERFW - [0:0]\n-A DOCKER-USER -j DOCKERFW\n-A DOCKER-USER "+ours+"\n-A DOCKER-USER -s 2001:db8::1/128 -j DROP\nCOMMIT\n"+
		"*security\n:DOCKERFW - [0:0]\n-A FORWARD -j DOCKERFW\n-A DOCKERFW "+ours+"\nCOMMIT\n"))
	after, err := compiled.LoadedOnto(host)
	if err != nil {
		t.Fatal(err)
	}
	v6 := after.Filter(ir.IPv6)
	if v6.Chain(identity.OwnPrefix) != nil {
		t.Error("our chain is left")
	}
	if user := v6.Chain("DOCKER-USER"); len(user.Rules) != 1 || identity.Ours(user.Rules[0]) {
		t.Errorf("DOCKER-USER has not just the foreign rule: %d rules", len(user.Rules))
	}
	if security := after.Rules[ir.IPv6].Table("security"); security.Chain(identity.OwnPrefix) != nil || len(security.Chain("FORWARD").Rules) > 0 {
		t.Error("the fallback rules are left")
	}
}

func printed(t *testing.T, s *Host) string {
	t.Helper()
	var b strings.Builder
	if err := s.Rules[ir.IPv4].Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Unmanaged sets keep their entries; one of another type is an error.
func TestLoadingKeepsUnmanagedSets(t *testing.T) {
	dir := t.TempDir()
	text := policy("") + "ipset \"bans\" {\n  type = \"hash:ip\"\n  managed = false\n}\ndeny \"banned\" {\n  source = [ipset.bans]\n}\n" +
		"ipset \"clients\" {\n  entries = [\"192.0.2.1\"]\n}\ndefault {\n  allow = [ipset.clients]\n}\n"
	compiled := open(t, write(t, filepath.Join(dir, "policy.hcl"), text))
	sets := "create bans hash:ip family inet hashsize 1024 maxelem 65536\nadd bans 203.0.113.5\n" +
		"create clients hash:net family inet hashsize 1024 maxelem 65536\nadd clients 10.0.0.0/8\n"
	host := func(sets string) *Host {
		name := write(t, filepath.Join(dir, "v4"), head+"COMMIT\n") + "," + write(t, filepath.Join(dir, "sets"), sets)
		return open(t, name)
	}
	after, err := compiled.LoadedOnto(host(sets))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, name := range []string{"bans", "clients"} {
		for _, p := range after.Members()[name].Prefixes(0) {
			got = append(got, name+" "+p.String())
		}
	}
	if diff := cmp.Diff([]string{"bans 203.0.113.5/32", "clients 192.0.2.1/32"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	_, err = compiled.LoadedOnto(host(strings.ReplaceAll(sets, "bans hash:ip", "bans hash:net")))
	if err == nil || !strings.Contains(err.Error(), "the unmanaged set bans is hash:net") {
		t.Errorf("got %v", err)
	}
}

func TestNamesThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	one := write(t, filepath.Join(dir, "a", "one"), head+"COMMIT\n")
	two := write(t, filepath.Join(dir, "a", "two"), head+"COMMIT\n")
	sets := write(t, filepath.Join(dir, "sets"), "create a hash:ip family inet\n")
	write(t, filepath.Join(dir, "empty", "README"), "nothing\n")
	for _, c := range []struct{ name, want string }{
		{filepath.Join(dir, "none"), "no such file"},
		{one + "," + two, "both hold IPv4 rules"},
		{sets, "has sets, but no output of iptables-save or ip6tables-save. Give the rules too"},
		{filepath.Join(dir, "empty", "README"), "is neither a policy nor"},
		{write(t, filepath.Join(dir, "hollow"), ""), "is empty, and its name does not tell"},
	} {
		_, _, err := Open(c.name, driver.Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// openRevision is OpenSideAt with all hosts read.
func openRevision(rev, path string, opts driver.Options) (*Fleet, hcl.Diagnostics, error) {
	side, diags, err := OpenSideAt(rev, path, opts)
	if err != nil {
		return nil, diags, err
	}
	out, more, err := side.all()
	return out, append(diags, more...), err
}

// A revision is read with its address lists, and the work tree does not change.
func TestOpenSideAt(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal("git is needed: ", err)
	}
	repo := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", repo, "-c", "user.name=t", "-c", "user.email=t@example.org"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	run("init", "-q")
	list := policy("") + "ipset \"f\" {\n  files = [\"lists/f.txt\"]\n}\ndefault {\n  allow = [ipset.f]\n}\n"
	path := write(t, filepath.Join(repo, "net", "policy.hcl"), list)
	write(t, filepath.Join(repo, "net", "lists", "f.txt"), "192.0.2.1\n")
	run("add", ".")
	run("commit", "-q", "-m", "one")
	write(t, filepath.Join(repo, "net", "lists", "f.txt"), "192.0.2.2\n")
	for _, name := range []string{path, filepath.Dir(path)} {
		for _, outside := range []bool{false, true} {
			opened, diags, err := openRevision("HEAD", name, driver.Options{AllowOutside: outside})
			if err != nil || diags.HasErrors() {
				t.Fatal(err, diags)
			}
			h := opened.Hosts[0]
			if got := h.Members()["f"].Prefixes(0); len(got) != 1 || got[0].String() != "192.0.2.1/32" {
				t.Errorf("the set holds %v", got)
			}
			place := h.Origins[RuleKey{"DOCKER-USER", ir.RuleID{Phase: ir.PhaseAccept, Name: "https"}}].Range
			if got, want := place.Filename, "HEAD:"+path; got != want {
				t.Errorf("the place is %s, want %s", got, want)
			}
			if h.Name != "HEAD:"+name {
				t.Errorf("the name is %s", h.Name)
			}
		}
	}
	if text, _ := os.ReadFile(filepath.Join(repo, "net", "lists", "f.txt")); string(text) != "192.0.2.2\n" {
		t.Errorf("the work tree was changed: %s", text)
	}
	renamed := write(t, filepath.Join(repo, "net", "renamed.hcl"), list)
	if _, _, err := openRevision("HEAD", renamed, driver.Options{}); err == nil || !strings.HasPrefix(err.Error(), renamed+" does not exist in HEAD. If it is new, there is nothing to compare it with") {
		t.Errorf("a file that did not exist: %v", err)
	}
	for _, bad := range []string{"nope", "--help", ""} {
		if _, _, err := openRevision(bad, path, driver.Options{}); err == nil {
			t.Errorf("revision %q: no error", bad)
		}
	}
}

func TestLabelsOfAFleet(t *testing.T) {
	fleet := &Fleet{}
	for i := range 12 {
		fleet.Hosts = append(fleet.Hosts, &Host{Label: fmt.Sprintf("web%d", i+1)})
	}
	if got, want := fleet.Labels(), "web1, web2, web3, web4, web5, web6, web7, web8, web9, web10 and 2 more"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	fleet.Hosts = fleet.Hosts[:2]
	if got, want := fleet.Labels(), "web1, web2"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
