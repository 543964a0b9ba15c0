package compiler_test

import (
	"fmt"
	"time"

	"github.com/dockerfw/dockerfw/compiler"
	"github.com/dockerfw/dockerfw/parser"
)

func ExampleCompile() {
	source, diags := parser.Load("testdata/policy.hcl", parser.Inputs{}, false)
	if diags.HasErrors() {
		panic(diags)
	}
	defer source.Close()
	policy, diags := source.Evaluate("", time.Time{})
	if diags.HasErrors() {
		panic(diags)
	}
	ruleset, diags := compiler.Compile(policy, compiler.NewLists(source.Dir))
	if diags.HasErrors() {
		panic(diags)
	}
	for _, r := range ruleset.Programs[0].Rules {
		fmt.Printf("%-7s  %-21s  %T\n", r.Scope, r.ID().Comment(), r.Verdict)
	}
	// Output:
	// forward  dockerfw established   ir.Accept
	// forward  dockerfw accept https  ir.Accept
	// forward  dockerfw default       ir.Drop
	// input    dockerfw input         ir.Jump
	// proxy    dockerfw established   ir.Return
	// proxy    dockerfw accept https  ir.Return
	// proxy    dockerfw default       ir.Drop
}
