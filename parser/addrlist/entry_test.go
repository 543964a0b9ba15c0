package addrlist

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go4.org/netipx"
	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/parser/diag"
)

func TestParseEntryAccepts(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"a single IPv4 address":                        {"192.0.2.1", "192.0.2.1-192.0.2.1"},
		"a single IPv6 address":                        {"2001:db8::1", "2001:db8::1-2001:db8::1"},
		"an IPv6 address in capitals with full groups": {"2001:0DB8:0:0::1", "2001:db8::1-2001:db8::1"},
		"an IPv6 address that ends in dotted form":     {"64:ff9b::192.0.2.1", "64:ff9b::c000:201-64:ff9b::c000:201"},
		"an IPv4 network":                              {"10.0.0.0/8", "10.0.0.0-10.255.255.255"},
		"an IPv6 network":                              {"2001:db8::/32", "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"},
		"all of IPv4":                                  {"0.0.0.0/0", "0.0.0.0-255.255.255.255"},
		"all of IPv6, mapped addresses included":       {"::/0", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		"a network of one address":                     {"192.0.2.1/32", "192.0.2.1-192.0.2.1"},
		"a range":                                      {"10.0.0.1-10.0.0.6", "10.0.0.1-10.0.0.6"},
		"a range of one address":                       {"10.0.0.1-10.0.0.1", "10.0.0.1-10.0.0.1"},
		"a range with blanks around the dash":          {"10.0.0.1 -\t10.0.0.6", "10.0.0.1-10.0.0.6"},
		"a range of IPv6 addresses":                    {"::1-::2", "::1-::2"},
	} {
		t.Run(name, func(t *testing.T) {
			got, p := ParseEntry(tt.text)
			if p != nil {
				t.Fatalf("%s: %+v", tt.text, *p)
			}
			if d := cmp.Diff(tt.want, got.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

// The underlined part is between « and ».
func TestParseEntryRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		text   string
		code   diag.Code
		detail string // part of it
	}{
		"nothing":                                 {"", diag.CodeAddressSyntax, "Write an address"},
		"prose":                                   {"«¡hola!»", diag.CodeAddressSyntax, `"¡hola!" is not an IP address`},
		"a host name":                             {"«example.com»", diag.CodeAddressSyntax, "never resolves names"},
		"a host name with a dash":                 {"«my-host.example.com»", diag.CodeAddressSyntax, "never resolves names"},
		"a host name with a dash and a prefix":    {"«my-host»/24", diag.CodeAddressSyntax, "never resolves names"},
		"a host name at the end of a range":       {"10.0.0.1-«foo»", diag.CodeAddressSyntax, "never resolves names"},
		"localhost":                               {"«localhost»", diag.CodeAddressSyntax, "never resolves names"},
		"a blank before an address":               {"« »10.0.0.1", diag.CodeAddressSyntax, "Remove the blank"},
		"two addresses":                           {"10.0.0.1« »10.0.0.2", diag.CodeAddressSyntax, "Remove the blank"},
		"a leading zero (iptables: 8.0.0.1)":      {"«010».0.0.1", diag.CodeAddressSyntax, "octal: 010 is 8. Write 10.0.0.1 if"},
		"a leading zero that is not octal":        {"10.«08».0.1", diag.CodeAddressSyntax, "as octal. Write 10.8.0.1 if"},
		"zeros only":                              {"10.0.0.«00»", diag.CodeAddressSyntax, "Write 10.0.0.0 if"},
		"a short form":                            {"«10.1»", diag.CodeAddressSyntax, "iptables reads 10.1 as 10.1.0.0, ipset as 10.0.0.1"},
		"a short form with a prefix":              {"«10.1»/16", diag.CodeAddressSyntax, "Write all four numbers"},
		"a short form of three numbers":           {"«10.1.2»", diag.CodeAddressSyntax, "iptables reads 10.1.2 as 10.1.2.0, ipset as 10.1.0.2"},
		"a bare number":                           {"«3232235777»", diag.CodeAddressSyntax, "Write all four numbers"},
		"a hexadecimal number":                    {"«0x7f000001»", diag.CodeAddressSyntax, "is not an IP address"},
		"five numbers":                            {"«1.2.3.4.5»", diag.CodeAddressSyntax, "Write four numbers"},
		"a number above 255":                      {"10.«256».0.1", diag.CodeAddressSyntax, "0 to 255"},
		"a dot at the end":                        {"«10.0.0.1.»", diag.CodeAddressSyntax, "is not an IP address"},
		"a port":                                  {"10.0.0.1«:80»", diag.CodeAddressSyntax, "Write 10.0.0.1;"},
		"brackets":                                {"«[::1]»", diag.CodeAddressSyntax, "without brackets"},
		"two double colons":                       {"«1::2::3»", diag.CodeAddressSyntax, "at most one ::"},
		"a zone":                                  {"fe80::1«%eth0»", diag.CodeAddressSyntax, "Write fe80::1 without the zone"},
		"an empty zone":                           {"fe80::1«%»", diag.CodeAddressSyntax, "Write fe80::1 without the zone"},
		"a zone in a range":                       {"fe80::1-fe80::2«%eth0»", diag.CodeAddressSyntax, "Write fe80::2 without"},
		"a zone before a prefix":                  {"fe80::«%eth0»/64", diag.CodeAddressSyntax, "without the zone"},
		"a mapped address":                        {"«::ffff:1.2.3.4»", diag.CodeAddressSyntax, "Write 1.2.3.4:"},
		"a mapped address in hexadecimal":         {"«::ffff:102:304»", diag.CodeAddressSyntax, "Write 1.2.3.4:"},
		"a mapped network":                        {"«::ffff:1.2.3.0/120»", diag.CodeAddressSyntax, "Write 1.2.3.0/24:"},
		"a mapped end of a range":                 {"::1-«::ffff:1.2.3.4»", diag.CodeAddressSyntax, "Write 1.2.3.4:"},
		"a slash with nothing before it":          {"«/»24", diag.CodeAddressSyntax, "Write an address"},
		"a slash with nothing after it":           {"10.0.0.0«/»", diag.CodePrefixLength, "from 0 to 32"},
		"a prefix length out of range":            {"10.0.0.0/«33»", diag.CodePrefixLength, "from 0 to 32"},
		"an IPv6 prefix length out of range":      {"2001:db8::/«129»", diag.CodePrefixLength, "from 0 to 128"},
		"a very long prefix length":               {"10.0.0.0/«99999999999999999999»", diag.CodePrefixLength, "from 0 to 32"},
		"a leading zero in the prefix length":     {"10.0.0.0/«08»", diag.CodePrefixLength, "Write /8."},
		"zeros as the prefix length":              {"0.0.0.0/«00»", diag.CodePrefixLength, "Write /0."},
		"a negative prefix length":                {"10.0.0.0/«-8»", diag.CodePrefixLength, "from 0 to 32"},
		"a prefix length with a sign":             {"10.0.0.0/«+8»", diag.CodePrefixLength, "from 0 to 32"},
		"two prefix lengths":                      {"10.0.0.0/«8/8»", diag.CodePrefixLength, "from 0 to 32"},
		"a netmask":                               {"10.0.0.0/«255.255.255.0»", diag.CodePrefixLength, "Write /24 instead"},
		"a wildcard mask":                         {"10.0.0.0/«0.0.0.255»", diag.CodePrefixLength, "write /24"},
		"a netmask with holes":                    {"10.0.0.0/«255.0.255.0»", diag.CodePrefixLength, "are not contiguous"},
		"host bits":                               {"«10.0.0.5/8»", diag.CodeHostBits, "Write 10.0.0.0/8 for the network, or 10.0.0.5 for"},
		"IPv6 host bits":                          {"«2001:db8::1/32»", diag.CodeHostBits, "Write 2001:db8::/32 for the network, or 2001:db8::1 for"},
		"a reversed range":                        {"«10.0.0.9-10.0.0.1»", diag.CodeReversedRange, "10.0.0.1-10.0.0.9"},
		"a range over both families":              {"«10.0.0.1-::1»", diag.CodeMixedRange, "10.0.0.1 is IPv4 and ::1 is IPv6"},
		"a range without an end":                  {"10.0.0.1«-»", diag.CodeAddressSyntax, "both sides"},
		"a range without a beginning":             {"«-»10.0.0.1", diag.CodeAddressSyntax, "both sides"},
		"a dash":                                  {"«-»", diag.CodeAddressSyntax, "both sides"},
		"a range of networks":                     {"«10.0.0.0/8»-11.0.0.0/8", diag.CodeAddressSyntax, "single addresses"},
		"a range that ends in a network":          {"10.0.0.0-«11.0.0.0/8»", diag.CodeAddressSyntax, "single addresses"},
		"a range of three addresses":              {"10.0.0.1-«10.0.0.2-10.0.0.3»", diag.CodeAddressSyntax, "is not an IP address"},
		"a range with only its last number given": {"10.0.0.1-«9»", diag.CodeAddressSyntax, "Write all four numbers"},
		"a long line of rubbish, which is cut":    {"«" + strings.Repeat("¡", 100) + "»", diag.CodeAddressSyntax, `…" is not an IP address`},
	} {
		t.Run(name, func(t *testing.T) {
			before, rest, marked := strings.Cut(tt.text, "«")
			token, after, _ := strings.Cut(rest, "»")
			got, p := ParseEntry(before + token + after)
			if p == nil {
				t.Fatalf("accepted as %s", got)
			}
			want := Problem{Code: tt.code, Summary: p.Summary, Detail: p.Detail}
			if marked {
				want.Offset, want.Length = len(before), len(token)
			}
			if d := cmp.Diff(want, *p); d != "" {
				t.Error(d)
			}
			if !strings.Contains(p.Detail, tt.detail) {
				t.Errorf("detail %q lacks %q", p.Detail, tt.detail)
			}
		})
	}
}

func TestParseEntryRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawAddr(t, "a"), drawAddr(t, "b")
		if got, p := ParseEntry(a.String()); p != nil || got != netipx.IPRangeFrom(a, a) {
			t.Fatalf("%s: %v, %+v", a, got, p)
		}

		pfx := netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))
		got, p := ParseEntry(pfx.String())
		if masked := pfx.Masked(); masked == pfx {
			if p != nil || got != netipx.RangeOfPrefix(pfx) {
				t.Fatalf("%s: %v, %+v", pfx, got, p)
			}
		} else if p == nil || p.Code != diag.CodeHostBits || !strings.Contains(p.Detail, masked.String()) {
			t.Fatalf("%s: %v, %+v", pfx, got, p)
		}

		got, p = ParseEntry(a.String() + "-" + b.String())
		switch {
		case a.Is4() != b.Is4():
			if p == nil || p.Code != diag.CodeMixedRange {
				t.Fatalf("%s-%s: %v, %+v", a, b, got, p)
			}
		case b.Less(a):
			if p == nil || p.Code != diag.CodeReversedRange {
				t.Fatalf("%s-%s: %v, %+v", a, b, got, p)
			}
		case p != nil || got != netipx.IPRangeFrom(a, b):
			t.Fatalf("%s-%s: %v, %+v", a, b, got, p)
		}
	})
}

