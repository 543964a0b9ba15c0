package netfilter

import (
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// The sets of any file become conditions, and an entry that is stored is stored in the same
// way when it is read again.
func FuzzIPSets(f *testing.F) {
	f.Add(severalSets)
	f.Add("create s hash:net,port,net family inet6\nadd s 2001:db8::/32,tcp:1-9,::1/128 nomatch\n")
	f.Add("create s bitmap:ip range 10.0.0.3-10.0.0.77 netmask 28\nadd s 10.0.0.0-10.0.0.20\n")
	f.Add("create s hash:ip bitmask 255.0.255.1\nadd s 10.1.2.3\ncreate l list:set\nadd l s\n")
	f.Fuzz(func(t *testing.T, src string) {
		if strings.Contains(src, "-") && strings.Contains(src, "/") && len(src) > 4000 {
			t.Skip("ranges take memory")
		}
		file, _ := iptables.ParseSets(strings.NewReader(src), "x")
		var sets iptables.Sets
		sets.Load(file)
		for _, name := range sets.Names() {
			set := sets.Set(name)
			if set.Len() > 5000 {
				return
			}
			for e := range set.Entries() {
				if _, ok := set.Element(e); !ok {
					continue
				}
				again := iptables.SetsFile{Commands: []*iptables.SetCommand{
					{Op: iptables.SetCreate, Set: name, Type: set.Type, Options: set.Options},
					{Op: iptables.SetAdd, Set: name, Entries: []iptables.Entry{*e}},
				}}
				var other iptables.Sets
				if diags := other.Load(&again); diags.HasErrors() {
					t.Fatalf("%s of %s: %v", e, set.Type, diags)
				}
				for stored := range other.Set(name).Entries() {
					if stored.String() != e.String() {
						t.Fatalf("%s of %s is stored as %s", e, set.Type, stored)
					}
				}
			}
		}
		read := NewSets(&sets, nil)
		for _, name := range sets.Names() {
			for _, ends := range [][]packet.End{{packet.Source}, {packet.Destination, packet.Source}, {packet.Source, packet.Destination, packet.Destination}} {
				for _, noMatch := range []bool{false, true} {
					_ = read.Match(name, ends, noMatch).String()
				}
			}
		}
	})
}
