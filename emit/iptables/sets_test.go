package iptables

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

func TestSetsAndRemoval(t *testing.T) {
	sets := []*Set{
		{Name: "a", Family: ir.IPv4, Type: ir.HashNet, Managed: true, HashSize: 1024, MaxElem: 1048576, Prefixes: ir.PrefixesOf(prefix("10.0.0.0/8"), prefix("192.0.2.1/32"))},
		{Name: "a-v6", Family: ir.IPv6, Type: ir.HashIP, Managed: true, MaxElem: 64, HasTimeout: true, Counters: true, Comment: true, Prefixes: ir.PrefixesOf(prefix("2001:db8::1/128"))},
		{Name: "ban", Family: ir.IPv4, Type: ir.HashIP, MaxElem: 65536, HasTimeout: true, Timeout: 600},
		{Name: "all", Family: ir.IPv4, Type: ir.ListSet, Managed: true, MaxElem: 8, Members: []string{"a", "ban"}},
	}
	want := `# H
create a hash:net family inet hashsize 1024 maxelem 1048576 -exist
create a-v6 hash:ip family inet6 maxelem 64 timeout 0 counters comment -exist
create ban hash:ip family inet maxelem 65536 timeout 600 -exist
create all list:set size 8 -exist
destroy a-new -exist
create a-new hash:net family inet hashsize 1024 maxelem 1048576
add a-new 10.0.0.0/8
add a-new 192.0.2.1
destroy a-v6-new -exist
create a-v6-new hash:ip family inet6 maxelem 64 timeout 0 counters comment
add a-v6-new 2001:db8::1
destroy all-new -exist
create all-new list:set size 8
add all-new a
add all-new ban
swap a-new a
swap a-v6-new a-v6
swap all-new all
destroy all-new
destroy a-v6-new
destroy a-new
`
	if diff := cmp.Diff(want, string(Sets(sets, "H"))); diff != "" {
		t.Errorf("load (-want +got):\n%s", diff)
	}
	want = "# H\ndestroy all -exist\ndestroy a-v6 -exist\ndestroy a -exist\n"
	if diff := cmp.Diff(want, string(RemoveSets(sets, "H"))); diff != "" {
		t.Errorf("remove (-want +got):\n%s", diff)
	}
}

// kernel simulates the part of ipset that the order of lines depends on: which sets exist,
// their elements, and which of them a list:set refers to.
type kernel map[string]*kernelSet

type kernelSet struct {
	header   string
	elements []string
}

func (k kernel) usedBy(name string) string {
	for other, s := range k {
		if strings.HasPrefix(s.header, "list:set") && slices.Contains(s.elements, name) {
			return other
		}
	}
	return ""
}

// run executes one line: docs/contributing/netfilter.md, "-exist" and "Swap".
func (k kernel) run(line string) error {
	words := strings.Fields(line)
	exist := words[len(words)-1] == "-exist"
	if exist {
		words = words[:len(words)-1]
	}
	name := words[1]
	switch words[0] {
	case "create":
		header := strings.Join(words[2:], " ")
		if have := k[name]; have != nil {
			if exist && have.header == header {
				return nil
			}
			return fmt.Errorf("%s already exists", name)
		}
		k[name] = &kernelSet{header: header}
	case "add":
		s := k[name]
		if s == nil {
			return fmt.Errorf("no set %s", name)
		}
		if slices.Contains(s.elements, words[2]) {
			return fmt.Errorf("%s is already in %s", words[2], name)
		}
		if strings.HasPrefix(s.header, "list:set") && k[words[2]] == nil {
			return fmt.Errorf("no member %s", words[2])
		}
		s.elements = append(s.elements, words[2])
	case "swap":
		a, b := k[words[1]], k[words[2]]
		if a == nil || b == nil {
			return fmt.Errorf("no such set")
		}
		k[words[1]], k[words[2]] = b, a
	case "destroy":
		if k[name] == nil && !exist {
			return fmt.Errorf("no set %s", name)
		}
		if list := k.usedBy(name); list != "" {
			return fmt.Errorf("%s is used by %s", name, list)
		}
		delete(k, name)
	default:
		return fmt.Errorf("unknown command")
	}
	return nil
}

// Whichever sets exist before, and at whatever line an earlier load of the same file was
// interrupted, loading produces exactly the elements, and no set in use is ever partly filled.
func TestSetsAreNeverPartlyFilled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-e]{1,3}`), 1, 5, rapid.ID[string]).Draw(t, "names")
		var old, sets []*Set
		for i, name := range names {
			s := &Set{Name: name, Family: ir.IPv4, Type: ir.HashNet, MaxElem: 100, Managed: rapid.Bool().Draw(t, "managed")}
			if i > 0 && rapid.Bool().Draw(t, "list") {
				s.Type, s.Members = ir.ListSet, nil
				for _, member := range sets {
					if member.Type != ir.ListSet {
						s.Members = append(s.Members, member.Name)
					}
				}
			}
			before := *s
			if s.Type != ir.ListSet && s.Managed {
				before.Prefixes = drawPrefixes(t, "before")
				s.Prefixes = drawPrefixes(t, "after")
			}
			old, sets = append(old, &before), append(sets, s)
		}
		k := kernel{}
		if rapid.Bool().Draw(t, "loaded before") {
			load(t, k, Sets(old, "H"), -1, nil)
		}
		check := func() {
			for i, s := range sets {
				if !s.Managed || k[s.Name] == nil {
					continue
				}
				have := k[s.Name].elements
				if len(have) > 0 && !slices.Equal(have, elements(s)) && !slices.Equal(have, elements(old[i])) {
					t.Fatalf("set %s is partly filled: %q", s.Name, have)
				}
			}
		}
		text := Sets(sets, "H")
		load(t, k, text, rapid.IntRange(0, strings.Count(string(text), "\n")).Draw(t, "interrupted at line"), check)
		load(t, k, text, -1, check)
		for _, s := range sets {
			if s.Managed && !slices.Equal(k[s.Name].elements, elements(s)) {
				t.Fatalf("set %s contains %q, not %q", s.Name, k[s.Name].elements, elements(s))
			}
		}
		for name := range k {
			if strings.HasSuffix(name, temporarySuffix) {
				t.Fatalf("temporary set %s remains", name)
			}
		}
		load(t, k, RemoveSets(sets, "H"), -1, nil)
		for _, s := range sets {
			if (k[s.Name] != nil) == s.Managed {
				t.Fatalf("after removal: managed is %v, set %s exists is %v", s.Managed, s.Name, k[s.Name] != nil)
			}
		}
	})
}

func drawPrefixes(t *rapid.T, label string) ir.Prefixes {
	var out []netip.Prefix
	for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(1, 9), 0, 4, rapid.ID[int]).Draw(t, label) {
		out = append(out, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), 32))
	}
	return ir.PrefixesOf(out...)
}

func elements(s *Set) []string {
	out := slices.Clone(s.Members)
	for p := range s.Prefixes.All() {
		out = append(out, p.Addr().String())
	}
	return out
}

// load runs the lines of text, or only the first stop lines unless stop is negative.
func load(t *rapid.T, k kernel, text []byte, stop int, after func()) {
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if i == stop {
			return
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		if err := k.run(line); err != nil {
			t.Fatalf("line %d, %q: %v\n%s", i+1, line, err, text)
		}
		if after != nil {
			after()
		}
	}
}