// drawAddr draws an address that is not a mapped one, with many zeros in it.
func drawAddr(t *rapid.T, label string) netip.Addr {
	size := rapid.SampledFrom([]int{4, 16}).Draw(t, label+" size")
	octet := rapid.OneOf(rapid.Just(byte(0)), rapid.Byte())
	for {
		a, _ := netip.AddrFromSlice(rapid.SliceOfN(octet, size, size).Draw(t, label))
		if !a.Is4In6() {
			return a
		}
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		r, p := ParseEntry(text)
		if p != nil {
			checkProblem(t, text, p)
			return
		}
		checkEntry(t, r)
	})
}

func checkProblem(t *testing.T, text string, p *Problem) {
	t.Helper()
	if p.Code == 0 || p.Summary == "" || !strings.HasSuffix(p.Detail, ".") && !strings.HasSuffix(p.Detail, ")") {
		t.Errorf("%q: unfinished: %+v", text, *p)
	}
	if strings.Contains(p.Detail, "%!") && !strings.Contains(text, "%") {
		t.Errorf("%q: bad format: %s", text, p.Detail)
	}
	if p.Offset < 0 || p.Length < 0 || p.Offset+p.Length > len(text) || p.Length == 0 && text != "" {
		t.Errorf("%q: place is not in the text: %+v", text, *p)
	}
}

func checkEntry(t *testing.T, r netipx.IPRange) {
	t.Helper()
	if !r.IsValid() {
		t.Fatalf("invalid range %s", r)
	}
	text := r.String()
	// ::/80 and its like end at the last mapped address, which is refused by itself.
	if r.To().Is4In6() {
		pfx, ok := r.Prefix()
		if !ok {
			t.Fatalf("mapped end in %s", r)
		}
		text = pfx.String()
	}
	if again, p := ParseEntry(text); p != nil || again != r {
		t.Errorf("%s: read again: %s, %+v", text, again, p)
	}
}
