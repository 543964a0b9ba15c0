package snapshot

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// fakeTools sets PATH to a folder with tools that print the filter table of each kind of
// iptables, on a host with the given default. The test fails if the legacy tool is run where
// it would create its tables.
func fakeTools(t *testing.T, standard Backend, nft, legacy string) {
	t.Helper()
	bin := t.TempDir()
	names := ""
	if legacy != "" {
		names = "nat\nfilter\n"
	}
	old := legacyTables
	legacyTables = map[ir.Family]string{ir.IPv4: write(t, filepath.Join(t.TempDir(), "ip_tables_names"), names)}
	t.Cleanup(func() { legacyTables = old })
	script := func(name, text string) {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, tool := range []string{"iptables", "ip6tables"} {
		for b, rules := range map[Backend]string{NFT: nft, Legacy: legacy} {
			text := "echo '# " + string(b) + "'"
			if rules != "" {
				text += "; echo '" + head + ":DOCKER-USER - [0:0]\n:DOCKER - [0:0]\n:DOCKER-FORWARD - [0:0]\n:DOCKERFW - [0:0]\n" + rules + "\nCOMMIT'"
			} else if b == Legacy {
				text += "; [ $# = 0 ] || echo asked >'" + bin + "/made'"
			}
			script(tool+"-"+string(b)+"-save", text)
			if b == standard {
				script(tool+"-save", text)
			}
		}
	}
	version := map[Backend]string{NFT: "nf_tables", Legacy: "legacy"}[standard]
	script("iptables", "echo 'iptables v1.8.9 ("+version+")'")
	script("ipset", ":")
	script("nft", `echo '{"nftables": []}'`)
	// ssh web1 is the same host. The script that it gets would add the directories of the tools of
	// this machine to PATH.
	script("cat", `while read -r line; do echo "$line"; done <`+legacyTables[ir.IPv4])
	script("id", "echo 0")
	sed, err := exec.LookPath("sed")
	if err != nil {
		t.Fatal(err)
	}
	script("ssh", sed+" '/^PATH=/d' | PATH="+bin+" /bin/sh")
	t.Setenv("PATH", bin)
	t.Cleanup(func() {
		if _, err := os.Stat(filepath.Join(bin, "made")); err == nil {
			t.Error("the legacy tool was run for a table that does not exist")
		}
	})
}

// remoteName is the same host as LiveName after fakeTools.
const remoteName = "ssh://root@web1:2222"

// A live host, this one or another, is read from the tables in which Docker's chains are.
func TestALiveHostIsReadWhereDockersChainsAre(t *testing.T) {
	for _, name := range []string{LiveName, remoteName} {
		t.Run(name, func(t *testing.T) { testBackends(t, name) })
	}
}

func testBackends(t *testing.T, host string) {
	const (
		engine20 = "-A FORWARD -j DOCKER-USER\n-A FORWARD -o docker0 -j DOCKER"
		engine28 = "-A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-FORWARD"
		flushed  = "-A FORWARD -o docker0 -j DOCKER"
		// What dockerfw apply adds before Docker has run.
		user  = "-A FORWARD -j DOCKER-USER"
		jump  = "-A FORWARD -j DOCKERFW"
		other = "-A FORWARD -s 192.0.2.1/32 -m comment --comment \"not -j DOCKER here\" -j DROP"
	)
	for _, c := range []struct {
		name        string
		standard    Backend
		nft, legacy string
		want        Backend // "" for an error
		note        string
	}{
		{"Docker in the default one", NFT, engine20, "", NFT, ""},
		{"Docker in legacy, the default", Legacy, other, engine20, Legacy, ""},
		{"Docker in legacy, not the default", NFT, "", engine20, Legacy, "iptables is iptables-nft on this host, and Docker's chains are in iptables-legacy: reading the latter"},
		{"Docker in nft, not the default", Legacy, engine28, other, NFT, "iptables is iptables-legacy on this host, and Docker's chains are in iptables-nft: reading the latter"},
		{"legacy has no tables", Legacy, engine20, "", NFT, "reading the latter"},
		{"our jump to DOCKER-USER is not Docker's", NFT, user, engine28, Legacy, "Docker's chains are in iptables-legacy"},
		{"nor is our jump to DOCKERFW", NFT, jump, flushed, Legacy, "Docker's chains are in iptables-legacy"},
		{"our jump to DOCKER-USER alone", Legacy, user, other, NFT, "FORWARD jumps to DOCKER-USER in iptables-nft"},
		{"our jump to DOCKER-USER in both", Legacy, user, user, Legacy, ""},
		{"no rules of Docker", NFT, other, other, NFT, ""},
		{"no tables at all", NFT, "", "", NFT, ""},
		{"Docker in both", NFT, engine20, engine28, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			fakeTools(t, c.standard, c.nft, c.legacy)
			opened, diags, err := Open(host, driver.Options{})
			if c.want == "" {
				if err == nil || !strings.HasPrefix(err.Error(), "FORWARD jumps to Docker's chains in both iptables-nft and iptables-legacy") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || diags.HasErrors() {
				t.Fatal(err, diags)
			}
			s := opened.Hosts[0]
			if opened.Name != host || s.Name != host {
				t.Errorf("the names are %s and %s", opened.Name, s.Name)
			}
			if s.Backend != c.want {
				t.Errorf("read from %s, want %s", s.Backend, c.want)
			}
			if !strings.Contains(opened.Note, c.note) || c.note == "" && opened.Note != "" {
				t.Errorf("the note is %q, want %q", opened.Note, c.note)
			}
			// Messages refer to the tool that changes what was read.
			tool := map[bool]string{true: "ip6tables", false: "ip6tables-" + string(c.want)}[c.want == c.standard]
			if got := s.Tool(ir.IPv6); got != tool {
				t.Errorf("the tool is %s, want %s", got, tool)
			}
			rules := map[Backend]string{NFT: c.nft, Legacy: c.legacy}[c.want]
			for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
				forward := 0
				if table := s.Filter(f); table != nil {
					forward = len(table.Chain("FORWARD").Rules)
				}
				if want := strings.Count(rules, "-A FORWARD"); forward != want {
					t.Errorf("%s: FORWARD has %d rules, want %d", words.Family(f), forward, want)
				}
			}
		})
	}
}

// iptables-nft prints no rules of a table to which nft added rules, and exits with 0.
func TestTablesThatIptablesCannotPrintAreErrors(t *testing.T) {
	fakeTools(t, NFT, "", "")
	path := os.Getenv("PATH")
	for _, name := range []string{"iptables-save", "iptables-nft-save"} {
		if err := os.WriteFile(filepath.Join(path, name), []byte("#!/bin/sh\necho \"# Table \\`filter' is incompatible, use 'nft' tool.\"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{LiveName, remoteName} {
		_, _, err := Open(name, driver.Options{})
		if err == nil || !strings.HasPrefix(err.Error(), name+": iptables-save: Table `filter' is incompatible") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
