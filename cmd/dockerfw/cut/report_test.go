package cut_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/cut"
	"github.com/dockerfw/dockerfw/parser/escape"
)

func TestWriteListsTheFirstConnections(t *testing.T) {
	refusal := func(i int) cut.Refusal {
		return cut.Refusal{Connection: connection(fmt.Sprintf("tcp 198.51.100.3:%d 198.51.100.1:8080 172.17.0.2:80", 40000+i)), Rule: "default"}
	}
	line := func(i int) string {
		return fmt.Sprintf("ended tcp 198.51.100.3:%d -> 198.51.100.1:8080 (172.17.0.2:80): default refuses it\n", 40000+i)
	}
	for _, c := range []struct {
		ended, listed int
		last          string
	}{
		{0, 0, "ended 0 connections that the rules refuse\n"},
		{1, 1, "ended 1 connection that the rules refuse\n"},
		{11, 11, "ended 11 connections that the rules refuse\n"},
		{12, 10, "ended 12 connections that the rules refuse; 2 are not listed\n"},
	} {
		var ended []cut.Refusal
		for i := range c.ended {
			ended = append(ended, refusal(i))
		}
		want := ""
		for i := range c.listed {
			want += line(i)
		}
		var got strings.Builder
		if err := cut.Write(&got, ended); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want+c.last, got.String()); diff != "" {
			t.Errorf("%d connections (-want +got)\n%s", c.ended, diff)
		}
	}
}

func TestWriteKeptExplainsWhy(t *testing.T) {
	kept := []cut.Refusal{{Connection: connection("tcp 198.51.100.3:40000 198.51.100.1:22"), Rule: "default"}}
	for _, c := range []struct {
		kept []cut.Refusal
		want string
	}{
		{nil, ""},
		{kept, `kept tcp 198.51.100.3:40000 -> 198.51.100.1:22: default refuses it
kept 1 connection that the rules refuse: they end at the host itself, and your own session may be among them; --cut --cut-host ends them too
`},
	} {
		var got strings.Builder
		if err := cut.WriteKept(&got, c.kept); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got.String()); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
}

func TestRefusalsAsText(t *testing.T) {
	for _, c := range []struct{ connection, want string }{
		{proxied, "tcp 198.51.100.3:40000 -> 198.51.100.1:8080: deny \"a\" refuses it"},
		{otherUDP6, "udp [2001:db8:1::3]:40000 -> [2001:db8:1::1]:5353 ([fd00:17::2]:53): deny \"a\" refuses it"},
		{"gre 198.51.100.3:0 172.17.0.2:0", "protocol 47 198.51.100.3 -> 172.17.0.2: deny \"a\" refuses it"},
	} {
		r := cut.Refusal{Connection: connection(c.connection), Rule: `deny "a"`}
		if got := r.String(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// Names of interfaces and rules come from the host.
func TestForeignTextIsEscaped(t *testing.T) {
	var b strings.Builder
	if err := cut.Write(&b, []cut.Refusal{{Connection: connection(proxied), Rule: "deny \"\x1b[31m\""}}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "\x1b") || !strings.Contains(b.String(), `\x1b[31m`) {
		t.Errorf("%q", b.String())
	}
}

func TestRefusalsAsJSON(t *testing.T) {
	var b strings.Builder
	if err := escape.JSON(&b, []cut.Refusal{
		{connection(otherTCP), "eth0", "docker0", "default", "DOCKERFW"},
		{connection("gre 198.51.100.3:0 198.51.100.1:0"), "eth0", "", `deny "a"`, "DOCKERFW-PROXY"},
	}); err != nil {
		t.Fatal(err)
	}
	var got []map[string]string
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err, b.String())
	}
	want := []map[string]string{
		{
			"protocol": "tcp", "source": "198.51.100.3:40000", "destination": "198.51.100.1:8080", "translated": "172.17.0.2:80",
			"in": "eth0", "out": "docker0", "chain": "DOCKERFW", "rule": "default",
		},
		{
			"protocol": "47", "source": "198.51.100.3", "destination": "198.51.100.1",
			"in": "eth0", "chain": "DOCKERFW-PROXY", "rule": `deny "a"`,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
