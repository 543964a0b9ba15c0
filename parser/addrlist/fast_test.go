package addrlist

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// plainEntry may leave an entry to ParseEntry, but must never read one differently.
func requireSameEntry(t interface {
	Errorf(format string, args ...any)
}, text string,
) (plain bool) {
	want, problem := ParseEntry(text)
	got, plain := plainEntry([]byte(text))
	if plain && (problem != nil || got != want) {
		t.Errorf("%q: plainEntry returns %v, ParseEntry %v, %v", text, got, want, problem)
	}
	return plain
}

func TestUsualEntriesArePlain(t *testing.T) {
	for text, plain := range map[string]bool{
		"192.0.2.1": true, "0.0.0.0/0": true, "192.0.2.0/24": true, "192.0.2.1-192.0.2.9": true, "255.255.255.255/32": true,
		"2001:db8::1": true, "::/0": true, "::": true, "::1": true, "1::": true, "1:2:3:4:5:6:7:8": true, "2001:db8::/32": true,
		"2001:DB8::a-2001:db8::b": true, "2001:db8::/64": true, "2001:db8::/65": true, "1:2:3:4:5:6:7::": true,
		"192.0.2.1 - 192.0.2.9": false, "192.0.2.1/24": false, "010.0.0.1": false, "1.2.3": false, "1.2.3.4.5": false,
		"256.0.0.1": false, "1.2.3.4/33": false, "1.2.3.4/032": false, "1.2.3.4/": false, "1.2.3.9-1.2.3.1": false,
		"::ffff:192.0.2.1": false, "::ffff:c000:201": false, "1::2::3": false, "1:2:3:4:5:6:7": false, "1:2:3:4:5:6:7:8:9": false,
		"1:2:3:4:5:6:7:8::": false, "1:2:3:4:5:6:7:8:": false, ":1": false, "1:": false, ":::": false, "12345::": false, "fe80::1%eth0": false, "": false, ":": false, "2001:db8::1/64": false,
		"1::2:": false, "1:2:3:4:5:6:7:8-1:2:3:4:5:6:7:9": true, "::1-": false, "-::1": false, "1::2:::": false,
	} {
		if got := requireSameEntry(t, text); got != plain {
			t.Errorf("%q: plain is %t", text, got)
		}
	}
}

func TestPlainEntriesAreReadAsOthers(t *testing.T) {
	four := rapid.Custom(func(t *rapid.T) string { return addr4(rapid.Uint32().Draw(t, "v4")).String() })
	six := rapid.Custom(func(t *rapid.T) string {
		n := Number6{rapid.Uint64().Draw(t, "high"), rapid.Uint64().Draw(t, "low")}
		a := n.Addr()
		return rapid.SampledFrom([]string{a.String(), a.StringExpanded(), strings.ToUpper(a.String())}).Draw(t, "spelling")
	})
	bits := rapid.SampledFrom([]string{"", "/0", "/8", "/24", "/32", "/33", "/48", "/64", "/65", "/127", "/128", "/129", "/08", "/"})
	mask := rapid.Custom(func(t *rapid.T) string {
		text := rapid.OneOf(four, six).Draw(t, "address") + bits.Draw(t, "bits")
		if p, err := netip.ParsePrefix(text); err == nil && rapid.Bool().Draw(t, "masked") {
			return p.Masked().String()
		}
		return text
	})
	mangled := rapid.Custom(func(t *rapid.T) string {
		text := mask.Draw(t, "entry")
		i := rapid.IntRange(0, len(text)).Draw(t, "at")
		return text[:i] + rapid.SampledFrom([]string{"", ":", "::", ".", "0", "-", "/", "f", "g", "%", " "}).Draw(t, "insert") + text[min(len(text), i+rapid.IntRange(0, 2).Draw(t, "cut")):]
	})
	ranges := rapid.Custom(func(t *rapid.T) string {
		return rapid.OneOf(four, six).Draw(t, "from") + "-" + rapid.OneOf(four, six).Draw(t, "to")
	})
	rapid.Check(t, func(t *rapid.T) { requireSameEntry(t, rapid.OneOf(mask, mangled, ranges).Draw(t, "text")) })
}
