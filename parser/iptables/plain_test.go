package iptables

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/parser/addrlist"
)

// longRun is the text of a set that is kept as numbers, with other lines at the given
// positions.
func longRun(header string, element func(i int) string, others map[int]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "create a %s\ncreate b %s\n", header, header)
	for i := range plainLength + 40 {
		if other, ok := others[i]; ok {
			b.WriteString(other + "\n")
		}
		fmt.Fprintf(&b, "add a %s\n", element(i))
	}
	b.WriteString("swap a b\n")
	return b.String()
}

// rangesOf returns the ranges of single addresses or networks.
func rangesOf(t interface{ Fatal(args ...any) }, entries ...string) addrlist.Ranges {
	var out addrlist.Ranges
	for _, text := range entries {
		r, problem := addrlist.ParseEntry(text)
		if problem != nil {
			t.Fatal(problem)
		}
		out.Add(r)
	}
	return out
}

// knownRanges are what long runs are expected to have: their entries as far as they are those of the
// tests, a part of them, more than them, and others without order.
func knownRanges(t interface{ Fatal(args ...any) }, element func(i int) string) []addrlist.Ranges {
	var entries []string
	for i := range plainLength + 40 {
		entries = append(entries, element(i))
	}
	disorder := slices.Clone(entries)
	disorder[270] = disorder[1]
	var out []addrlist.Ranges
	for _, list := range [][]string{entries, entries[:plainLength+20], append(slices.Clone(entries), element(plainLength+41)), disorder} {
		out = append(out, rangesOf(t, list...))
	}
	return out
}

func testElement4(i int) string { return fmt.Sprintf("10.0.%d.%d", i/128, i%128*2+1) }

func testElement6(i int) string { return fmt.Sprintf("2001:db8::%x", i+1) }

// loadBoth loads a text as it is read and again with no run as numbers, and returns both
// results.
func loadBoth(t interface{ Fatal(args ...any) }, text string) (plain bool, results [2]string) {
	plain, results[0] = loadKnown(t, text, plainLength, addrlist.Ranges{})
	_, results[1] = loadKnown(t, text, math.MaxInt, addrlist.Ranges{})
	return plain, results
}

// loadKnown loads a text whose runs from a length on are kept as numbers.
func loadKnown(t interface{ Fatal(args ...any) }, text string, long int, known addrlist.Ranges) (plain bool, result string) {
	file, diags := parseSets(strings.NewReader(text), "file", long, map[string]addrlist.Ranges{"a": known})
	for _, c := range file.Commands {
		plain = plain || c.plain != nil
	}
	var b bytes.Buffer
	if err := file.Print(&b); err != nil {
		t.Fatal(err)
	}
	sets := &Sets{}
	diags = append(diags, sets.Load(file)...)
	for _, d := range diags {
		fmt.Fprintln(&b, d)
	}
	copied := sets.Clone()
	more, _ := ParseSets(strings.NewReader("add b 192.0.2.255\ndel b 10.0.0.1\n"), "more")
	fmt.Fprintln(&b, copied.Load(more))
	for _, s := range []*Sets{sets, copied} {
		for _, name := range s.Names() {
			fmt.Fprintln(&b, name, s.Set(name).Len())
			for e := range s.Set(name).Entries() {
				same := *e
				fmt.Fprintln(&b, e, e.Line, s.Set(name).Has(*e), s.Set(name).HasSame(&same))
				same.NoMatch = !same.NoMatch
				fmt.Fprintln(&b, s.Set(name).HasSame(&same), s.Set(name).Has(Entry{Prefix: netip.MustParsePrefix("203.0.113.0/24")}))
			}
		}
	}
	return plain, b.String()
}

