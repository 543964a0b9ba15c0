package verify

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
)

// The tools of a host are scripts: the backend that it was read with, and the rules of the
// other one.
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
