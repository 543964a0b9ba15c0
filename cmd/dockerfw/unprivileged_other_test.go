//go:build !linux

package main

import "github.com/rogpeppe/go-internal/testscript"

// unprivileged is for scripts that are skipped here.
func unprivileged(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("only on Linux") }
