package policytest_test

import (
	"os"
	"path/filepath"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/compiler/policytest"
)

func ExampleRun() {
	dir, err := os.MkdirTemp("", "policytest-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "policy.hcl")
	policy := `
host {
  external_interfaces = ["eth0"]
}
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
test "everyone reaches https" {
  from    = "192.0.2.99"
  to_port = 443
  expect  = "accept"
  by      = "accept.https"
}
test "other clients do not reach postgres" {
  from    = "192.0.2.99"
  to_port = 5432
  expect  = "refused"
}
`
	if err := os.WriteFile(path, []byte(policy), 0o600); err != nil {
		panic(err)
	}
	result, diags := driver.Policy(path, driver.Options{})
	if diags.HasErrors() {
		panic(diags)
	}
	results := policytest.Run(result.Hosts[0].Policy, nil)
	if err := policytest.WriteText(os.Stdout, results); err != nil {
		panic(err)
	}
	// Output:
	// ok    everyone reaches https
	// ok    other clients do not reach postgres
	// 2 tests: 2 passed, 0 failed
}
