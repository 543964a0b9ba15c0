package golden

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// module is the path of this module.
const module = "github.com/dockerfw/dockerfw/"

// layers are the folders of the program from the lowest to the highest. A package imports
// only packages of its own layer and of lower ones.
var layers = []string{"parser", "compiler", "emit", "cmd"}

// imports are the packages of the module that each package may import; tests may import
// more. An edge that is not here is a decision: see docs/contributing/architecture.md.
var imports = map[string]string{
	"cmd/dockerfw":              "cmd/dockerfw/apply cmd/dockerfw/compose cmd/dockerfw/diff cmd/dockerfw/driver cmd/dockerfw/environment cmd/dockerfw/explain cmd/dockerfw/facts cmd/dockerfw/findings cmd/dockerfw/handmade cmd/dockerfw/imported cmd/dockerfw/lsp cmd/dockerfw/manual cmd/dockerfw/network cmd/dockerfw/outcome cmd/dockerfw/published cmd/dockerfw/report cmd/dockerfw/shell cmd/dockerfw/snapshot cmd/dockerfw/starter cmd/dockerfw/status cmd/dockerfw/summary cmd/dockerfw/testreport cmd/dockerfw/verify cmd/dockerfw/words compiler/ir compiler/policytest emit/folder parser parser/addrlist parser/diag parser/escape parser/files parser/suggest",
	"cmd/dockerfw/apply":        "cmd/dockerfw/cut cmd/dockerfw/facts cmd/dockerfw/hosttool cmd/dockerfw/plan cmd/dockerfw/shell cmd/dockerfw/snapshot cmd/dockerfw/store compiler/ir emit/folder parser/iptables",
	"cmd/dockerfw/compose":      "cmd/dockerfw/published cmd/dockerfw/words parser/diag parser/files",
	"cmd/dockerfw/cut":          "cmd/dockerfw/identity cmd/dockerfw/snapshot cmd/dockerfw/words compiler/ir compiler/packet parser/escape",
	"cmd/dockerfw/diff":         "cmd/dockerfw/facts cmd/dockerfw/identity cmd/dockerfw/snapshot cmd/dockerfw/words compiler/ir compiler/packet parser/escape parser/diag parser/iptables",
	"cmd/dockerfw/driver":       "compiler compiler/ir compiler/lint compiler/packet compiler/packet/netfilter compiler/policytest compiler/proof compiler/semantics emit emit/folder emit/iptables emit/nftables parser parser/diag parser/files parser/nft parser/suggest",
	"cmd/dockerfw/environment":  "",
	"cmd/dockerfw/explain":      "cmd/dockerfw/facts cmd/dockerfw/identity cmd/dockerfw/snapshot cmd/dockerfw/words compiler/ir compiler/packet compiler/question parser parser/escape parser/iptables",
	"cmd/dockerfw/facts":        "cmd/dockerfw/identity cmd/dockerfw/network cmd/dockerfw/snapshot cmd/dockerfw/words compiler/ir parser/escape parser/iptables parser/suggest",
	"cmd/dockerfw/findings":     "cmd/dockerfw/driver parser/diag parser/escape",
	"cmd/dockerfw/handmade":     "compiler/ir parser/diag parser/files parser/iptables parser/saved",
	"cmd/dockerfw/hosttool":     "",
	"cmd/dockerfw/identity":     "compiler/ir parser/iptables",
	"cmd/dockerfw/imported":     "cmd/dockerfw/diff cmd/dockerfw/driver cmd/dockerfw/handmade cmd/dockerfw/snapshot cmd/dockerfw/words compiler/ir compiler/packet compiler/packet/netfilter parser parser/escape parser/files parser/iptables",
	"cmd/dockerfw/lsp":          "cmd/dockerfw/driver compiler/ir emit/folder emit/iptables emit/nftables parser parser/diag parser/files",
	"cmd/dockerfw/manual":       "",
	"cmd/dockerfw/network":      "compiler/ir",
	"cmd/dockerfw/outcome":      "cmd/dockerfw/apply cmd/dockerfw/cut cmd/dockerfw/diff cmd/dockerfw/facts cmd/dockerfw/plan cmd/dockerfw/shell cmd/dockerfw/snapshot cmd/dockerfw/store cmd/dockerfw/verify cmd/dockerfw/words compiler/ir parser/escape",
	"cmd/dockerfw/plan":         "cmd/dockerfw/identity compiler/ir compiler/packet compiler/packet/netfilter parser/iptables",
	"cmd/dockerfw/published":    "cmd/dockerfw/identity cmd/dockerfw/shell cmd/dockerfw/snapshot cmd/dockerfw/words compiler/ir compiler/packet compiler/question parser/diag",
	"cmd/dockerfw/remote":       "",
	"cmd/dockerfw/report":       "cmd/dockerfw/diff cmd/dockerfw/identity cmd/dockerfw/published cmd/dockerfw/snapshot cmd/dockerfw/words compiler/ir compiler/packet parser/escape parser/iptables",
	"cmd/dockerfw/revision":     "cmd/dockerfw/shell parser/files parser/suggest",
	"cmd/dockerfw/shell":        "",
	"cmd/dockerfw/snapshot":     "cmd/dockerfw/driver cmd/dockerfw/identity cmd/dockerfw/network cmd/dockerfw/plan cmd/dockerfw/remote cmd/dockerfw/revision cmd/dockerfw/words compiler/ir compiler/packet compiler/packet/netfilter emit/folder emit/iptables emit/nftables parser/diag parser/files parser/iptables parser/nft parser/saved parser/suggest",
	"cmd/dockerfw/starter":      "cmd/dockerfw/published cmd/dockerfw/words compiler parser parser/addrlist parser/escape",
	"cmd/dockerfw/status":       "cmd/dockerfw/apply cmd/dockerfw/facts cmd/dockerfw/hosttool cmd/dockerfw/identity cmd/dockerfw/outcome cmd/dockerfw/plan cmd/dockerfw/shell cmd/dockerfw/snapshot cmd/dockerfw/store cmd/dockerfw/verify cmd/dockerfw/words compiler/ir emit/folder parser/escape parser/iptables",
	"cmd/dockerfw/store":        "cmd/dockerfw/shell emit/folder parser/files",
	"cmd/dockerfw/summary":      "cmd/dockerfw/driver cmd/dockerfw/shell cmd/dockerfw/words compiler/ir emit/folder emit/iptables emit/nftables parser/escape",
	"cmd/dockerfw/testreport":   "cmd/dockerfw/words compiler/policytest parser parser/escape",
	"cmd/dockerfw/verify":       "cmd/dockerfw/facts cmd/dockerfw/identity cmd/dockerfw/plan cmd/dockerfw/published cmd/dockerfw/snapshot cmd/dockerfw/words compiler/ir compiler/packet emit/folder parser/escape parser/files parser/iptables parser/nft",
	"cmd/dockerfw/words":        "compiler/ir compiler/packet compiler/question",
	"cmd/release":               "cmd/dockerfw/apply cmd/dockerfw/driver",
	"compiler":                  "compiler/ir parser parser/addrlist parser/budget parser/diag parser/files",
	"compiler/ir":               "parser/addrlist",
	"compiler/lint":             "compiler/ir compiler/packet compiler/semantics parser parser/diag",
	"compiler/packet":           "compiler/ir parser/addrlist",
	"compiler/packet/netfilter": "compiler/ir compiler/packet parser/iptables parser/nft",
	"compiler/policytest":       "compiler/ir compiler/packet compiler/question compiler/semantics parser parser/diag",
	"compiler/proof":            "compiler/ir compiler/packet compiler/packet/netfilter compiler/semantics parser parser/iptables parser/nft",
	"compiler/question":         "compiler/ir compiler/packet",
	"compiler/semantics":        "compiler/ir compiler/packet parser parser/addrlist",
	"emit":                      "compiler/ir emit/folder emit/iptables emit/nftables parser/escape",
	"emit/folder":               "parser/files",
	"emit/iptables":             "compiler/ir parser/addrlist parser/budget parser/diag parser/iptables",
	"emit/nftables":             "compiler/ir parser/budget parser/diag parser/nft",
	"parser":                    "parser/addrlist parser/budget parser/diag parser/files parser/nft parser/suggest",
	"parser/addrlist":           "parser/diag",
	"parser/budget":             "parser/diag",
	"parser/diag":               "parser/escape",
	"parser/escape":             "",
	"parser/escape/escapetest":  "",
	"parser/files":              "",
	"parser/iptables":           "parser/addrlist parser/diag",
	"parser/nft":                "parser/diag",
	"parser/saved":              "parser/diag parser/iptables",
	"parser/suggest":            "",
}

