// Package sealed lists the types of a sealed sum type for tests, which must handle all of
// them: they cannot be listed at run time in Go.
//
// In: the directory of a package, and the method that seals the interface. Out: the names of
// the types. It reads only the source.
package sealed

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Types returns the names of the types of the package in dir that have a method, which is
// the one that seals their interface. Test files do not count.
func Types(t testing.TB, dir, method string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name == method {
				out = append(out, fmt.Sprint(f.Recv.List[0].Type))
			}
		}
	}
	if len(out) < 2 {
		t.Fatalf("%d types in %s have the method %s", len(out), dir, method)
	}
	slices.Sort(out)
	return out
}
