package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/nft"
)

const dockersJump = "-A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-FORWARD"

// The tools of the other backend, and what else verify needs, come with the same connection.
func TestARemoteHostAnswersWhatVerifyNeeds(t *testing.T) {
	fakeTools(t, NFT, dockersJump, "-A INPUT -j ACCEPT")
	opened, _, err := Open(remoteName, driver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := opened.Hosts[0]
	t.Setenv("PATH", "") // no program runs from here on
	text, err := h.ToolOutput("iptables-legacy-save")
	if err != nil || !strings.Contains(string(text), "-A INPUT -j ACCEPT") {
		t.Errorf("iptables-legacy-save: %s, %v", text, err)
	}
	if _, err := h.ToolOutput("iptables-legacy-save", "-t", "nat"); err == nil {
		t.Error("a tool that has not run has output")
	}
}

func TestErrorsOfRemoteToolsShowTheHostAndWhatToDo(t *testing.T) {
	for _, c := range []struct{ name, tool, script, want string }{
		{
			"not root", "iptables-save", "echo 'iptables-save v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)' >&2; exit 4",
			remoteName + ": iptables-save: iptables-save v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root): exit status 4. Reading the rules of a host needs root: use " + remoteName,
		},
		{"no iptables", "iptables-save", "", remoteName + ": iptables-save is not installed there"},
		{"no ip6tables", "ip6tables-save", "", remoteName + ": ip6tables-save is not installed there"},
		{"ipset fails", "ipset", "exit 1", remoteName + ": ipset: no message: exit status 1"},
		{"nft fails", "nft", "echo netlink: Error >&2; exit 1", remoteName + ": nft: netlink: Error: exit status 1"},
		{"nft prints something else", "nft", "echo {", remoteName + ": nft -j list ruleset: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			fakeTools(t, NFT, dockersJump, "")
			path := filepath.Join(os.Getenv("PATH"), c.tool)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if c.script != "" {
				write(t, path, "#!/bin/sh\n"+c.script+"\n")
				if err := os.Chmod(path, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if c.name == "not root" {
				write(t, filepath.Join(os.Getenv("PATH"), "id"), "#!/bin/sh\necho 1000\n")
			}
			_, _, err := Open(remoteName, driver.Options{})
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if installed := c.script != ""; errors.Is(err, ErrNoTool) == installed {
				t.Errorf("%v: the kind of the error is wrong", err)
			}
		})
	}
}

// For a dormant table nft 1.0.6 prints JSON that ends in the middle, here and on another host.
func TestTheTextOfNFTIsReadWhereItsJSONIsNot(t *testing.T) {
	const table = "table inet dockerfw {\n\tflags dormant\n\n\tchain forward {\n\t\ttype filter hook forward priority filter - 10; policy accept;\n\t}\n}"
	fakeTools(t, NFT, dockersJump, "")
	write(t, filepath.Join(os.Getenv("PATH"), "nft"), "#!/bin/sh\ncase $1 in\n-j) echo '{\"nftables\": [{\"table\": {\"family\": \"inet\", \"flags\": [\"' ;;\n*) echo '"+table+"' ;;\nesac\n")
	for _, name := range []string{"live", remoteName} {
		opened, diags, err := Open(name, driver.Options{})
		if err != nil || diags.HasErrors() {
			t.Fatal(name, err, diags)
		}
		h := opened.Hosts[0]
		if !h.NFTables() || !h.Table().Dormant || h.Table().Chain("forward") == nil {
			t.Errorf("%s: got %+v", name, h.NFT)
		}
	}
	// A host with large sets is listed in parts.
	compiled := &Host{NFT: &nft.Ruleset{Tables: []*nft.Table{{Family: ir.NFTFamily, Name: ir.NFTTable, Sets: map[string]*nft.Set{"a.01234567": {Name: "a.01234567"}}}}}}
	compiled.Table().Sets["a.01234567"].Addresses.V4 = make([]nft.Range4, plan.LargeSet+1)
	if len(largeSets([]*Host{compiled})) != 1 {
		t.Fatal("the set is not large")
	}
	h := newHost("live", Live)
	if err := h.readNFT(LiveOptions{Compiled: []*Host{compiled}}); err != nil || !h.NFTables() || !h.Table().Dormant {
		t.Errorf("got %+v, %v", h.NFT, err)
	}
}

// ipset and nft may be missing, as on this host.
func TestARemoteHostMayHaveNoIPSetAndNoNFT(t *testing.T) {
	fakeTools(t, NFT, dockersJump, "")
	for _, tool := range []string{"ipset", "nft"} {
		if err := os.Remove(filepath.Join(os.Getenv("PATH"), tool)); err != nil {
			t.Fatal(err)
		}
	}
	opened, diags, err := Open(remoteName, driver.Options{})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	if h := opened.Hosts[0]; h.NFTUnread != "nft is not installed" || h.Kind != Live {
		t.Errorf("got %+v", h)
	}
}

func TestARemoteHostHasNoRevisions(t *testing.T) {
	if _, _, err := openRevision("HEAD", remoteName, driver.Options{}); err == nil || !strings.Contains(err.Error(), "is a host, which has no git revisions") {
		t.Errorf("got %v", err)
	}
}
