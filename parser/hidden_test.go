package parser

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// Each text is tried in a comment of a policy, in a string of a JSON policy, and in a
// comment of a file of values.
func TestHiddenCharactersAreRefusedInEveryFile(t *testing.T) {
	for text, want := range map[string]string{
		"plain, é 中 👍🏽 \u200d ❤\ufe0f עברית": "",
		"\u202e":       "hidden character U+202E",
		"\u200e":       "hidden character U+200E",
		"\u2069":       "hidden character U+2069",
		"\u009b":       "hidden character U+009B",
		"\u2028":       "hidden character U+2028",
		"\x7f":         "hidden character U+007F",
		"\x9b":         "byte 0x9b is not UTF-8",
		"e\u0301 \xff": "byte 0xff is not UTF-8",
	} {
		for name, files := range map[string][2]string{
			"policy.hcl":      {"# %s\nhost {\n  external_interfaces = [\"eth0\"]\n}\n", ""},
			"policy.hcl.json": {`{"//": "%s", "host": {"external_interfaces": ["eth0"]}}`, ""},
			"values.tfvars":   {"host {\n  external_interfaces = [\"eth0\"]\n}\nvariable \"a\" {}\n", "# %s\na = 1\n"},
		} {
			dir := t.TempDir()
			policy, inputs := filepath.Join(dir, "policy.hcl"), Inputs{}
			if name == "policy.hcl.json" {
				policy = filepath.Join(dir, name)
			}
			write := func(file, format string) {
				if format != "" && file != policy {
					inputs.Command = []Input{{File: file}}
				}
				content := format
				if format == files[0] && files[1] == "" || format == files[1] {
					content = fmt.Sprintf(format, text)
				}
				if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(policy, files[0])
			if files[1] != "" {
				write(filepath.Join(dir, name), files[1])
			}
			source, diags := Load(policy, inputs, false)
			source.Close()
			var got []string
			for _, d := range diags {
				if code := diag.InfoOf(d).Code; code != diag.CodeHidden {
					t.Errorf("%s with %+q: %s: %s", name, text, code, d.Summary)
				}
				got = append(got, d.Summary)
			}
			var all []string
			if want != "" {
				all = []string{want}
			}
			if d := cmp.Diff(all, got); d != "" {
				t.Errorf("%s with %+q (-want +got):\n%s", name, text, d)
			}
		}
	}
}

func TestCarriageReturnsAreHiddenExceptAtTheEndsOfLines(t *testing.T) {
	diags := hiddenCharacters([]byte("\ta\r\nb\rc \x1b\n\u202e\r"), "p.hcl", nil)
	var got []string
	for _, d := range diags {
		got = append(got, fmt.Sprintf("%s %s", d.Subject, d.Summary))
	}
	want := []string{"p.hcl:2,2-3 hidden character U+000D", "p.hcl:3,1-2 hidden character U+202E"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
