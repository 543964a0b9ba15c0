package findings

import (
	"bytes"
	"encoding/json"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/parser"
)

// checkFile compiles a policy file, and returns its name, the diagnostics and the sources.
func checkFile(t *testing.T, name, text string) (string, hcl.Diagnostics, map[string][]byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Skip("the file system does not support the name:", err)
	}
	result, diags := driver.Policy(file, driver.Options{})
	if !diags.HasErrors() {
		t.Fatal("nothing is wrong with it")
	}
	return file, diags, result.Sources
}

func TestColumnsOfMachineFormatsCountCodePoints(t *testing.T) {
	const host = "host {\n  external_interfaces = [\"eth0\"]\n}\n"
	for _, c := range []struct{ name, text, marked string }{
		{"combining marks and joined emoji", host + "accept \"a\" {\n  description = \"e\u0301 \U0001F468\u200D\U0001F469\u200D\U0001F467\"\n  /* e\u0301\U0001F468\u200D\U0001F469\u200D\U0001F467 */ bogus = 1\n}\n", "bogus"},
		{"inside a string", host + "accept \"a\" {\n  /* e\u0301 */ source = [\"192.0.2.1/24\"]\n}\n", "192.0.2.1/24"},
		{"plain", host + "accept \"a\" {\n  bogus = 1\n}\n", "bogus"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, diags, sources := checkFile(t, "p.hcl", c.text)
			before := strings.Index(c.text, c.marked)
			line := c.text[strings.LastIndex(c.text[:before], "\n")+1 : before]
			want := []int{1 + utf8.RuneCountInString(line), 1 + utf8.RuneCountInString(line+c.marked)}

			var out bytes.Buffer
			if err := WriteSARIF(&out, diags, sources); err != nil {
				t.Fatal(err)
			}
			var log struct {
				Runs []struct{ Results []sarifResult }
			}
			if err := json.Unmarshal(out.Bytes(), &log); err != nil {
				t.Fatal(err)
			}
			region := log.Runs[0].Results[0].Locations[0].Physical.Region
			if got := []int{region.StartColumn, region.EndColumn}; !slices.Equal(got, want) {
				t.Errorf("SARIF: columns %d, want %d", got, want)
			}
			out.Reset()
			if err := WriteJSON(&out, diags, sources); err != nil {
				t.Fatal(err)
			}
			var records []record
			if err := json.Unmarshal(out.Bytes(), &records); err != nil {
				t.Fatal(err)
			}
			if got := []int{records[0].Place.Column, records[0].Place.EndColumn}; !slices.Equal(got, want) {
				t.Errorf("JSON: columns %d, want %d", got, want)
			}
			out.Reset()
			if err := WriteGitHub(&out, diags, sources); err != nil {
				t.Fatal(err)
			}
			got := regexp.MustCompile(`,col=(\d+),endColumn=(\d+),`).FindStringSubmatch(out.String())
			if got == nil || got[1] != itoa(want[0]) || got[2] != itoa(want[1]) {
				t.Errorf("GitHub: %q, want %d", got, want)
			}
		})
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

func TestAFileNameThatIsNotUTF8IsExactInJSON(t *testing.T) {
	file, diags, sources := checkFile(t, "a\xff b.hcl", "bogus {}\n")
	var out bytes.Buffer
	if err := WriteJSON(&out, diags, sources); err != nil {
		t.Fatal(err)
	}
	var records []record
	if err := json.Unmarshal(out.Bytes(), &records); err != nil {
		t.Fatal(err)
	}
	place := records[0].Place
	if filepath.Base(place.File) != `a\xff b.hcl` {
		t.Errorf("file %q", place.File)
	}
	uri, err := url.Parse(place.URI)
	if err != nil || uri.Path != file {
		t.Errorf("%q is %q, want %q (%v)", place.URI, uri.Path, file, err)
	}
	if strings.Contains(out.String(), "\ufffd") {
		t.Errorf("a byte was lost:\n%s", out.String())
	}
}

// sarifProperties are the properties that the schema of SARIF 2.1.0 (OASIS, errata 01)
// requires of the objects we write, and further ones of those that it allows. It allows
// no others.
var sarifProperties = map[string]struct{ required, allowed []string }{
	"sarifLog":            {[]string{"version", "runs"}, []string{"$schema"}},
	"run":                 {[]string{"tool"}, []string{"columnKind", "results"}},
	"tool":                {[]string{"driver"}, nil},
	"toolComponent":       {[]string{"name"}, []string{"version", "rules"}},
	"reportingDescriptor": {[]string{"id"}, nil},
	"result":              {[]string{"message"}, []string{"ruleId", "ruleIndex", "level", "locations", "relatedLocations"}},
	"message":             {[]string{"text"}, nil}, // or id
	"location":            {nil, []string{"id", "message", "physicalLocation"}},
	"physicalLocation":    {[]string{"artifactLocation"}, []string{"region"}}, // or address
	"artifactLocation":    {nil, []string{"uri"}},
	"region":              {nil, []string{"startLine", "startColumn", "endLine", "endColumn"}},
}

// sarifChildren are the types of properties that hold objects, or arrays of objects.
var sarifChildren = map[string]string{
	"runs": "run", "tool": "tool", "driver": "toolComponent", "rules": "reportingDescriptor", "results": "result",
	"message": "message", "locations": "location", "relatedLocations": "location", "physicalLocation": "physicalLocation",
	"artifactLocation": "artifactLocation", "region": "region",
}

func checkSARIF(t *testing.T, kind string, v any) {
	t.Helper()
	if list, ok := v.([]any); ok {
		for _, one := range list {
			checkSARIF(t, kind, one)
		}
		return
	}
	object, ok := v.(map[string]any)
	if !ok {
		t.Errorf("%s is %v", kind, v)
		return
	}
	properties := sarifProperties[kind]
	for _, name := range properties.required {
		if object[name] == nil {
			t.Errorf("%s without %s: %v", kind, name, object)
		}
	}
	ids := map[any]bool{}
	for name, value := range object {
		if !slices.Contains(properties.required, name) && !slices.Contains(properties.allowed, name) {
			t.Errorf("%s has no property %s", kind, name)
		}
		switch name {
		case "startLine", "startColumn", "endLine", "endColumn":
			if n, ok := value.(float64); !ok || n < 1 {
				t.Errorf("%s is %v", name, value)
			}
		case "level":
			if !slices.Contains([]any{"none", "note", "warning", "error"}, value) {
				t.Errorf("level %v", value)
			}
		case "uri":
			if u, err := url.Parse(value.(string)); err != nil || value == "" || strings.ContainsAny(value.(string), " \x00") {
				t.Errorf("uri %q: %v, %v", value, u, err)
			}
		case "relatedLocations":
			for _, l := range value.([]any) {
				id := l.(map[string]any)["id"]
				if ids[id] {
					t.Errorf("two related locations have the id %v", id)
				}
				ids[id] = true
			}
		}
		if child := sarifChildren[name]; child != "" {
			checkSARIF(t, child, value)
		}
	}
}

func TestSARIFOfRealFindingsMatchesItsSchema(t *testing.T) {
	bad, err := filepath.Glob("../../../golden/bad/*")
	if err != nil || len(bad) < 40 {
		t.Fatalf("%d bad policies, %v", len(bad), err)
	}
	for _, dir := range append(bad, "no such policy") {
		if testing.Short() && filepath.Base(dir) == "budget" {
			t.Log("-short: without golden/bad/budget, which takes longest")
			continue
		}
		result, diags := driver.Policy(dir, driver.Options{})
		var out bytes.Buffer
		if err := WriteSARIF(&out, diags, result.Sources); err != nil {
			t.Fatal(err)
		}
		var log any
		if err := json.Unmarshal(out.Bytes(), &log); err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(dir), func(t *testing.T) { checkSARIF(t, "sarifLog", log) })
	}
}

