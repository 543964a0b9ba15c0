package parser

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
)

func TestOccurrencesAreAllPlacesOfAName(t *testing.T) {
	const text = `host "web1" {}
ipset "office" {}
ipset branch {
  members = [ipset["office"]]
}
variable "port" {}
locals {
  a = var.port
  b = "${local.a}-${var.port}"
}
accept "app" {
  for_each = toset(["x", "y"])
  source   = [for s in concat([ipset.office], [ipset.branch]) : s]
  hosts    = ["web1", "web*"]
}
egress {
  deny "lan" {}
}
test "t" {
  host = "web1"
  by   = "accept.app-x"
}
test "u" {
  by = "deny.lan"
}
`
	file := ParseIncomplete([]byte(text), "policy.hcl")
	var got, paths []string
	for _, o := range Occurrences([]*hcl.File{file}) {
		if found := string(o.Range.SliceBytes(file.Bytes)); found != o.Name {
			t.Errorf("the range of %q is that of %q", o.Name, found)
		}
		if path := string(o.Path.SliceBytes(file.Bytes)); path != o.Name {
			paths = append(paths, path)
		}
		what := "refers to"
		if o.Definition {
			what = "defines"
		}
		got = append(got, fmt.Sprintf("%d:%d %s %d %s", o.Range.Start.Line, o.Range.Start.Column, what, o.Kind, o.Name))
	}
	want := []string{
		"1:7 defines 4 web1",
		"2:8 defines 0 office",
		"3:7 defines 0 branch",
		"4:21 refers to 0 office",
		"6:11 defines 1 port",
		"8:3 defines 2 a",
		"8:11 refers to 1 port",
		"9:3 defines 2 b",
		"9:16 refers to 2 a",
		"9:25 refers to 1 port",
		"11:9 defines 3 app",
		"13:38 refers to 0 office",
		"13:54 refers to 0 branch",
		"14:16 refers to 4 web1",
		"17:9 defines 3 lan",
		"20:11 refers to 4 web1",
		"21:18 refers to 3 app",
		"24:14 refers to 3 lan",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	wantPaths := []string{`ipset["office"]`, "var.port", "local.a", "var.port", "ipset.office", "ipset.branch", "accept.app-x", "deny.lan"}
	if diff := cmp.Diff(wantPaths, paths); diff != "" {
		t.Error(diff)
	}
}
