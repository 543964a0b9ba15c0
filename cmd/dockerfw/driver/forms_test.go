package driver

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/emit/folder"
)

// The error about a list in another format has an expression that reads the addresses from
// it. The test replaces files by that expression and compiles again.
func TestExpressionsInErrorsReadOtherFormatsOfLists(t *testing.T) {
	addresses := []string{"192.0.2.0/24", "198.51.100.7"}
	for _, c := range []struct {
		name, file, text string
		summary          string
		want             []string
	}{
		{"CSV with names", "l.csv", "country,network\nDE,192.0.2.0/24\nFR,198.51.100.7\n", "CSV instead of a list", addresses},
		{"CSV with quotes and CR LF", "l.csv", "\ufeff\"network\",\"name\"\r\n\"192.0.2.0/24\",\"a, b\"\r\n\"198.51.100.7\",\"c\"\r\n", "CSV instead of a list", addresses},
		{"CSV with names that are not identifiers", "l.csv", "IP Address,Note ${x}\n192.0.2.0/24,a\n198.51.100.7,b\n", "CSV instead of a list", addresses},
		{"CSV without names", "l.csv", "192.0.2.0/24,DE\n198.51.100.7,FR\n", "CSV instead of a list", addresses},
		{"CSV with comments before", "l.csv", "# from example.org\n\nnetwork,name\n192.0.2.0/24,a\n198.51.100.7,b\n", "CSV instead of a list", addresses},
		{"CSV without names, with comments before", "l.csv", "; from example.org\n192.0.2.0/24,a\n198.51.100.7,b\n", "CSV instead of a list", addresses},
		{"CSV with ranges", "l.csv", "start_ip,end_ip,country\n192.0.2.0,192.0.2.255,DE\n198.51.100.7,198.51.100.7,FR\n", "CSV instead of a list", addresses},
		{"CSV with ranges, without names", "l.csv", "\"192.0.2.0\",\"192.0.2.255\",\"DE\"\n\"198.51.100.7\",\"198.51.100.7\",\"FR\"\n", "CSV instead of a list", addresses},
		{"CSV with ;", "l.csv", "network;country\n192.0.2.0/24;DE\n198.51.100.7;FR\n", "CSV with ; instead of a list", addresses},
		{"tabs", "l.tsv", "192.0.2.0/24\tDE\n198.51.100.7\tFR\n", "table with tabs instead of a list", addresses},
		{"tabs with names and comments", "l.tsv", "# x\n# y\nnet\tcountry\n192.0.2.0/24\tDE\n198.51.100.7\tFR\n", "table with tabs instead of a list", addresses},
		{"a table of a regional registry", "l.txt", "ripencc|DE|ipv4|192.0.2.0/24|256\nripencc|FR|ipv4|198.51.100.7|1\n", "table with | instead of a list", addresses},
		{"an object with a list", "l.json", `{"office": ["192.0.2.0/24", "198.51.100.7"]}`, "JSON object instead of an array", addresses},
		{"an object with objects", "a b.json", `{"createDate": "x", "prefixes": [{"ip_prefix": "192.0.2.0/24", "region": "x"}, {"ip_prefix": "198.51.100.7"}]}`, "JSON object instead of an array", addresses},
		{"objects with one key or another", "l.json", `{"prefixes": [{"ipv4Prefix": "192.0.2.0/24"}, {"ipv6Prefix": "2001:db8::/32"}, {"ipv4Prefix": "198.51.100.7"}]}`, "JSON object instead of an array", []string{"192.0.2.0/24", "198.51.100.7", "2001:db8::/32"}},
		{"lists in objects in a list", "l.json", `{"values": [{"props": {"address-prefixes": ["192.0.2.0/24"]}}, {"props": {"address-prefixes": ["198.51.100.7"]}}]}`, "JSON object instead of an array", addresses},
		{"objects by name", "l.json", `{"a": {"ip": "192.0.2.0/24"}, "b": {"ip": "198.51.100.7"}, "c": {"ip": "198.51.100.8"}, "d": {"ip": "198.51.100.9"}}`, "JSON object instead of an array", append(slices.Clone(addresses), "198.51.100.8/31")},
		{"an array of objects", "l.json", `[{"ip": "192.0.2.0/24"}, {"ip": "198.51.100.7"}]`, "JSON array of objects", addresses},
		{"lists with other values", "l.json", `{"ips": ["192.0.2.0/24", "office", "198.51.100.7"]}`, "JSON object instead of an array", addresses},
		{"JSON lines", "l.jsonl", "{\"ip\": \"192.0.2.0/24\"}\n{\"ip\": \"198.51.100.7\"}\n", "JSON lines instead of a list", addresses},
		{"JSON lines of several kinds", "l.jsonl", "{\"src\": {\"ip\": \"192.0.2.0/24\"}}\r\n{\"x\": 1}\r\n{\"src\": {\"ip\": \"198.51.100.7\"}}\r\n", "JSON lines instead of a list", addresses},
		{"JSON lines with lists", "l.jsonl", "{\"ips\": [\"192.0.2.0/24\"]}\n{\"ips\": [\"198.51.100.7\"]}\n", "JSON lines instead of a list", addresses},
		{"YAML", "l.yaml", "# x\n- 192.0.2.0/24 # a\n- \"198.51.100.7\"\n", "YAML instead of a list", addresses},
		{"YAML with a key", "l.yaml", "office-nets:\n  - 192.0.2.0/24\n  - 198.51.100.7\n", "YAML instead of a list", addresses},
		{"ipset save", "sets", "create a hash:net family inet\nadd a 192.0.2.0/24\nadd a 198.51.100.7 comment \"x\"\n", "output of ipset save instead of a list", addresses},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			policy := func(attribute string) string {
				path := filepath.Join(dir, "policy.hcl")
				text := "host {\n  external_interfaces = [\"eth0\"]\n}\nipset \"a\" {\n  " + attribute + "\n}\ndefault {\n  allow = [ipset.a]\n}\n"
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
				return path
			}
			if err := os.MkdirAll(filepath.Join(dir, "lists"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "lists", c.file), []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			_, diags := Policy(policy(`files = ["lists/`+c.file+`"]`), Options{})
			if len(diags) != 1 || diags[0].Summary != c.summary {
				t.Fatal(diags)
			}
			_, expression, ok := strings.Cut(diags[0].Detail, "\n\n  ")
			if !ok || !strings.Contains(expression, `file("lists/`+c.file+`")`) {
				t.Fatal(diags[0].Detail)
			}
			result, diags := Policy(policy(expression), Options{})
			if diags.HasErrors() {
				t.Fatalf("%s: %v", expression, diags)
			}
			if d := cmp.Diff(c.want, entries(result.Hosts[0].Files)); d != "" {
				t.Errorf("%s: %s", expression, d)
			}
		})
	}
}

// entries returns the elements of all sets.
func entries(files []folder.File) []string {
	var out []string
	for _, f := range files {
		if f.Name != folder.SetsFile {
			continue
		}
		for line := range strings.SplitSeq(string(f.Content), "\n") {
			if words := strings.Fields(line); len(words) > 2 && words[0] == "add" {
				out = append(out, words[2])
			}
		}
	}
	return out
}