func TestLongRunsAreLoadedAsTheirEntries(t *testing.T) {
	v4, v6 := testElement4, testElement6
	headers := []string{
		"hash:net family inet maxelem 1000", "hash:net family inet6 maxelem 1000", "hash:ip family inet maxelem 1000", "hash:ip family inet6 maxelem 1000",
		"hash:net family inet maxelem 280", "hash:ip family inet maxelem 1000 netmask 24", "hash:ip family inet maxelem 1000 bitmask 255.255.0.0", "hash:net,net family inet maxelem 1000", "bitmap:ip range 10.0.0.0/16",
	}
	others := []string{
		"", "# comment", "add a 10.0.0.1", "add a 192.0.2.0/24", "add a 192.0.2.0/24 nomatch", "add a 192.0.2.1 -exist", "add a  192.0.2.1", "add a 192.0.2.1 ", "add -q a 192.0.2.1",
		"add a 0.0.0.0/0", "add a 0.0.0.0", "add a ::/0", "add a ::", "add a 192.0.2.1/24", "add a 192.0.2.01", "add a 192.0.2", "add a 192.0.2.1/032", "add a 192.0.2.1/33", "add a ::ffff:192.0.2.1",
		"add a 192.0.2.1-192.0.2.3", "add b 192.0.2.1", "add a name.example", "del a 10.0.0.1", "add \"a\" 192.0.2.1", "flush a", "add a fe80::1%eth0", "add a 2001:db8::ffff/64", "add a 192.0.2.1\r", "quit", "bad",
	}
	// Each other line before the run, after its first lines, so that a long one follows, and
	// among the numbers.
	for _, header := range headers {
		for i, element := range []func(int) string{v4, v6} {
			known := knownRanges(t, element)
			for n, other := range others {
				for _, at := range []int{0, 10, plainLength + 20} {
					text := longRun(header, element, map[int]string{at: other})
					_, results := loadBoth(t, text)
					if results[0] != results[1] {
						t.Errorf("%s, IPv%d, %q before line %d (-entries +numbers):\n%.2000s", header, 4+2*i, other, at, cmp.Diff(results[1], results[0]))
					}
					if _, result := loadKnown(t, text, plainLength, known[n%len(known)]); result != results[1] {
						t.Errorf("%s, IPv%d, %q before line %d (-entries +known ranges):\n%.2000s", header, 4+2*i, other, at, cmp.Diff(results[1], result))
					}
				}
			}
		}
	}
	// A second long run for a set that has been filled.
	first := longRun(headers[0], v4, nil)
	second := longRun(headers[0], func(i int) string { return fmt.Sprintf("10.9.%d.%d", i/128, i%128*2+1) }, nil)
	second = second[strings.Index(second, "add"):]
	for _, text := range []string{first[:strings.Index(first, "swap")] + "add b 192.0.2.1\n" + second, first[:strings.Index(first, "swap")] + "add b 192.0.2.1\n" + first[strings.Index(first, "add"):]} {
		if _, results := loadBoth(t, text); results[0] != results[1] {
			t.Errorf("two long runs (-entries +numbers):\n%.2000s", cmp.Diff(results[1], results[0]))
		}
	}
	// A name that looks like an option is quoted.
	quoted := longRun(headers[0], v4, map[int]string{plainLength: "add -q 10.9.9.9"})
	_, results := loadBoth(t, strings.ReplaceAll(quoted, " a ", ` "-q" `))
	if results[0] != results[1] {
		t.Errorf("a quoted name (-entries +numbers):\n%s", cmp.Diff(results[1], results[0]))
	}
	// What the emitter prints must not miss the short cut.
	for header, element := range map[string]func(int) string{headers[0]: v4, headers[1]: v6, headers[2]: v4} {
		text := longRun(header, element, nil)
		if plain, _ := loadBoth(t, text); !plain {
			t.Errorf("%s: the run is not kept as numbers", header)
		}
		file, _ := ParseSets(strings.NewReader(text), "file")
		sets := &Sets{}
		if diags := sets.Load(file); diags.HasErrors() {
			t.Fatal(diags)
		}
		prefixes, ok := sets.Set("b").Prefixes()
		if !ok || len(slices.Collect(prefixes)) != plainLength+40 {
			t.Errorf("%s: the set is not kept as numbers", header)
			continue
		}
		if missing, ok := sets.Set("b").HasAll(prefixes); !ok {
			t.Errorf("%s: %s is missing", header, missing)
		}
		other := netip.MustParsePrefix("203.0.113.0/24")
		for _, list := range [][]netip.Prefix{{other}, append(slices.Collect(prefixes), other)} {
			if missing, ok := sets.Set("b").HasAll(slices.Values(list)); ok || missing != other {
				t.Errorf("%s: HasAll of a set without %s: %s, %t", header, other, missing, ok)
			}
		}
	}
}

