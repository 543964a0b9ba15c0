package verify

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
)

// The rules of the other backend are the same whether a host was read for a load, which has read
// them, or for verify, which runs the host's tools, scripts here. After a load, dockerfw's rules there
// are a matter of the load.
func TestRulesInTheOtherBackendFail(t *testing.T) {
	const fault = " has rules of Docker or dockerfw too, such as "
	compiled := open(t, write(t, filepath.Join(t.TempDir(), "policy.hcl"), strings.Replace(policy, "INSTALL", "replace", 1)))
	for _, c := range []struct {
		rule        string
		live, after bool // whether it is a fault: as the host is, and after a load
	}{
		{"", false, false},
		{"-A INPUT -j ACCEPT", false, false},
		{"-A FORWARD -o docker0 -j TAILNET", false, false},
		{"-A DOCKER -o docker0 -j ACCEPT", true, true},
		{"-A DOCKER-FORWARD -o docker0 -j ACCEPT", true, true},
		{"-A FORWARD -o docker0 -j DOCKER", true, true},
		// Packets pass an empty chain.
		{"-A FORWARD -j DOCKER-USER", false, false},
		{"-A DOCKER-USER -j RETURN", false, false},
		{"-A DOCKER-USER -s 192.0.2.1/32 -j DROP", true, true},
		{"-A DOCKER-USER -m comment --comment dockerfw -j DROP", true, false},
		{"-A DOCKERFW-INPUT -j RETURN", true, false},
		{"-A INPUT -j DOCKERFW-INPUT", true, false},
	} {
		text := "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:DOCKER - [0:0]\n:DOCKER-FORWARD - [0:0]\n:DOCKER-USER - [0:0]\n:DOCKERFW-INPUT - [0:0]\n:TAILNET - [0:0]\n" + c.rule + "\nCOMMIT\n"
		other := open(t, write(t, filepath.Join(t.TempDir(), "rules.v4"), text))
		for _, own := range []snapshot.Backend{snapshot.NFT, snapshot.Legacy} {
			bin := t.TempDir()
			write(t, filepath.Join(bin, "iptables-"+string(own)+"-save"), "#!/bin/sh\nprintf '*filter\\n-A DOCKER-USER -j DROP\\nCOMMIT\\n'\n")
			write(t, filepath.Join(bin, "iptables-"+string(own.Other())+"-save"), "#!/bin/sh\nwhile read -r line; do echo \"$line\"; done <<'END'\n"+text+"END\n")
			t.Setenv("PATH", bin)
			for _, one := range []struct {
				have snapshot.Host
				want bool
			}{
				{snapshot.Host{Kind: snapshot.Live, Backend: own}, c.live},
				{snapshot.Host{Kind: snapshot.Live, Backend: own, Other: other.Rules}, c.after},
			} {
				r, err := backend(&hosts{want: compiled, have: &one.have})
				if err != nil {
					t.Fatal(err)
				}
				if want := "iptables-" + string(own.Other()) + fault + c.rule + ": packets traverse both"; r.ok == one.want || one.want && !strings.HasPrefix(r.text, want) {
					t.Errorf("%q, read for a load: %t: %+v", c.rule, one.have.Other != nil, r)
				}
			}
		}
	}
}

func TestRulesOfTheOtherBackendThatCannotBeReadAreAnError(t *testing.T) {
	compiled := open(t, write(t, filepath.Join(t.TempDir(), "policy.hcl"), strings.Replace(policy, "INSTALL", "replace", 1)))
	for script, want := range map[string]string{
		"echo '-A DOCKER -j ACCEPT'":                     "iptables-legacy-save:1",
		"echo out of memory >&2; exit 1":                 "out of memory",
		"echo \"can't initialize iptables\" >&2; exit 3": "",
	} {
		bin := t.TempDir()
		write(t, filepath.Join(bin, "iptables-legacy-save"), "#!/bin/sh\n"+script+"\n")
		t.Setenv("PATH", bin)
		_, err := backend(&hosts{want: compiled, have: &snapshot.Host{Kind: snapshot.Live, Backend: snapshot.NFT}})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", script, err)
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
