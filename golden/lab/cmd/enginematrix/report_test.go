package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The rows of the table are the names of tests, so that firewall terms must survive.
func TestATestNameBecomesASentence(t *testing.T) {
	for name, want := range map[string]string{
		"TestADenyOverridesEveryAccept":                  "A deny overrides every accept",
		"TestInputProtectionKeepsClientsFromDockerProxy": "Input protection keeps clients from docker-proxy",
		"TestUDPIsCutOverIPv6":                           "UDP is cut over IPv6",
		"TestADropInDockerUserHolds":                     "A drop in DOCKER-USER holds",
		"TestRulesCutConnectionsAndSurviveTheEngine2":    "Rules cut connections and survive the engine2",
	} {
		if got := sentence(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// engineAttributes are the attributes that package lab sets for a test.
func engineAttributes(test, engine, backend string) string {
	var out strings.Builder
	for _, pair := range [][2]string{{"engine", engine}, {"backend", backend}, {"iptables", "1.8.9"}, {"ipset", "7.17"}} {
		out.WriteString(`{"Action":"attr","Test":"` + test + `","Key":"` + pair[0] + `","Value":"` + pair[1] + `"}` + "\n")
	}
	return out.String()
}

func TestTheTableReportsWhatRanAndWhy(t *testing.T) {
	var m matrix
	bookworm := engineAttributes("TestHolds/nft", "20.10.24", "nft") +
		`{"Action":"attr","Test":"TestHolds/nft","Key":"note","Value":"over IPv4"}
{"Action":"pass","Test":"TestHolds/nft"}
` + engineAttributes("TestHolds/legacy/one", "20.10.24", "legacy") + engineAttributes("TestHolds/legacy/two", "20.10.24", "legacy") + `
{"Action":"pass","Test":"TestHolds/legacy/one"}
{"Action":"fail","Test":"TestHolds/legacy/two"}
{"Action":"fail","Test":"TestHolds/legacy"}
{"Action":"fail","Test":"TestHolds"}
{"Action":"pass","Test":"TestWithoutAnEngine"}
` + engineAttributes("TestSkips", "20.10.24", "nft") + `
{"Action":"output","Test":"TestSkips","Output":"    x_test.go:12: no such chain\n"}
{"Action":"output","Test":"TestSkips","Output":"--- SKIP: TestSkips (0.00s)\n"}
{"Action":"skip","Test":"TestSkips"}
`
	// The run ends within the first test; the second test fails after its subtest.
	trixie := engineAttributes("TestHolds/nft", "26.1.5", "nft") + engineAttributes("TestLate/nft", "26.1.5", "nft") + `
{"Action":"pass","Test":"TestLate/nft"}
{"Action":"fail","Test":"TestLate"}
`
	for suite, output := range map[string]string{"bookworm": bookworm, "trixie": trixie} {
		if err := m.add(suite, []byte(output)); err != nil {
			t.Fatal(err)
		}
	}
	m.tests = []string{"TestHolds", "TestSkips", "TestLate"}
	want := `Linux 6.1.

| Debian | engine | iptables | ipset |
|---|---|---|---|
| bookworm | 20.10.24 | 1.8.9 | 7.17 |
| trixie | 26.1.5 | 1.8.9 | 7.17 |

| test | 20.10.24 nft | 20.10.24 legacy | 26.1.5 nft |
|---|---|---|---|
| Holds | passes (1) | **fails** | **fails** |
| Skips | not applicable (2) | not run | not run |
| Late | not run | not run | **fails** |

(1) over IPv4.

(2) no such chain.
`
	if diff := cmp.Diff(want, m.markdown("6.1")); diff != "" {
		t.Error(diff)
	}
	if err := m.add("forky", []byte(`{"Action":"pass","Test":"TestWithoutAnEngine"}`)); err == nil {
		t.Error("a run without any engine is accepted")
	}
}

func TestOnlyTheTextAfterTheMarkerIsReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "engines.md")
	for _, c := range []struct{ old, want string }{
		{"# Engines\n\n" + marker, "# Engines\n\n" + marker + "\nnew\n"},
		{"# Engines\n\n" + marker + "\nold\n", "# Engines\n\n" + marker + "\nnew\n"},
	} {
		if err := os.WriteFile(file, []byte(c.old), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := replaceAfterMarker(file, "new\n"); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(file); string(got) != c.want {
			t.Errorf("got %q", got)
		}
	}
	if err := os.WriteFile(file, []byte("# no marker\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replaceAfterMarker(file, "new\n"); err == nil {
		t.Error("a file without the marker is overwritten")
	}
}
