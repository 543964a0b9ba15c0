package lint_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/compiler/lint"
	"github.com/dockerfw/dockerfw/parser"
)

func ExampleHosts() {
	dir, err := os.MkdirTemp("", "lint-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "policy.hcl")
	policy := `
host {
  external_interfaces = ["eth0"]
}
accept "web" {
  protocol        = "tcp"
  published_ports = ["1-1000"]
}
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
`
	if err := os.WriteFile(path, []byte(policy), 0o600); err != nil {
		panic(err)
	}
	result, diags := driver.Policy(path, driver.Options{})
	if diags.HasErrors() {
		panic(diags)
	}
	for _, d := range lint.Hosts([]*parser.Policy{result.Hosts[0].Policy}, nil) {
		fmt.Printf("line %d: %s\n", d.Subject.Start.Line, d.Summary)
	}
	// Output:
	// line 2: closed for forwarded packets only
	// line 5: published ports open to everyone
	// line 9: accept "https" is unreachable
}
