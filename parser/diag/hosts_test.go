package diag

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
)

func TestHostsText(t *testing.T) {
	many := strings.Fields("web1 web2 web3 web4 web5")
	for _, c := range []struct {
		info Info
		want string
	}{
		{Info{}, ""},
		{Info{Host: "web2"}, "host web2"},
		{Info{Host: "web1", Hosts: many[:1]}, "host web1"},
		{Info{Host: "web1", Hosts: many[:2]}, "hosts web1 and web2"},
		{Info{Host: "web1", Hosts: many[:3]}, "hosts web1, web2 and web3"},
		{Info{Host: "web1", Hosts: many[:3], AllHosts: true}, "hosts web1, web2 and web3"},
		{Info{Host: "web1", Hosts: many}, "hosts web1, web2 and 3 more"},
		{Info{Host: "web1", Hosts: many, AllHosts: true}, "all 5 hosts, here web1"},
	} {
		if got := c.info.HostsText(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.info, got, c.want)
		}
	}
}

func TestAPlaceOutsideAllFilesHasNoLineOrColumn(t *testing.T) {
	rng := Outside("--var clients")
	rng.Start.Column, rng.Start.Byte = 2, 1
	rng.End = hcl.Pos{Line: 1, Column: 6, Byte: 5}
	var b strings.Builder
	printer := Printer{Sources: map[string][]byte{rng.Filename: []byte("[1.2.]")}}
	if err := printer.Write(&b, hcl.Diagnostics{New(CodeAddressSyntax, rng, "not an address", "")}); err != nil {
		t.Fatal(err)
	}
	if want := "--var clients: error: not an address [address-syntax]\n  1 | [1.2.]\n    |  ^^^^\n\n"; b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
	if name, ok := OutsideName(rng); !ok || name != "--var clients" {
		t.Errorf("%q, %t", name, ok)
	}
	if _, ok := OutsideName(hcl.Range{Filename: "--var clients"}); ok {
		t.Error("a file of that name is taken for no file")
	}
}

func TestColumnsAreGraphemeClusters(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "e\u0301x": 2, "\U0001F468\u200D\U0001F469\u200D\U0001F467 ": 2, "\xff": 1} {
		if got := Columns(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
