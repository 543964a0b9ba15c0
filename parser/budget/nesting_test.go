package budget_test

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"

	"github.com/dockerfw/dockerfw/parser/budget"
)

// shapes are all forms of nesting in native syntax: what opens a level, what is innermost,
// and what closes a level.
var shapes = map[string][3]string{
	"parentheses":       {"(", "1", ")"},
	"tuples":            {"[", "1", "]"},
	"objects":           {"{a=", "1", "}"},
	"quoted templates":  {`"${`, "1", `}"`},
	"heredocs":          {"<<A\n${", "1", "}\nA\n"},
	"calls":             {"abs(", "1", ")"},
	"for tuples":        {"[for x in ", "y", ":x]"},
	"for objects":       {"{for x in ", "y", ":x=>x}"},
	"for values":        {"[for x in y:", "1", "]"},
	"broken for":        {"{for x in y:x=>1\n+", "1", "}"},
	"indices":           {"x[", "0", "]"},
	"chains of indices": {"", "x", "[y]"},
	"splats":            {"", "x", "[*]"},
	"attribute splats":  {"", "x", ".*.a"},
	"negations":         {"-", "1", ""},
	"nots":              {"!", "a", ""},
	"conditions":        {"a?b:", "c", ""},
	"inner conditions":  {"a?", "c", ":b"},
	"left operands":     {"", "1", "+1"},
	"right operands":    {"1+(", "1", ")"},
	"logical operands":  {"", "a", "||b"},
	"if directives":     {`"%{if a}${`, "1", `}%{endif}"`},
	"open directives":   {"", `"` + strings.Repeat("%{if a}%{endfor}", 600) + `"`, ""},
}

func written(shape [3]string, depth int) string {
	return strings.Repeat(shape[0], depth) + shape[1] + strings.Repeat(shape[2], depth)
}

func TestDeepNativeSyntaxIsRefusedAndShallowIsNot(t *testing.T) {
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			for _, depth := range []int{2 * budget.MaxDepth, 20_000} {
				src := []byte("a = " + written(shape, depth) + "\n")
				d := config(src, "x.hcl")
				if d == nil {
					t.Fatalf("%d levels are taken", depth)
				}
				if !d.Subject.CanSliceBytes(src) || d.Subject.Start.Line > 2*depth {
					t.Errorf("the place %s is not in the text", d.Subject)
				}
			}
			if name == "open directives" {
				return
			}
			if d := config([]byte("a = "+written(shape, budget.MaxDepth/4)+"\n"), "x.hcl"); d != nil {
				t.Errorf("a quarter of the depth: %s", d.Error())
			}
		})
	}
}

func TestTheDepthIsExact(t *testing.T) {
	for _, c := range []struct {
		depth int
		taken bool
	}{{budget.MaxDepth, true}, {budget.MaxDepth + 1, false}} {
		for _, shape := range []string{"parentheses", "tuples", "negations", "left operands"} {
			src := "a = " + written(shapes[shape], c.depth) + "\n"
			if got := config([]byte(src), "x.hcl") == nil; got != c.taken {
				t.Errorf("%s, %d deep: taken %t, want %t", shape, c.depth, got, c.taken)
			}
		}
		src := strings.Repeat(`{"a":`, c.depth) + "1" + strings.Repeat("}", c.depth)
		if got := budget.JSON([]byte(src), "x.hcl.json") == nil; got != c.taken {
			t.Errorf("JSON, %d deep: taken %t, want %t", c.depth, got, c.taken)
		}
	}
}

func TestNestedBlocksAreRefused(t *testing.T) {
	src := strings.Repeat("a {\n", 20_000)
	d := config([]byte(src), "x.hcl")
	if d == nil || d.Subject.Start.Line != budget.MaxDepth+1 || d.Subject.Start.Column != 3 {
		t.Fatalf("got %v, want an error at the brace one level too deep", d)
	}
}

func TestManyItemsSideBySideAreAccepted(t *testing.T) {
	many := func(s string) string { return strings.Repeat(s, 20*budget.MaxDepth) }
	for name, src := range map[string]string{
		"elements":            "a = [" + many("-1, ") + "]",
		"lines of an object":  "a = {\n" + many("b = -1\n") + "}",
		"calls":               "a = [" + many("f(-x[1]), ") + "]",
		"parts of a template": `a = "` + many("${b}%{if a}x%{else}y%{endif} ") + `"`,
		"heredoc":             "a = <<A\n" + many("%{for x in y}${x}\n%{endfor}") + "\nA\n",
		"blocks":              many("a {\n b = -1\n}\n"),
		"brackets in strings": `a = "` + many("[({") + `"`,
		"brackets in comment": "# " + many("[({") + "\n",
	} {
		if d := config([]byte(src+"\n"), "x.hcl"); d != nil {
			t.Errorf("%s: %s", name, d.Error())
		}
	}
	if d := budget.JSON([]byte(`{"a":[`+many(`{"b":"[[((","c":[-1]},`)+`1]}`), "x"); d != nil {
		t.Errorf("JSON: %s", d.Error())
	}
}