// A line may be longer than the buffer of the reader, and the last one may have no newline.
func TestLinesOfSetsOfAnyLengthAreRead(t *testing.T) {
	text := "create a hash:net\n" + "# " + strings.Repeat("x", 200_000) + "\nadd a " + strings.Repeat("y", 200_000) + "\nadd a 10.0.0.1"
	file, diags := ParseSets(strings.NewReader(text), "file")
	if len(diags) != 2 || diags[0].Subject.Start.Line != 2 || diags[1].Subject.Start.Line != 3 || len(file.Commands) != 2 || file.Commands[1].Entries[0].String() != "10.0.0.1" {
		t.Errorf("%v, %d commands", diags, len(file.Commands))
	}
}

func TestPlainAddressesAreReadAsByNetip(t *testing.T) {
	check := func(t interface{ Errorf(string, ...any) }, text string) {
		prefix, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil && addr.Zone() == "" {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		good := err == nil && prefix == prefix.Masked()
		if x, ok := readPlain4([]byte(text)); ok && (!good || x.prefix() != prefix) {
			t.Errorf("%q is read as %s, not %v", text, x.prefix(), prefix)
		}
		x, ok := readPlain6([]byte(text))
		if ok && (!good || x.prefix() != prefix) {
			t.Errorf("%q is read as %s, not %v", text, x.prefix(), prefix)
		}
		// What is printed must not miss the short cut.
		if usual := good && prefix.Addr().Is6() && !prefix.Addr().Is4In6() && text == strings.TrimSuffix(prefix.String(), "/128"); usual && !ok && !strings.Contains(text, ".") {
			t.Errorf("%q is not read", text)
		}
	}
	for _, text := range []string{
		"::", "::/1", "::1", "1::", "1::/16", "8000::/1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::8/128", "2001:db8::/64", "2001:db8::/65", "2001:db8:0:0:8000::/65",
		"", ":", ":::", "::1::", "1:::2", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", ":1::", "1:", "1:/3", "12345::", "::12345", "1::/", "1::/129", "1::/016", "1::g", "::ffff:1.2.3.4", "::ffff:102:304", "fe80::1%a", "1:2:3:4:5:6:7", "::1:", "::1:/64", "2001:db8::1/64", "/64", "::ffff:0:0/96",
	} {
		check(t, text)
	}
	rapid.Check(t, func(t *rapid.T) {
		var b [16]byte
		for i := range b {
			b[i] = rapid.SampledFrom([]byte{0, 0, 0, 1, 0x20, 0xff}).Draw(t, "byte")
		}
		prefix, _ := netip.AddrFrom16(b).Prefix(rapid.IntRange(0, 128).Draw(t, "bits"))
		text := strings.TrimSuffix(prefix.String(), "/128")
		check(t, text)
		i := rapid.IntRange(0, len(text)).Draw(t, "at")
		check(t, text[:i]+rapid.SampledFrom([]string{"", ":", "::", "0", "f", "g", "/", "."}).Draw(t, "insert")+text[min(len(text), i+rapid.IntRange(0, 2).Draw(t, "cut")):])
	})
}

// A set that is as expected takes no memory of its own, and any other is the same as without.
func TestARunThatIsKnownSharesItsRanges(t *testing.T) {
	for i, element := range []func(int) string{testElement4, testElement6} {
		known := knownRanges(t, element)[0]
		header := []string{"hash:net family inet", "hash:net family inet6"}[i]
		text := longRun(header, element, nil)
		for _, c := range []struct {
			name, text string
			shared     bool
		}{
			{"as expected", text, true},
			{"another entry", strings.Replace(text, "add a "+element(270)+"\n", "add a "+element(500)+"\n", 1), false},
			{"an entry more", strings.Replace(text, "swap", "add a "+element(500)+"\nswap", 1), false},
			{"an entry lost", strings.Replace(text, "add a "+element(270)+"\n", "", 1), false},
			{"an entry twice", strings.Replace(text, "add a "+element(270)+"\n", "add a "+element(270)+"\nadd a "+element(270)+"\n", 1), false},
		} {
			file, diags := ParseKnownSets(strings.NewReader(c.text), "file", map[string]addrlist.Ranges{"a": known})
			sets := &Sets{}
			if diags = append(diags, sets.Load(file)...); diags.HasErrors() != (c.name == "an entry twice") {
				t.Fatal(diags)
			}
			if set := sets.Set("b"); (set.Known().Len() > 0) != c.shared && !diags.HasErrors() {
				t.Errorf("%s, %s: shared is %t", header, c.name, !c.shared)
			}
		}
	}
}
