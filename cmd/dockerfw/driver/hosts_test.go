package driver

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

func onLine(line int) hcl.Range {
	return hcl.Range{Filename: "p.hcl", Start: hcl.Pos{Line: line, Column: 1}, End: hcl.Pos{Line: line, Column: 2}}
}

// diagnostic returns an error on a line; usedAt is the line of its use, 0 for none.
func diagnostic(line, usedAt int, summary, detail string) *hcl.Diagnostic {
	d := diag.New(diag.CodeValue, onLine(line), summary, detail)
	if usedAt > 0 {
		used := onLine(usedAt)
		info := diag.InfoOf(d)
		info.UsedAt = &used
		d.Extra = info
	}
	return d
}

func TestDiagnosticsThatDifferOnlyInTheHostAreJoined(t *testing.T) {
	labels := []string{"web1", "web2", "web10", "web4"}
	each := func(one func(i int, host string) []*hcl.Diagnostic) []hcl.Diagnostics {
		var out []hcl.Diagnostics
		for i, host := range labels {
			out = append(out, one(i, host))
		}
		return out
	}
	for _, c := range []struct {
		name    string
		partial bool
		in      []hcl.Diagnostics
		want    []string
	}{
		{"the same on all hosts", false, each(func(int, string) []*hcl.Diagnostic {
			return []*hcl.Diagnostic{diagnostic(1, 0, "bad", "web1 or not")}
		}), []string{"1: bad ()"}},
		{"the host's name in the text", false, each(func(_ int, host string) []*hcl.Diagnostic {
			return []*hcl.Diagnostic{diagnostic(1, 0, fmt.Sprintf("no %q", host+".txt"), "lists/"+host+".txt of "+host)}
		}), []string{`1: no "web1.txt" (all 4 hosts, here web1)`}},
		{"only some hosts of the policy compiled", true, each(func(_ int, host string) []*hcl.Diagnostic {
			return []*hcl.Diagnostic{diagnostic(1, 0, "no "+host, "")}
		}), []string{"1: no web1 (hosts web1, web2 and 2 more)"}},
		{"the host's name as part of another word", false, each(func(i int, host string) []*hcl.Diagnostic {
			if i > 1 {
				return nil
			}
			return []*hcl.Diagnostic{diagnostic(1, 0, "no x"+host, "")}
		}), []string{"1: no xweb1 (host web1)", "1: no xweb2 (host web2)"}},
		{"different values", false, each(func(_ int, host string) []*hcl.Diagnostic {
			if host == "web2" {
				return []*hcl.Diagnostic{diagnostic(1, 0, "bad 8", "")}
			}
			return []*hcl.Diagnostic{diagnostic(1, 0, "bad 7", "")}
		}), []string{"1: bad 7 (hosts web1, web10 and web4)", "1: bad 8 (host web2)"}},
		{"different places", false, each(func(i int, _ string) []*hcl.Diagnostic {
			return []*hcl.Diagnostic{diagnostic(i/2, 0, "bad", "")}
		}), []string{"0: bad (hosts web1 and web2)", "1: bad (hosts web10 and web4)"}},
		{"different places for the same use", false, each(func(i int, _ string) []*hcl.Diagnostic {
			return []*hcl.Diagnostic{diagnostic(i, 9, "bad", "")}
		}), []string{"0: bad (all 4 hosts, here web1) [1: the same on host web2] [2: the same on host web10]"}},
		{"two diagnostics for the same use on each host", false, each(func(i int, _ string) []*hcl.Diagnostic {
			return []*hcl.Diagnostic{diagnostic(10*i, 99, "bad", ""), diagnostic(10*i+1, 99, "bad", "")}
		}), []string{
			"0: bad (all 4 hosts, here web1) [10: the same on host web2] [20: the same on host web10]",
			"1: bad (all 4 hosts, here web1) [11: the same on host web2] [21: the same on host web10]",
		}},
		{"a set that some hosts use", false, each(func(i int, _ string) []*hcl.Diagnostic {
			if i == 0 {
				return nil
			}
			d := diagnostic(1, 0, "unused", "")
			d.Extra = diag.Info{Code: diag.CodeUnusedSet}
			return []*hcl.Diagnostic{d}
		}), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, d := range joinHosts(labels, c.partial, c.in) {
				info := diag.InfoOf(d)
				text := fmt.Sprintf("%d: %s (%s)", d.Subject.Start.Line, d.Summary, info.HostsText())
				for _, r := range info.Related {
					text += fmt.Sprintf(" [%d: %s]", r.Range.Start.Line, r.Message)
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			for _, diags := range c.in {
				if slices.ContainsFunc(diags, func(d *hcl.Diagnostic) bool { return diag.InfoOf(d).Host != "" }) {
					t.Error("a diagnostic of a host was changed")
				}
			}
		})
	}
}

func TestShortAndNumericLabelsAreNotReplacedInTexts(t *testing.T) {
	for _, c := range []struct{ text, label, want string }{
		{"lists/web1.txt, web1", "web1", "lists/\x00.txt, \x00"},
		{"web10", "web1", "web10"},
		{"a port of a", "a", "a port of a"},
		{"10.1.2.3", "10", "10.1.2.3"},
		{"", "web1", ""},
	} {
		if got := withoutHost(c.text, c.label); got != c.want {
			t.Errorf("%q without %q: %q, want %q", c.text, c.label, got, c.want)
		}
	}
}
