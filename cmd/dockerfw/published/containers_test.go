package published

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/parser/diag"
)

func portTexts(ports []Port) string {
	var out []string
	for _, p := range ports {
		address := ""
		if p.Address.IsValid() {
			address = p.Address.String() + " "
		}
		out = append(out, fmt.Sprintf("%s%s>%d", address, portsText(p.Protocol, p.First, p.Last), p.Target))
	}
	return strings.Join(out, ", ")
}

// Each case is a column as an engine prints it, and its ports; "error" if it cannot be read.
func TestPortsColumn(t *testing.T) {
	for _, c := range []struct{ column, want string }{
		{"", ""},
		{"80/tcp, 443/tcp", ""},
		{"8000-8010/tcp", ""},
		{"0.0.0.0:8080->80/tcp", "0.0.0.0 8080/tcp>80"},
		{"0.0.0.0:8080->80/tcp, [::]:8080->80/tcp", "0.0.0.0 8080/tcp>80, :: 8080/tcp>80"},
		{"0.0.0.0:8080->80/tcp, :::8080->80/tcp", "0.0.0.0 8080/tcp>80, :: 8080/tcp>80"},
		{"127.0.0.1:5432->5432/tcp, 53/udp", "127.0.0.1 5432/tcp>5432"},
		{"[2001:db8::1]:53->53/udp", "2001:db8::1 53/udp>53"},
		{"2001:db8::1:53->53/udp", "2001:db8::1 53/udp>53"},
		{"198.51.100.1:132->132/sctp", "198.51.100.1 132/sctp>132"},
		{"0.0.0.0:8000-8002->9000-9002/tcp", "0.0.0.0 8000/tcp>9000, 0.0.0.0 8001/tcp>9001, 0.0.0.0 8002/tcp>9002"},
		{"8080->80/tcp", "8080/tcp>80"},
		{"0.0.0.0:65535->65535/tcp", "0.0.0.0 65535/tcp>65535"},
		{"[::ffff:192.0.2.1]:80->80/tcp", "192.0.2.1 80/tcp>80"},
		{"0.0.0.0:8080", "error"},
		{"0.0.0.0:8080->80", "error"},
		{"0.0.0.0:8080->80/icmp", "error"},
		{"0.0.0.0:0->80/tcp", "error"},
		{"0.0.0.0:65536->80/tcp", "error"},
		{"0.0.0.0:+80->80/tcp", "error"},
		{"0.0.0.0:080->80/tcp", "error"},
		{"0.0.0.0:8000-8002->80/tcp", "error"},
		{"0.0.0.0:8002-8000->8002-8000/tcp", "error"},
		{"localhost:80->80/tcp", "error"},
		{"[::]8080->80/tcp", "error"},
		{"[::%eth0]:80->80/tcp", "error"},
		{":80->80/tcp", "error"},
		{"[0.0.0.0:80->80/tcp", "error"},
		{"0.0.0.0:80->80/tcp->90/tcp", "error"},
		{"->80/tcp", "error"},
	} {
		ports, err := ParsePorts(c.column)
		got := portTexts(ports)
		if err != nil {
			got = "error"
		}
		if got != c.want {
			t.Errorf("%q: %s (%v), want %s", c.column, got, err, c.want)
		}
	}
}

func TestContainersOfDockerPs(t *testing.T) {
	list, diags := ReadContainers([]byte(`{"Command":"\"x\"","CreatedAt":"now","ID":"a1","Names":"web","Networks":"front,back","Ports":"0.0.0.0:443->8443/tcp, [::]:443->8443/tcp","State":"running"}

{"ID":"b2","Networks":"host","Ports":""}
{"ID":"c3","Names":"","Networks":"bridge","Ports":"[::]:53->53/udp"}
`), "ps.json")
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	if got, want := portTexts(list.Ports), "443/tcp>8443, :: 53/udp>53"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if len(list.Others) != 1 || list.Others[0].By != "b2" || list.Others[0].At.Start.Line != 3 {
		t.Errorf("%+v", list.Others)
	}
	if p := list.Ports[1]; p.By != "c3" || p.At.Start.Line != 4 || p.At.Start.Column != 1 {
		t.Errorf("%+v", p)
	}
}

