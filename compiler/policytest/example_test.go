package policytest_test

import (
	"fmt"
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
	results, err := policytest.Run(result.Hosts[0].Policy, nil)
	if err != nil {
		panic(err)
	}
	for _, r := range results {
		fmt.Printf("%s: %s by %s, passed: %t\n", r.Test.Name.Value, r.Got, r.By, r.Passed())
	}
	// Output:
	// everyone reaches https: accept by accept.https, passed: true
	// other clients do not reach postgres: drop by default, passed: true
}