// No format may refer to a file that does not exist.
func TestValuesOfTheCommandLineHaveNoFile(t *testing.T) {
	const policy = "host {\n  external_interfaces = [\"eth0\"]\n}\nvariable \"x\" {\n  type = list(string)\n  validation {\n    condition = length(var.x) > 0\n    error_message = \"Name one.\"\n  }\n}\naccept \"a\" {\n  source = var.x\n}\n"
	file := filepath.Join(t.TempDir(), "p.hcl")
	if err := os.WriteFile(file, []byte(policy), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"x=7", "x=[", "x=[]", `x=["192.0.2.1/24"]`, `x=["a","a"]`, "y=1", "x=", "x=abs(1)", `x=[null]`} {
		for _, fromEnvironment := range []bool{false, true} {
			opts := driver.Options{}
			if name, v, _ := strings.Cut(value, "="); fromEnvironment {
				opts.Inputs.Environment = []string{"DOCKERFW_VAR_" + value}
			} else {
				opts.Inputs.Command = append(opts.Inputs.Command, parser.Input{Name: name, Value: v})
			}
			result, diags := driver.Policy(file, opts)
			if !diags.HasErrors() {
				t.Fatalf("%s: nothing is wrong", value)
			}
			for format, write := range map[string]func(io.Writer, hcl.Diagnostics, map[string][]byte) error{
				"json": WriteJSON, "sarif": WriteSARIF, "github": WriteGitHub, "gitlab": WriteGitLab,
			} {
				var out bytes.Buffer
				if err := write(&out, diags, result.Sources); err != nil {
					t.Fatal(err)
				}
				for _, m := range regexp.MustCompile(`(?:"(?:file|uri|path)": "|file=)([^",]*)`).FindAllStringSubmatch(out.String(), -1) {
					if strings.TrimPrefix(m[1], "file://") != file {
						t.Errorf("%s as %s refers to the file %q:\n%s", value, format, m[1], out.String())
					}
				}
				if !strings.Contains(out.String(), "--var ") && !strings.Contains(out.String(), "DOCKERFW_VAR_x") {
					t.Errorf("%s as %s does not have its origin:\n%s", value, format, out.String())
				}
				if strings.Contains(out.String(), "\x00") || strings.Contains(out.String(), `\u0000`) {
					t.Errorf("%s as %s: NUL", value, format)
				}
			}
		}
	}
}
