package compiler

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/addrlist"
	"github.com/dockerfw/dockerfw/parser/budget"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// sameEntry is a file with one line repeated.
type sameEntry struct {
	fs.File
	io.Reader
}

func (f sameEntry) Read(b []byte) (int, error) { return f.Reader.Read(b) }
func (sameEntry) Close() error                 { return nil }
func (sameEntry) Stat() (fs.FileInfo, error)   { return nil, fs.ErrInvalid }

type entries map[string]int

func (e entries) Display(name string) string { return name }
func (e entries) Open(name string) (fs.File, error) {
	return sameEntry{Reader: bytes.NewReader(bytes.Repeat([]byte("192.0.2.1\n"), e[name]))}, nil
}

// budgetErrors returns the texts of the diagnostics, which must all have code budget.
func budgetErrors(t *testing.T, diags hcl.Diagnostics) string {
	t.Helper()
	var out []string
	for _, d := range diags {
		if diag.InfoOf(d).Code != diag.CodeBudget || d.Severity != hcl.DiagError {
			t.Errorf("not an error with code budget: %s", d)
		}
		out = append(out, fmt.Sprintf("%s: %s: %s", d.Subject, d.Summary, d.Detail))
	}
	return strings.Join(out, "\n")
}

func TestAListHasABudgetOfEntries(t *testing.T) {
	lists := NewLists(entries{"full": budget.MaxEntries, "over": budget.MaxEntries + 5})
	ranges, diags, err := lists.ranges("full")
	if ranges.Len() != budget.MaxEntries || len(diags) > 0 || err != nil {
		t.Errorf("a list of %d entries: read %d, %v, %v", budget.MaxEntries, ranges.Len(), diags, err)
	}
	_, diags, _ = lists.ranges("over")
	got := budgetErrors(t, diags)
	if want := fmt.Sprintf("over:%d,1-10: too many entries: This is entry %d;", budget.MaxEntries+1, budget.MaxEntries+1); !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want it to begin with %q", got, want)
	}
}

func TestTheListsOfASetShareOneBudget(t *testing.T) {
	c := &compilation{lists: NewLists(entries{"a": budget.MaxEntries, "b": 1})}
	c.entries(nil, []parser.At[string]{{Value: "a", Range: at(3)}, {Value: "b", Range: at(4)}})
	if got := budgetErrors(t, c.diags); !strings.HasPrefix(got, "policy.hcl:4,") {
		t.Errorf("got %q, want an error at the second list", got)
	}
}

// Each of these ranges consists of 190 networks.
func TestASetHasABudgetOfElements(t *testing.T) {
	var ranges []netipx.IPRange
	for i := range budget.MaxEntries/190 + 1 {
		network := netip.AddrFrom16([16]byte{0x20, 1, byte(i >> 8), byte(i)})
		whole := netipx.RangeOfPrefix(netip.PrefixFrom(network, 32))
		ranges = append(ranges, netipx.IPRangeFrom(whole.From().Next(), whole.To().Prev()))
	}
	for name, set := range map[string]*parser.Set{
		"aggregated":     {Type: parser.SetHashNet, Aggregate: true, DeclRange: at(5)},
		"not aggregated": {Type: parser.SetHashNet, DeclRange: at(5)},
	} {
		c := &compilation{}
		if got := c.elements(set, rangesOf(ranges), rangesOf(nil), ir.IPv6); got.Len() > 0 {
			t.Errorf("%s: %d elements despite the error", name, got.Len())
		}
		if got := budgetErrors(t, c.diags); !strings.HasPrefix(got, "policy.hcl:5,") {
			t.Errorf("%s: got %q", name, got)
		}
	}

	c := &compilation{}
	var single []netipx.IPRange
	for i := range budget.MaxEntries/maxExpansion + 1 {
		single = append(single, netipx.RangeOfPrefix(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 16)))
	}
	c.elements(&parser.Set{Type: parser.SetHashIP, MaxElem: &parser.At[int]{Value: 1 << 30}, DeclRange: at(5)}, rangesOf(single), rangesOf(nil), ir.IPv4)
	if got := budgetErrors(t, c.diags); !strings.HasPrefix(got, "policy.hcl:5,") {
		t.Errorf("hash:ip: got %q", got)
	}
}

// Exclusions that overlap no network must not change the result.
func TestExclusionsSplitOnlyNetworksThatTheyOverlap(t *testing.T) {
	ipRange := func(text string) netipx.IPRange { return netipx.MustParseIPRange(text) }
	c := &compilation{}
	got := c.elements(&parser.Set{Type: parser.SetHashNet},
		rangesOf([]netipx.IPRange{ipRange("10.0.0.0-10.0.0.255"), ipRange("10.0.1.0-10.0.1.255"), ipRange("10.0.2.0-10.0.2.255"), ipRange("10.0.0.128-10.0.0.255")}),
		rangesOf([]netipx.IPRange{ipRange("10.0.0.255-10.0.1.0"), ipRange("10.0.3.0-10.0.3.0"), ipRange("9.0.0.0-10.0.0.3")}),
		ir.IPv4,
	)
	want := "[10.0.0.4/30 10.0.0.8/29 10.0.0.16/28 10.0.0.32/27 10.0.0.64/26 10.0.0.128/26 10.0.0.192/27 10.0.0.224/28 10.0.0.240/29 10.0.0.248/30 10.0.0.252/31 10.0.0.254/32 " +
		"10.0.1.1/32 10.0.1.2/31 10.0.1.4/30 10.0.1.8/29 10.0.1.16/28 10.0.1.32/27 10.0.1.64/26 10.0.1.128/25 10.0.2.0/24]"
	if fmt.Sprint(slices.Collect(got.All())) != want {
		t.Errorf("\n got %v\nwant %s", slices.Collect(got.All()), want)
	}
}

func rangesOf(list []netipx.IPRange) addrlist.Ranges {
	var out addrlist.Ranges
	for _, r := range list {
		out.Add(r)
	}
	return out
}
