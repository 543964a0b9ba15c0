package iptables_test

import (
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/parser/iptables"
)

func readSets(t *testing.T, to *iptables.Sets, text string) {
	t.Helper()
	file, diags := iptables.ParseSets(strings.NewReader(text), "sets")
	if diags = append(diags, to.Load(file)...); diags.HasErrors() {
		t.Fatal(diags)
	}
}

func TestCopiesOfSetsDoNotChange(t *testing.T) {
	var sets iptables.Sets
	readSets(t, &sets, `create a hash:net
add a 192.0.2.1
add a 192.0.2.2
create b hash:net,iface
add b 192.0.2.0/24,eth0
create c hash:net family inet6
add c 2001:db8::1
`)
	clone := sets.Clone()
	selected := sets.Select(map[string]string{"x": "a", "c": "c", "none": "missing"})
	readSets(t, &sets, "del a 192.0.2.1\nadd a 192.0.2.3\nadd a 192.0.2.4\nflush b\ndestroy c\ncreate d hash:ip\n")
	text := func(s *iptables.Sets) string {
		var b strings.Builder
		for _, name := range s.Names() {
			b.WriteString(s.Set(name).Name + ":")
			for e := range s.Set(name).Entries() {
				b.WriteString(" " + e.String())
			}
			b.WriteString("\n")
		}
		return b.String()
	}
	for _, c := range []struct {
		name string
		sets *iptables.Sets
		want string
	}{
		{"the original", &sets, "a: 192.0.2.2 192.0.2.3 192.0.2.4\nb:\nd:\n"},
		{"the clone", clone, "a: 192.0.2.1 192.0.2.2\nb: 192.0.2.0/24,eth0\nc: 2001:db8::1\n"},
		{"the selection", selected, "c: 2001:db8::1\nx: 192.0.2.1 192.0.2.2\n"},
	} {
		if got := text(c.sets); got != c.want {
			t.Errorf("%s has\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
	readSets(t, clone, "add a 192.0.2.9\n")
	if strings.Contains(text(&sets), "192.0.2.9") {
		t.Error("a change of the clone changed the original")
	}
}

func TestHasSame(t *testing.T) {
	var sets iptables.Sets
	readSets(t, &sets, `create a hash:net timeout 60
add a 192.0.2.0/24 timeout 50
add a 198.51.100.0/24 nomatch
create i hash:net,iface
add i 192.0.2.0/24,eth0
add i 192.0.2.0/24,wg wildcard
create m bitmap:ip,mac range 192.0.2.0/24
add m 192.0.2.1,02:00:00:00:00:01
`)
	for _, c := range []struct {
		set, entry string
		want       bool
	}{
		{"a", "192.0.2.0/24", true},
		{"a", "192.0.2.0/25", false},
		{"a", "198.51.100.0/24 nomatch", true},
		{"a", "198.51.100.0/24", false},
		{"a", "192.0.2.0/24 nomatch", false},
		{"i", "192.0.2.0/24,eth0", true},
		{"i", "192.0.2.0/24,eth0 wildcard", false},
		{"i", "192.0.2.0/24,wg wildcard", true},
		{"m", "192.0.2.1,02:00:00:00:00:01", true},
		{"m", "192.0.2.1,02:00:00:00:00:02", false},
	} {
		file, diags := iptables.ParseSets(strings.NewReader("add "+c.set+" "+c.entry+"\n"), "entry")
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		if got := sets.Set(c.set).HasSame(&file.Commands[0].Entries[0]); got != c.want {
			t.Errorf("%s has %s: %v, want %v", c.set, c.entry, got, c.want)
		}
	}
}