// TestPackagesImportOnlyWhatTheyMay compares the imports of the program with those that are
// allowed.
func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		pkg := strings.TrimPrefix(words[0], module)
		layer := layerOf(pkg)
		if layer < 0 {
			continue // the laboratory of the tests
		}
		found[pkg] = true
		may, known := imports[pkg]
		if !known {
			t.Errorf("package %s is not in the table of imports", pkg)
			continue
		}
		allowed := strings.Fields(may)
		for _, w := range words[1:] {
			other, own := strings.CutPrefix(w, module)
			switch {
			case !own:
			case layerOf(other) < 0 || layerOf(other) > layer:
				t.Errorf("%s imports %s, which is above it", pkg, other)
			case !slices.Contains(allowed, other):
				t.Errorf("%s imports %s, which it may not", pkg, other)
			default:
				allowed = slices.DeleteFunc(allowed, func(a string) bool { return a == other })
			}
		}
		for _, unused := range allowed {
			t.Errorf("%s may import %s, and does not: remove it from the table", pkg, unused)
		}
	}
	for pkg := range imports {
		if !found[pkg] {
			t.Errorf("package %s is in the table of imports, and does not exist", pkg)
		}
	}
}

// layerOf returns the number of the layer that a package is in, -1 for none.
func layerOf(pkg string) int {
	first, _, _ := strings.Cut(pkg, "/")
	return slices.Index(layers, first)
}
