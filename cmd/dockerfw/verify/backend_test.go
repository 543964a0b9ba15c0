package verify

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
)

// The tools of a host are scripts: the backend that it was read with, and the rules of the
// other one.
// A host that was read for a load has the other tables already: Docker's rules there fail, and
// dockerfw's are a matter of the load.
func TestDockersRulesInTheOtherBackendFailAfterALoad(t *testing.T) {
	compiled := open(t, write(t, filepath.Join(t.TempDir(), "policy.hcl"), strings.Replace(policy, "INSTALL", "replace", 1)))
	for rules, want := range map[string]string{
		"":                                 "",
		"-A DOCKER -o docker0 -j ACCEPT":   "iptables-legacy has rules of Docker or dockerfw too, such as -A DOCKER -o docker0 -j ACCEPT: packets traverse both",
		"-A FORWARD -o docker0 -j DOCKER":  "iptables-legacy has rules of Docker or dockerfw too, such as -A FORWARD -o docker0 -j DOCKER",
		"-A DOCKERFW-INPUT -j RETURN":      "",
		"-A FORWARD -j DOCKER-USER":        "",
		"-A FORWARD -o docker0 -j TAILNET": "",
	} {
		text := "*filter\n:FORWARD ACCEPT [0:0]\n:DOCKER - [0:0]\n:DOCKER-USER - [0:0]\n:DOCKERFW-INPUT - [0:0]\n:TAILNET - [0:0]\n" + rules + "\nCOMMIT\n"
		other := open(t, write(t, filepath.Join(t.TempDir(), "rules.v4"), text))
		r, err := backend(&hosts{want: compiled, have: &snapshot.Host{Kind: snapshot.Live, Backend: snapshot.NFT, Other: other.Rules}})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.text; r.ok != (want == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %+v", rules, r)
		}
	}
}

// Of a large policy, a load leaves out what is slow.
func TestTheChecksAfterALoadCanBeQuick(t *testing.T) {
	dir := t.TempDir()
	compiled := open(t, write(t, filepath.Join(dir, "policy.hcl"), strings.Replace(policy, "INSTALL", "replace", 1)))
	host := open(t, write(t, filepath.Join(dir, "rules.v4"), strings.NewReplacer("CHAIN", "DOCKER-USER", "PASS", "ACCEPT", jump, jump+dockerRules).Replace(savedRules)+
		"*mangle\n:FORWARD ACCEPT [0:0]\n-A FORWARD -i eth0 -j DROP\nCOMMIT\n"))
	for quick, want := range map[bool]string{false: "IPv4 FORWARD IPv4 Docker", true: "IPv4 Docker"} {
		loaded, err := compiled.LoadedOnto(host)
		if err != nil {
			t.Fatal(err)
		}
		found, err := Loaded(compiled, loaded, quick)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range found {
			names = append(names, f.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("quick %t: %s", quick, got)
		}
	}
}

func TestRulesInTheOtherBackendFail(t *testing.T) {
	for _, c := range []struct {
		own         snapshot.Backend
		rules, want string
	}{
		{snapshot.NFT, "", ""},
		{snapshot.NFT, "-A FORWARD -j DOCKER-USER", "iptables-legacy has rules of Docker or dockerfw too, such as -A FORWARD -j DOCKER-USER: packets traverse both"},
		{snapshot.Legacy, "-A DOCKERFW-INPUT -j RETURN", "iptables-nft has rules of Docker or dockerfw too, such as -A DOCKERFW-INPUT -j RETURN: packets traverse both"},
		{snapshot.NFT, "-A INPUT -j ACCEPT", ""},
	} {
		bin := t.TempDir()
		for _, b := range []snapshot.Backend{snapshot.NFT, snapshot.Legacy} {
			rules := "-A DOCKER-USER -j DROP" // in the backend of Docker
			if b != c.own {
				rules = c.rules
			}
			write(t, filepath.Join(bin, "iptables-"+string(b)+"-save"), "#!/bin/sh\necho '"+rules+"'\n")
		}
		t.Setenv("PATH", bin)
		compiled := open(t, write(t, filepath.Join(t.TempDir(), "policy.hcl"), strings.Replace(policy, "INSTALL", "replace", 1)))
		r, err := backend(&hosts{want: compiled, have: &snapshot.Host{Kind: snapshot.Live, Backend: c.own}})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if !r.ok {
			got = r.text
		}
		if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%+v: got %q", c, got)
		}
	}
}
