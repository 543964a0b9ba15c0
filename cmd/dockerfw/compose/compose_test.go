package compose

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

var update = flag.Bool("update", false, "write what is read of the projects in testdata")

func placeText(r hcl.Range) string {
	return fmt.Sprintf("%s:%d:%d-%d", filepath.ToSlash(r.Filename), r.Start.Line, r.Start.Column, r.End.Column)
}

// describe has a line for each port and each other container.
func describe(p Project, diags hcl.Diagnostics) string {
	var b strings.Builder
	for _, port := range p.Ports {
		ports := fmt.Sprint(port.First)
		if port.Last != port.First {
			ports = fmt.Sprintf("one of %d-%d", port.First, port.Last)
		}
		if port.Address.IsValid() {
			ports = port.Address.String() + " " + ports
		}
		fmt.Fprintf(&b, "%s %s: %s -> %d/%d", placeText(port.At), port.By, ports, port.Target, port.Protocol)
		if port.Inactive != "" {
			fmt.Fprintf(&b, " (%s)", port.Inactive)
		}
		b.WriteByte('\n')
	}
	for _, c := range p.Others {
		fmt.Fprintf(&b, "%s %s: network %q %s\n", placeText(c.At), c.By, cmp.Or(c.Network, c.Shares), c.Driver)
	}
	for _, d := range diags {
		fmt.Fprintf(&b, "%s %s: %s\n", placeText(*d.Subject), d.Summary, d.Detail)
	}
	return b.String()
}

