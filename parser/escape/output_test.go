package escape_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// elsewhere are the directories that print nothing for people: this one, tests, those that
// write files for tools or run git, and those that return strings or digests; and those whose
// texts are all dockerfw's own, such as help.
var elsewhere = []string{"../../parser/escape", "../../golden", "../../emit", "../../parser/iptables", "../../cmd/dockerfw/driver", "../../cmd/dockerfw/plan", "../../compiler/packet", "../../cmd/dockerfw/revision", "../../cmd/dockerfw/manual", "../../cmd/release"}

// All output is written by this package, so that it is escaped: no other package writes
// formatted text, and no format is computed.
func TestTheOutputOfCommandsIsEscaped(t *testing.T) {
	files := 0
	err := filepath.WalkDir("../..", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (slices.Contains(elsewhere, filepath.ToSlash(name)) || entry.Name() == "testdata" || len(entry.Name()) > 2 && entry.Name()[0] == '.'):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		files++
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, problem := range unescaped(t, name, source) {
			t.Error(problem)
		}
		return nil
	})
	if err != nil || files < 50 {
		t.Errorf("%d files were read (%v)", files, err)
	}
}

func TestOutputThatIsNotEscapedIsFound(t *testing.T) {
	for _, call := range []string{
		`fmt.Fprintf(w, "%s", s)`, `fmt.Fprintln(w, s)`, `fmt.Fprint(w, s)`, `fmt.Println(s)`, `print(s)`, `println(s)`, `cmd.Println(s)`, `cmd.PrintErrln(s)`,
		`fmt.Fprintln(os.Stdout)`, `io.WriteString(w, s)`, `json.NewEncoder(w).Encode(s)`, `escape.Fprintf(w, escape.Literal(s))`, `io.Copy(w, r)`, `log.Print(s)`, `os.Stderr.WriteString(s)`,
	} {
		source := "package p\nfunc f() {\n" + call + "\n}\n"
		if len(unescaped(t, "p.go", []byte(source))) == 0 {
			t.Errorf("%s is not seen", call)
		}
	}
}

// unescaped finds the calls that write text themselves.
func unescaped(t *testing.T, name string, source []byte) []string {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		text := string(source[files.Position(call.Pos()).Offset:files.Position(call.End()).Offset])
		called := string(source[files.Position(call.Fun.Pos()).Offset:files.Position(call.Fun.End()).Offset])
		bad := slices.Contains([]string{"print", "println", "escape.Literal", "io.Copy", "json.NewEncoder", "xml.NewEncoder"}, called)
		for _, prefix := range []string{"fmt.Fprint", "fmt.Print", "log.", "cmd.Print", "os.Stdout.", "os.Stderr."} {
			bad = bad || strings.HasPrefix(called, prefix)
		}
		// Text in a builder was escaped when it was written there.
		if called == "io.WriteString" {
			last := call.Args[len(call.Args)-1]
			inner, isCall := last.(*ast.CallExpr)
			bad = !isCall || !strings.HasSuffix(string(source[files.Position(inner.Fun.Pos()).Offset:files.Position(inner.Fun.End()).Offset]), ".String")
		}
		if bad {
			out = append(out, files.Position(call.Pos()).String()+": "+text+": write it with package escape")
		}
		return true
	})
	return out
}