// Everything else is an error at its place, and nothing is skipped.
func TestWhatIsNoListOfContainers(t *testing.T) {
	for _, c := range []struct {
		text      string
		line, col int
	}{
		{"CONTAINER ID   IMAGE\n", 1, 1},
		{"json\njson\n", 1, 1},
		{"{\"Ports\":\"\"}\n  {\"Ports\":\n", 2, 3},
		{"{\"Ports\":\"\"}\n{\"Names\":\"a\"}\n", 2, 1},
		{"[{\"Ports\":\"\"},\n {\"Ports\":[]}]", 2, 2},
		{"[{\"Ports\":\"\"}", 1, 14},
		{"[] []", 1, 3},
		{"\"text\"", 1, 1},
		{"{\"Ports\":\"x\"}", 1, 1},
		{"[{\"Names\":[\"a\"],\"Ports\":\"\"}]", 1, 2},
	} {
		_, diags := ReadContainers([]byte(c.text), "ps.json")
		if !diags.HasErrors() {
			t.Errorf("%q is read", c.text)
			continue
		}
		if at := diags[0].Subject.Start; at.Line != c.line || at.Column != c.col || diag.InfoOf(diags[0]).Code != diag.CodeContainers {
			t.Errorf("%q: %d:%d %s", c.text, at.Line, at.Column, diags[0].Detail)
		}
	}
	for _, empty := range []string{"", "\n", "[]", "[ ]\n"} {
		if list, diags := ReadContainers([]byte(empty), ""); len(diags) > 0 || len(list.Ports) > 0 {
			t.Errorf("%q: %v", empty, diags)
		}
	}
	if _, diags := ReadContainers(make([]byte, MaxInput+1), "big"); !diags.HasErrors() {
		t.Error("too much input is read")
	}
}

func FuzzParsePorts(f *testing.F) {
	for _, seed := range []string{
		"0.0.0.0:8080->80/tcp, [::]:8080->80/tcp", ":::8000-8010->8000-8010/tcp, 80/udp", "127.0.0.1:1->65535/sctp", "1-65535/tcp", "[::1]:5->5/udp,",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, column string) {
		ports, err := ParsePorts(column)
		if err != nil {
			if len(ports) > 0 {
				t.Error("ports and an error")
			}
			return
		}
		// What was read reads the same when it is printed as engines do.
		var printed []string
		for _, p := range ports {
			if p.First == 0 || p.First != p.Last || p.Target == 0 || p.Address.IsValid() && p.Address.Zone() != "" {
				t.Fatalf("%q: %+v", column, p)
			}
			host := ""
			if p.Address.IsValid() {
				host = netip.AddrPortFrom(p.Address, p.First).String()
			} else {
				host = fmt.Sprint(p.First)
			}
			printed = append(printed, fmt.Sprintf("%s->%d/%s", host, p.Target, map[uint8]string{6: "tcp", 17: "udp", 132: "sctp"}[p.Protocol]))
		}
		again, err := ParsePorts(strings.Join(printed, ", "))
		if err != nil || portTexts(again) != portTexts(ports) {
			t.Errorf("%q: %s, then %s (%v)", column, portTexts(ports), portTexts(again), err)
		}
	})
}

func FuzzReadContainers(f *testing.F) {
	f.Add([]byte(`{"Names":"web","Ports":"0.0.0.0:443->8443/tcp"}` + "\n" + `{"Ports":""}`))
	f.Add([]byte(`[{"Name":"web","Ports":"80/tcp"}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, diags := ReadContainers(text, "ps.json")
		for _, d := range diags {
			if r := d.Subject; r.Start.Byte > len(text) || r.End.Byte > len(text) || r.Start.Byte > r.End.Byte {
				t.Errorf("%s: %+v", d.Summary, r)
			}
		}
		for _, p := range list.Ports {
			if !p.At.CanSliceBytes(text) {
				t.Errorf("%+v", p.At)
			}
		}
	})
}

// A few lines can be millions of ports.
func TestTooManyPortsAreRefused(t *testing.T) {
	const all = `{"Names":"c","Ports":"0.0.0.0:1-65535->1-65535/udp, [::]:1-65535->1-65535/udp"}` + "\n"
	// The error is in line 5, so that those of four lines are not too many.
	_, diags := ReadContainers([]byte(strings.Repeat(all, 100)), "ps.json")
	if len(diags) != 1 || diags[0].Summary != "too many ports" || diags[0].Subject.Start.Line != 5 {
		t.Error(diags)
	}
}