// Each directory of testdata is a project, in the styles that people write; want.txt is what is
// read of it: each port with its place.
func TestProjects(t *testing.T) {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("testdata")
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) {
			t.Chdir(e.Name())
			paths := []string{"compose.yaml"}
			if _, err := os.Stat("override.yaml"); err == nil {
				paths = append(paths, "override.yaml")
			}
			got := describe(Load(paths, Options{}))
			if *update {
				if err := os.WriteFile("want.txt", []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile("want.txt")
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// write writes files into a new directory, and makes it the current one.
func write(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

const head = "services:\n  web:\n    image: x\n"

// Each case is a Compose file with one mistake, its line and column, and words of the message.
func TestMistakesHavePlaces(t *testing.T) {
	for _, c := range []struct {
		text      string
		line, col int
		words     string
	}{
		{"", 1, 1, "empty compose file"},
		{"services: [", 2, 1, "did not find expected"},
		{"- a\n", 1, 1, "mapping"},
		{head + "    ports: [\"80:80\"\n  db:\n", 5, 3, "did not find expected"},
		{head + "\tports: []\n", 4, 1, "a tab character"},
		{head + "    ports: 80\n", 4, 5, "must be a array"},
		{head + "    ports:\n      - \"99999:80\"\n", 5, 9, "99999"},
		{head + "    ports:\n      - \"80:80\"\n      - \"8000-8001:80-82\"\n", 6, 9, "8000-8001"},
		{head + "    ports:\n      - \"80:80/icmp\"\n", 5, 9, "icmp"},
		{head + "    ports:\n      - \"somewhere:80:80\"\n", 5, 9, "somewhere"},
		{head + "    ports:\n      - target: 0\n        published: \"80\"\n", 5, 9, "container's port 0"},
		{head + "    ports:\n      - {target: 80, published: \"8o\"}\n", 5, 9, "8o"},
		{head + "    ports:\n      - {target: 80, host_ip: eth0, published: \"80\"}\n", 5, 9, "eth0"},
		{head + "    ports:\n      - {target: 80, protocol: icmp, published: \"80\"}\n", 5, 9, "icmp"},
		{head + "    ports:\n      - \"${NOWHERE}:80\"\n", 5, 9, "${NOWHERE:-8080}"},
		{head + "    ports:\n      - \"${NOWHERE:?}:80\"\n", 5, 9, "--env-file"},
		{head + "    network_mode: ${MODE}\n", 4, 19, "MODE"},
		{head + "    colour: red\n", 4, 5, "colour"},
		{head + "    networks: [nowhere]\n", 2, 3, "nowhere"},
		{head + "    extends: {service: nobody}\n", 2, 3, "nobody"},
		{"include:\n  - missing.yaml\n" + head, 2, 5, "missing.yaml"},
		{"include: [\"https://example.com/x.git\"]\n" + head, 1, 11, "network"},
		{"include:\n  - path: oci://example.com/x\n" + head, 2, 11, "network"},
		{head + "    extends: {file: \"https://example.com/c.yaml\", service: web}\n", 4, 21, "network"},
		{head + "    extends: {file: missing.yaml, service: web}\n", 4, 21, "missing.yaml"},
	} {
		write(t, map[string]string{"compose.yaml": c.text})
		_, diags := Load([]string{"compose.yaml"}, Options{})
		if len(diags) == 0 {
			t.Errorf("no error:\n%s", c.text)
			continue
		}
		d := diags[0]
		if at := d.Subject.Start; at.Line != c.line || at.Column != c.col || !strings.Contains(d.Summary+" "+d.Detail, c.words) || d.Subject.Filename != "compose.yaml" || diag.InfoOf(d).Code != diag.CodeCompose {
			t.Errorf("%s\n%s %s: %s", c.text, placeText(*d.Subject), d.Summary, d.Detail)
		}
	}
}

// A mistake in an included file has its place there.
func TestMistakesInIncludedFiles(t *testing.T) {
	write(t, map[string]string{"compose.yaml": "include: [sub/compose.yaml]\n" + head, "sub/compose.yaml": "services:\n  other:\n    image: x\n    ports: [\"${NOWHERE}:80\"]\n"})
	_, diags := Load([]string{"compose.yaml"}, Options{})
	if len(diags) != 1 || placeText(*diags[0].Subject) != "sub/compose.yaml:4:13-28" {
		t.Errorf("%s", diags)
	}
}

// Variables come from files alone, and a later file wins.
func TestVariablesComeFromFilesAlone(t *testing.T) {
	t.Setenv("PORT", "1")
	files := map[string]string{
		"compose.yaml": head + "    ports: [\"${PORT}:80\"]\n", "one.env": "PORT=8001\n", "two.env": "PORT=8002\nA=${PORT}\n", "bad.env": "A=1\nno variable here\n",
	}
	write(t, files)
	if _, diags := Load([]string{"compose.yaml"}, Options{}); !diags.HasErrors() {
		t.Error("the shell's variable is used")
	}
	p, diags := Load([]string{"compose.yaml"}, Options{EnvFiles: []string{"one.env", "two.env"}})
	if diags.HasErrors() || len(p.Ports) != 1 || p.Ports[0].First != 8002 {
		t.Errorf("%+v %s", p.Ports, diags)
	}
	for _, name := range []string{"bad.env", "nowhere.env", "."} {
		if _, diags := Load([]string{"compose.yaml"}, Options{EnvFiles: []string{name}}); len(diags) != 1 || diags[0].Subject.Filename != name || diags[0].Summary != "variables that cannot be read" {
			t.Errorf("%s: %s", name, diags)
		}
	}
}

func TestProfilesOfTheCommandLineReplaceTheOthers(t *testing.T) {
	t.Chdir("testdata/profiles")
	for _, c := range []struct {
		profiles []string
		active   string
	}{
		{[]string{"dev"}, "debug web"},
		{[]string{"dev", "admin"}, "admin debug web"},
		{[]string{"*"}, "admin debug web"},
		{[]string{"nobody"}, "web"},
	} {
		p, diags := Load([]string{"compose.yaml"}, Options{Profiles: c.profiles})
		var active []string
		for _, port := range p.Ports {
			if port.Inactive == "" {
				active = append(active, port.By)
			}
		}
		slices.Sort(active)
		if got := strings.Join(active, " "); diags.HasErrors() || got != c.active {
			t.Errorf("%v: %s %s", c.profiles, got, diags)
		}
	}
}

// What would take too long, or never end, is an error.
func TestHostileProjectsAreRefused(t *testing.T) {
	bomb := "x-a: &a [1,2,3,4,5,6,7,8,9]\n"
	for _, c := range "bcdefghij" {
		bomb += fmt.Sprintf("x-%c: &%[1]c [*%[2]c,*%[2]c,*%[2]c,*%[2]c,*%[2]c,*%[2]c,*%[2]c,*%[2]c,*%[2]c]\n", c, c-1)
	}
	merges := "x-a: &a {k: v}\n"
	for _, c := range "bcdefghijklm" {
		merges += fmt.Sprintf("x-%c: &%[1]c {<<: [*%[2]c,*%[2]c,*%[2]c,*%[2]c,*%[2]c,*%[2]c,*%[2]c,*%[2]c,*%[2]c]}\n", c, c-1)
	}
	const many = 2000
	ports := "x-p: &p [" + strings.Repeat("\"80:80\",", many) + "]\nservices:\n"
	for i := range many {
		ports += fmt.Sprintf("  s%d: {image: x, ports: *p}\n", i)
	}
	for name, files := range map[string]map[string]string{
		"ranges":       {"compose.yaml": head + "    ports:\n" + strings.Repeat("    - \"1-65535:1-65535\"\n", 1000)},
		"merges":       {"compose.yaml": merges + head + "    <<: *m\n"},
		"ports":        {"compose.yaml": ports},
		"aliases":      {"compose.yaml": bomb + head + "    labels: *j\n"},
		"a loop":       {"compose.yaml": "include: [other.yaml]\n" + head, "other.yaml": "include: [compose.yaml]\n"},
		"itself":       {"compose.yaml": "x-a: &a\n  b: *a\n" + head},
		"deep":         {"compose.yaml": head + "    labels: " + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "\n"},
		"a large file": {"compose.yaml": head + "    labels:\n" + strings.Repeat("      - a=b\n", maxFile/12+1)},
		"a directory":  {"compose.yaml/x": ""},
	} {
		t.Run(name, func(t *testing.T) {
			write(t, files)
			if _, diags := Load([]string{"compose.yaml"}, Options{}); !diags.HasErrors() {
				t.Error("no error")
			} else if fast := name == "merges" || name == "ports"; fast && diags[0].Summary != "too many aliases" {
				t.Errorf("only the library refuses it, after its ports were found: %s", diags[0].Detail)
			} else {
				t.Logf("%s: %.200s", placeText(*diags[0].Subject), diags[0].Detail)
			}
		})
	}
}

// A service that uses the network of one on the host's network is on it, too.
func TestAServiceInTheNetworkOfAnotherIsWhereThatOneIs(t *testing.T) {
	write(t, map[string]string{"compose.yaml": `services:
  node:
    image: a
    network_mode: host
  sidecar:
    image: a
    network_mode: service:node
  inner:
    image: a
    network_mode: service:sidecar
  web:
    image: a
    ports: ["8080:80"]
  logs:
    image: a
    network_mode: service:web
`})
	p, diags := Load([]string{"compose.yaml"}, Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var others []string
	for _, c := range p.Others {
		others = append(others, c.By)
	}
	if got := strings.Join(others, " "); got != "inner node sidecar" || len(p.Ports) != 1 {
		t.Errorf("on the host's network: %s; %d ports", got, len(p.Ports))
	}
}
