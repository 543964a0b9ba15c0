package status

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/outcome"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/store"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

var now = time.Date(2026, 3, 4, 3, 0, 0, 0, time.UTC)

func requireText(t *testing.T, r *Report, style Style, want string) {
	t.Helper()
	style.Now = now
	var b bytes.Buffer
	if err := WriteText(&b, r, style); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.TrimPrefix(want, "\n"), b.String()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func inForce() *Report {
	return &Report{
		OK: true, State: InForce,
		Version: &outcome.Version{Folder: "/etc/dockerfw.d/2", Digest: "0123456789abcdef", Host: "web1", Policy: []string{"policy.hcl"}, Backend: "nft"},
		Good:    &Good{InForce: true},
		Boot:    apply.BootUnit{Systemd: true, Enabled: true, Folder: "/etc/dockerfw.d/2"},
		Drops: []Drops{
			{Rule: "default", Family: "ipv4", Chain: "DOCKER-USER", Packets: 12},
			{Rule: "default", Family: "ipv4", Chain: "DOCKERFW", Fallback: true, Packets: 1},
			{Rule: `deny "scanners"`, Family: "ipv6", Chain: "DOCKER-USER"},
		},
		Sets: []Set{{Name: "clients", Entries: 3, Managed: true}, {Name: "bans", Entries: 1}, {Name: "office", Missing: true, Managed: true}},
	}
}

func TestAHostInOrder(t *testing.T) {
	requireText(t, inForce(), Style{}, `
rules      in force, exactly as compiled
folder     /etc/dockerfw.d/2 for host web1 (0123456789ab)
policy     policy.hcl
tables     iptables-nft
boot       the unit is enabled, and loads /etc/dockerfw.d/2
copy       the version in force, if the folder cannot be loaded at boot
drops      packets since the rules were loaded:
                   12  default (DOCKER-USER, IPv4)
                    1  default (fallback rules, IPv4)
sets       clients 3, bans 1 (unmanaged), office MISSING
`)
}

func TestAHostThatDiffers(t *testing.T) {
	r := inForce()
	r.State, r.Differences = Different, []string{"IPv4 FORWARD: add the jump to DOCKER-USER", "set clients: add 1 entry"}
	r.Pending = &Pending{Overdue: true}
	r.Boot, r.Good, r.Drops, r.Sets = apply.BootUnit{Systemd: true}, &Good{Digest: "fedcba9876543210"}, nil, nil
	requireText(t, r, Style{}, `
rules      DIFFERENT from what was loaded: 2 differences
folder     /etc/dockerfw.d/2 for host web1 (0123456789ab)
policy     policy.hcl
tables     iptables-nft
to fix     IPv4 FORWARD: add the jump to DOCKER-USER
           set clients: add 1 entry
confirm    OVERDUE: the change is not confirmed, and the process that would roll it back is gone
next       dockerfw rollback, or dockerfw confirm to keep the change
boot       the unit dockerfw.service is not enabled: published ports are open after a reboot
copy       another version (fedcba987654), if the folder cannot be loaded at boot
`)
}

// Enabled without a folder that it can load, the unit closes all containers: what status proposes must
// not do that.
func TestWhatBootLoadsAndHowToChangeIt(t *testing.T) {
	version := &outcome.Version{Folder: "/etc/dockerfw.d/2", Digest: "0123456789abcdef"}
	const (
		off     = "boot       the unit dockerfw.service is not enabled: published ports are open after a reboot\n"
		link    = "next       ln -sfn /etc/dockerfw.d/2 /etc/dockerfw\n"
		enable  = "next       systemctl enable --now dockerfw\n"
		damaged = "/etc/dockerfw was changed after it was compiled: iptables.restore"
	)
	for name, c := range map[string]struct {
		version *outcome.Version
		again   string
		boot    apply.BootUnit
		want    string
	}{
		"nothing loaded, no folder":     {nil, "", apply.BootUnit{}, off},
		"nothing loaded, a folder":      {nil, "", apply.BootUnit{Folder: "/etc/dockerfw.d/2"}, off + enable},
		"loaded, no folder":             {version, "", apply.BootUnit{}, off + link + enable},
		"loaded, another folder":        {version, "", apply.BootUnit{Folder: "/etc/dockerfw.d/1", Digest: "fedcba9876543210"}, off + link + enable},
		"loaded, the folder":            {version, "", apply.BootUnit{Folder: "/etc/dockerfw.d/2"}, off + enable},
		"nothing loaded, a damaged one": {nil, "", apply.BootUnit{Folder: "/etc/dockerfw.d/2", Error: damaged}, off + "boot       the unit cannot load /etc/dockerfw.d/2: " + damaged + "\n"},

		"enabled, no folder":      {version, "", apply.BootUnit{Enabled: true}, "boot       the unit is enabled, but /etc/dockerfw does not exist\n" + link},
		"enabled, another folder": {version, "", apply.BootUnit{Enabled: true, Folder: "/etc/dockerfw.d/1", Digest: "fedcba9876543210"}, "boot       the unit loads /etc/dockerfw.d/1, which is not the folder in force\n" + link},
		"enabled, an equal folder": {
			version, "",
			apply.BootUnit{Enabled: true, Folder: "/etc/dockerfw.d/1", Digest: "0123456789abcdef"},
			"boot       the unit is enabled, and loads /etc/dockerfw.d/1\n",
		},
		// The copy is deleted when another version is loaded.
		"enabled, a damaged folder": {
			version, "/var/lib/dockerfw/folder-0123456789abcdef",
			apply.BootUnit{Enabled: true, Folder: "/etc/dockerfw.d/2", Digest: "0123456789abcdef", Error: damaged},
			"boot       the unit cannot load /etc/dockerfw.d/2: " + damaged + "\nnext       mkdir -p /etc/dockerfw.d && cp -RT /var/lib/dockerfw/folder-0123456789abcdef /etc/dockerfw.d/0123456789ab && ln -sfn /etc/dockerfw.d/0123456789ab /etc/dockerfw\n",
		},
	} {
		c.boot.Systemd, c.boot.Installed = true, true
		tx := &text{}
		tx.boot(&Report{State: InForce, Version: c.version, Boot: c.boot, again: c.again})
		if d := cmp.Diff(c.want, tx.String()); d != "" {
			t.Errorf("%s: -want +got:\n%s", name, d)
		}
	}
}

// Such a host has all rules and is as open as one without: "different" would not show it.
func TestADormantTableProtectsNothing(t *testing.T) {
	r := &Report{State: Dormant, Version: inForce().Version, again: "/etc/dockerfw.d/2", Differences: []string{"table inet dockerfw: activate, the kernel ignores it as it is (flags dormant)"}}
	r.Version.Target = "nftables"
	requireText(t, r, Style{}, `
rules      DORMANT: the kernel ignores table inet dockerfw (flags dormant), so published ports are open to everyone unless other rules refuse
folder     /etc/dockerfw.d/2 for host web1 (0123456789ab)
policy     policy.hcl
tables     table inet dockerfw of nft
to fix     table inet dockerfw: activate, the kernel ignores it as it is (flags dormant)
next       dockerfw apply /etc/dockerfw.d/2
boot       this host does not run systemd: what loads the rules at boot is not known
copy       none: if the folder cannot be loaded at boot, all containers are closed
drops      not counted: rules of nft have no counters
`)
}

// The folder that the version came from may be gone.
func TestTheNextStepLoadsAFolderThatExists(t *testing.T) {
	r := &Report{State: Different, Version: inForce().Version, again: "/var/lib/dockerfw/folder-0123", Differences: []string{"set clients: add 1 entry"}}
	requireText(t, r, Style{}, `
rules      DIFFERENT from what was loaded: 1 difference
folder     /etc/dockerfw.d/2 for host web1 (0123456789ab)
policy     policy.hcl
tables     iptables-nft
to fix     set clients: add 1 entry
next       dockerfw apply /var/lib/dockerfw/folder-0123
boot       this host does not run systemd: what loads the rules at boot is not known
copy       none: if the folder cannot be loaded at boot, all containers are closed
`)
}

func TestFaultsOfTheHostAreWarnings(t *testing.T) {
	r := &Report{OK: true, State: InForce, Facts: []facts.Fact{
		facts.New("IPv4 Docker", facts.Error, "FORWARD does not jump to Docker's chains"),
		facts.New("uplinks", facts.Warning, "eth1 has the IPv4 default route"),
		facts.New("interfaces", facts.Note, "not read"),
	}}
	requireText(t, r, Style{}, `
rules      in force, exactly as compiled
warning    IPv4 Docker: FORWARD does not jump to Docker's chains
warning    eth1 has the IPv4 default route
note       not read
boot       this host does not run systemd: what loads the rules at boot is not known
copy       none: if the folder cannot be loaded at boot, all containers are closed
`)
}

func TestAChangeThatIsNotInForceIsRolledBack(t *testing.T) {
	r := inForce()
	r.State, r.Differences = Different, []string{"IPv4 DOCKER-USER: replace the rules"}
	r.Pending = &Pending{Seconds: 9}
	r.Good, r.Drops, r.Sets = nil, nil, nil
	var b strings.Builder
	if err := WriteText(&b, r, Style{Now: now}); err != nil {
		t.Fatal(err)
	}
	want := "confirm    a change waits for confirmation, with 9 seconds left, but its rules are not in force\nnext       dockerfw rollback\n"
	if got := b.String(); !strings.Contains(got, want) || strings.Count(got, "next ") != 1 {
		t.Errorf("got:\n%s", got)
	}
}

func TestPacketsOfABlockAreCountedTogether(t *testing.T) {
	text := `*security
:FORWARD ACCEPT [9:9]
:DOCKERFW - [0:0]
[4:40] -A DOCKERFW -m comment --comment "dockerfw default" -j DROP
COMMIT
*filter
:FORWARD ACCEPT [0:0]
:DOCKER-USER - [0:0]
[1:60] -A DOCKER-USER -i eth0 -m comment --comment "dockerfw default" -j DROP
[2:80] -A DOCKER-USER -i eth1 -m comment --comment "dockerfw default" -j DROP
[5:50] -A DOCKER-USER -m comment --comment "dockerfw deny scanners" -j REJECT
[7:70] -A DOCKER-USER -m comment --comment "dockerfw accept https" -j ACCEPT
[8:80] -A DOCKER-USER -s 192.0.2.1/32 -j DROP
COMMIT
*nat
:DOCKERFW - [0:0]
[3:30] -A DOCKERFW -m comment --comment "dockerfw default" -j DROP
COMMIT
`
	want := []Drops{
		{"default", "ipv4", "DOCKERFW", true, 4, 40},
		{"default", "ipv4", "DOCKER-USER", false, 3, 140},
		{`deny "scanners"`, "ipv4", "DOCKER-USER", false, 5, 50},
	}
	// The legacy tool prints the security table a second time when it is asked for it.
	for _, text := range []string{text, text + text[:strings.Index(text, "*filter")]} {
		if d := cmp.Diff(want, dropsOf([]byte(text), ir.IPv4)); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	}
}

func TestAChangeIsOverdueWithoutItsProcess(t *testing.T) {
	for _, c := range []struct {
		left    time.Duration
		alive   bool
		seconds int
		overdue bool
	}{{time.Minute, true, 60, false}, {time.Minute, false, 60, true}, {-time.Second, true, 0, false}, {-time.Minute, true, 0, true}} {
		p := pendingOf(&store.Change{Deadline: now.Add(c.left)}, now, c.alive)
		if p.Seconds != c.seconds || p.Overdue != c.overdue {
			t.Errorf("%+v: %+v", c, p)
		}
	}
}

func TestTheProcessThatWaitsIsFoundByItsToken(t *testing.T) {
	proc := t.TempDir()
	for pid, args := range map[string]string{"7": "/usr/bin/dockerfw\x00rollback\x00--expire\x00ABC\x00", "8": "vi\x00ABC\x00"} {
		if err := os.Mkdir(filepath.Join(proc, pid), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "cmdline"), []byte(args), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for token, want := range map[string]bool{"ABC": true, "BC": false, "XYZ": false} {
		if got := waits(proc, token); got != want {
			t.Errorf("%s: %v, want %v", token, got, want)
		}
	}
}
