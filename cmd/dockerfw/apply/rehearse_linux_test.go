package apply

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/hosttool"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/store"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// withTools returns an Applier whose iptables and ip6tables are links to programs of these names.
func withTools(t *testing.T, iptables, ip6tables string) *Applier {
	t.Helper()
	dir, private := t.TempDir(), t.TempDir()
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"iptables": iptables, "ip6tables": ip6tables} {
		if err := os.WriteFile(filepath.Join(dir, to), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	s, err := store.OpenAt(filepath.Join(private, "run"), filepath.Join(private, "state"), os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	return &Applier{tools: hosttool.New(), store: s}
}

func TestARehearsalCountsForAHostWithTheSameTools(t *testing.T) {
	nft, legacy := &snapshot.Host{Backend: snapshot.NFT}, &snapshot.Host{Backend: snapshot.Legacy}
	const nftTools, nftTools6, legacyTools, legacyTools6 = "xtables-nft-multi", "xtables-nft-multi6", "xtables-legacy-multi", "xtables-legacy-multi6"
	for name, c := range map[string]struct {
		iptables, ip6tables string
		last, asked         snapshot.Backend
		host                *snapshot.Host
		begins, counts      bool
	}{
		"nft":                           {nftTools, nftTools6, "", "", nft, true, true},
		"nft, as the last time":         {nftTools, nftTools6, snapshot.NFT, "", nft, true, true},
		"legacy":                        {legacyTools, legacyTools6, "", "", legacy, false, false},
		"Docker uses the other kind":    {nftTools, nftTools6, "", "", legacy, true, false},
		"the other kind was used last":  {nftTools, nftTools6, snapshot.Legacy, "", legacy, false, false},
		"the other kind is asked for":   {nftTools, nftTools6, snapshot.NFT, snapshot.Legacy, legacy, false, false},
		"this kind is asked for":        {nftTools, nftTools6, snapshot.Legacy, snapshot.NFT, nft, true, true},
		"Docker's kind is not standard": {legacyTools, legacyTools6, "", "", nft, false, false},
		"ip6tables is of another kind":  {nftTools, legacyTools6, "", "", nft, true, true},
		"no security table":             {nftTools, nftTools6, "", "", &snapshot.Host{Backend: snapshot.NFT, NoSecurity: map[ir.Family]bool{ir.IPv6: true}}, true, false},
		"a kind that no name shows":     {"iptables.real", "ip6tables.real", "", "", nft, false, false},
	} {
		a := withTools(t, c.iptables, c.ip6tables)
		if c.last != "" {
			l, err := a.store.Lock(0, nil)
			if err == nil {
				err = errors.Join(l.SetBackend(string(c.last)), l.Unlock())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		r := a.beginRehearsal(&plan.Version{}, c.asked)
		r.wait()
		if (r != nil) != c.begins || r.of(a, c.host) != c.counts {
			t.Errorf("%s: begins %v, counts %v", name, r != nil, r.of(a, c.host))
		}
	}
}