func TestDeepJSONIsRefused(t *testing.T) {
	const deep = 20_000
	for name, c := range map[string]struct {
		src    string
		column int
	}{
		"arrays":          {strings.Repeat("[", deep), budget.MaxDepth + 1},
		"objects":         {strings.Repeat(`{"é":`, deep), 5*budget.MaxDepth + 1},
		"mixed":           {strings.Repeat(`[}{]`, deep), 2*budget.MaxDepth + 1},
		"a template":      {`{"é": "${` + strings.Repeat("(", deep) + `"}`, 8 + 2 + budget.MaxDepth - 2},
		"quotes in one":   {`{"a": "` + strings.Repeat(`${\"`, deep) + `"}`, 0},
		"a key":           {`{"` + strings.Repeat(`${\"`, deep) + `": 1}`, 0},
		"a type":          {`{"variable": {"a": {"type": "` + strings.Repeat("list(", deep) + `"}}}`, 0},
		"unclosed string": {`{"a": "` + strings.Repeat("${(", deep), -1},
		"number":          {`{"a": ` + strings.Repeat("1", budget.MaxNumber+1), 7},
	} {
		d := budget.JSON([]byte(c.src), "x.hcl.json")
		switch {
		case c.column < 0:
			if d != nil {
				t.Errorf("%s: %s, and the parser finds the fault", name, d.Error())
			}
		case d == nil:
			t.Errorf("%s: taken", name)
		case c.column > 0 && d.Subject.Start.Column != c.column:
			t.Errorf("%s: column %d, want %d", name, d.Subject.Start.Column, c.column)
		}
	}
}

func TestNumbersAreBounded(t *testing.T) {
	for src, taken := range map[string]bool{
		"a = " + strings.Repeat("1", budget.MaxNumber):   true,
		"a = " + strings.Repeat("1", budget.MaxNumber+1): false,
	} {
		if got := config([]byte(src+"\n"), "x.hcl") == nil; got != taken {
			t.Errorf("%.40s: taken %t, want %t", src, got, taken)
		}
	}
}

// height is the depth of an expression or body in the syntax tree.
type height struct{ now, worst int }

func (h *height) Enter(hclsyntax.Node) hcl.Diagnostics {
	h.now++
	h.worst = max(h.worst, h.now)
	return nil
}

func (h *height) Exit(hclsyntax.Node) hcl.Diagnostics { h.now--; return nil }

// nodesALevel is the most nodes of the syntax tree for one level: an attribute, a template,
// its join, the scope of a for, a key.
const nodesALevel = 8

// FuzzNative compares the scan with the parser: the syntax tree of accepted input is no
// deeper than the bound, with or without errors.
func FuzzNative(f *testing.F) {
	for _, shape := range shapes {
		f.Add("a = "+written(shape, 3)+"\n", uint16(1))
		f.Add(shape[0], uint16(3000))
		f.Add(shape[2], uint16(3000))
		f.Add(shape[0]+"("+shape[2], uint16(1500))
	}
	f.Add("a {\n", uint16(3000))
	f.Fuzz(func(t *testing.T, src string, times uint16) {
		if len(src)*int(times) > 1<<16 {
			return
		}
		for _, text := range []string{strings.Repeat(src, int(times)), "a = " + strings.Repeat(src, int(times)) + "\n"} {
			if config([]byte(text), "x.hcl") == nil {
				file, _ := hclsyntax.ParseConfig([]byte(text), "x.hcl", hcl.InitialPos)
				if body, ok := file.Body.(*hclsyntax.Body); ok {
					shallow(t, body)
				}
			}
			if budget.Template([]byte(text), "x.hcl", hcl.InitialPos) == nil {
				expr, _ := hclsyntax.ParseTemplate([]byte(text), "x.hcl", hcl.InitialPos)
				shallow(t, expr)
			}
		}
	})
}

func shallow(t *testing.T, node hclsyntax.Node) {
	t.Helper()
	if node == nil {
		return
	}
	h := &height{}
	_ = hclsyntax.Walk(node, h)
	if h.worst > nodesALevel*(budget.MaxDepth+2) {
		t.Errorf("taken, and parsed %d nodes deep", h.worst)
	}
}

// FuzzJSON compares the scan of JSON with the parser: the nesting of accepted input, and of
// the templates in it, is within the bound.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`[`, `{"a":`, `{"a":"${`, `"\"`, `[}`, `{"a":["x${1}"]},`, "\"\x01[", `{"type":"list(`} {
		f.Add(s, uint16(1), "")
		f.Add(s, uint16(2000), "")
	}
	f.Add("[", uint16(3), "1]]]")
	f.Fuzz(func(t *testing.T, src string, times uint16, tail string) {
		if len(src)*int(times) > 1<<16 {
			return
		}
		text := []byte(`{"a":` + strings.Repeat(src, int(times)) + tail + `}`)
		if budget.JSON(text, "x.json") != nil {
			return
		}
		file, diags := hcljson.Parse(text, "x.json")
		if diags.HasErrors() {
			return
		}
		attrs, _ := file.Body.JustAttributes()
		for _, a := range attrs {
			if d := deepest(a.Expr); d > budget.MaxDepth {
				t.Errorf("taken, and parsed %d deep", d)
			}
			_ = a.Expr.Variables()
		}
	})
}

func deepest(e hcl.Expression) int {
	worst := 0
	if list, diags := hcl.ExprList(e); !diags.HasErrors() {
		for _, inner := range list {
			worst = max(worst, 1+deepest(inner))
		}
	}
	if pairs, diags := hcl.ExprMap(e); !diags.HasErrors() {
		for _, pair := range pairs {
			worst = max(worst, 1+deepest(pair.Value))
		}
	}
	return worst
}

// config is budget.Config without where the file can be cut.
func config(src []byte, name string) *hcl.Diagnostic {
	_, tooMuch := budget.Config(src, name, len(src))
	return tooMuch
}
