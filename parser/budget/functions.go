package budget

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

var (
	tooMany      = fmt.Sprintf("A value may have at most %s elements. Put long lists of addresses into files, and list those in the files of an ipset.", grouped(MaxElements))
	tooLong      = fmt.Sprintf("A value may have at most %d MiB of text.", MaxBytes>>20)
	tooDeepValue = fmt.Sprintf("A value may be nested at most %d levels deep.", MaxDepth)
)

// MaxAliases and MaxYAML bound the input of yamldecode: with aliases of aliases a few lines
// expand to any amount.
const (
	MaxAliases = 16
	MaxYAML    = 4 << 20
)

// Functions returns fns with the cost of their arguments and results counted in w. A
// function whose result would be too large is not called.
func (w *Work) Functions(fns map[string]function.Function) map[string]function.Function {
	out := make(map[string]function.Function, len(fns))
	for name, fn := range fns {
		out[name] = w.limited(fn, results[name])
	}
	return out
}

// limited wraps a function. It is not called if check returns a reason.
func (w *Work) limited(fn function.Function, check func([]cty.Value) string) function.Function {
	before := func(args []cty.Value) (err error) {
		for _, a := range args {
			if !a.IsWhollyKnown() {
				return nil
			}
		}
		if check != nil {
			if why := check(args); why != "" {
				return errors.New(why)
			}
		}
		return w.afford(args...)
	}
	return function.New(&function.Spec{
		Description: fn.Description(),
		Params:      fn.Params(),
		VarParam:    fn.VarParam(),
		Type: func(args []cty.Value) (cty.Type, error) {
			if err := before(args); err != nil {
				return cty.NilType, err
			}
			return fn.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v, err := fn.Call(args)
			if err != nil {
				return v, err
			}
			return v, w.afford(v)
		},
	})
}

// afford counts the cost of values. Errors are at the expression that Value evaluates.
func (w *Work) afford(values ...cty.Value) error {
	for _, v := range values {
		s := size{}
		if why := s.add(v, 0); why != "" {
			return errors.New(lower(why))
		}
		if w.steps += s.steps(); w.steps > MaxSteps {
			return fmt.Errorf("the expressions of a host may take at most %s steps", grouped(MaxSteps))
		}
	}
	return nil
}

func lower(s string) string { return strings.ToLower(s[:1]) + strings.TrimSuffix(s[1:], ".") }

// results are checks of functions whose results may be much larger than their arguments:
// they return why the result would be too large, or "".
var results = map[string]func(args []cty.Value) string{
	"setproduct": func(args []cty.Value) string {
		n := 1
		for _, a := range args {
			if a.CanIterateElements() {
				n *= max(a.LengthInt(), 0)
			}
			if n*len(args) > MaxElements {
				return lower(tooMany)
			}
		}
		return ""
	},
	"indent": func(args []cty.Value) string {
		spaces, _ := args[0].AsBigFloat().Int64()
		return textOf(int(min(spaces, MaxBytes+1)), strings.Count(args[1].AsString(), "\n"))
	},
	"join": func(args []cty.Value) string {
		n := 0
		for _, a := range args[1:] {
			n += a.LengthInt()
		}
		return textOf(len(args[0].AsString()), n)
	},
	"replace": func(args []cty.Value) string {
		return textOf(len(args[2].AsString()), strings.Count(args[0].AsString(), args[1].AsString()))
	},
	"regexreplace": func(args []cty.Value) string {
		text, by := args[0].AsString(), args[2].AsString()
		matches := 0
		if re, err := regexp.Compile(args[1].AsString()); err == nil && (len(text)+1)*len(by) > MaxBytes {
			matches = len(re.FindAllStringIndex(text, MaxElements+1))
		}
		if why := textOf(len(by), matches); why != "" {
			return why
		}
		return textOf(len(text), strings.Count(by, "$"))
	},
	"regexall": func(args []cty.Value) string {
		re, err := regexp.Compile(args[0].AsString())
		if err != nil {
			return ""
		}
		if n := len(re.FindAllStringIndex(args[1].AsString(), MaxElements+1)); n*(re.NumSubexp()+1) > MaxElements {
			return lower(tooMany)
		}
		return ""
	},
	"format":     formatted,
	"formatlist": formatted,
	"split": func(args []cty.Value) string {
		if strings.Count(args[1].AsString(), args[0].AsString()) >= MaxElements {
			return lower(tooMany)
		}
		return ""
	},
	"csvdecode": func(args []cty.Value) string {
		if text := args[0].AsString(); strings.Count(text, ",")+strings.Count(text, "\n") >= MaxElements {
			return lower(tooMany)
		}
		return ""
	},
	"jsondecode": func(args []cty.Value) string {
		if d := jsonText([]byte(args[0].AsString())); d != nil {
			return lower(d.Detail)
		}
		return ""
	},
	"yamldecode": func(args []cty.Value) string { return yamlText(args[0].AsString()) },
	"parseint":   digits,
	"tonumber":   digits,
	"distinct": func(args []cty.Value) string {
		// It compares all pairs.
		if n := args[0].LengthInt(); n > 10_000 {
			return fmt.Sprintf("the list has %d elements, and distinct accepts at most 10000; use toset", n)
		}
		return ""
	},
}

func textOf(length, times int) string {
	if times > 0 && length > MaxBytes/times {
		return lower(tooLong)
	}
	return ""
}

func digits(args []cty.Value) string {
	if a := args[0]; !a.IsNull() && a.Type() == cty.String && len(a.AsString()) > MaxNumber {
		return fmt.Sprintf("the text has %d characters, and a number may have at most %d", len(a.AsString()), MaxNumber)
	}
	return ""
}

// width matches widths and precisions of a format's verbs.
var width = regexp.MustCompile(`%[^a-zA-Z%]*?(\d{5,})`)

func formatted(args []cty.Value) string {
	if args[0].IsNull() {
		return ""
	}
	text := args[0].AsString()
	if m := width.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("a width or precision of %s; the limit is 9999", strconv.QuoteToASCII(m[1]))
	}
	// Several verbs may refer to the same argument.
	s, most := size{}, 1
	for _, a := range args[1:] {
		if why := s.add(a, 0); why != "" {
			return lower(why)
		}
		if !a.IsNull() && a.CanIterateElements() {
			most = max(most, a.LengthInt())
		}
	}
	verbs := strings.Count(text, "%")
	if why := textOf(len(text)+10_000*verbs, most); why != "" && len(text) > 0 && most > 1000 {
		return why
	}
	return textOf(s.bytes, verbs)
}

// jsonText checks JSON that is a value, not a policy.
func jsonText(src []byte) *hcl.Diagnostic {
	elements := 0
	return scanJSON(src, "", func(c byte) *hcl.Diagnostic {
		if c == ',' || c == '[' || c == '{' {
			elements++
		}
		if elements > MaxElements {
			return problem(hcl.Range{}, "", "%s", tooMany)
		}
		return nil
	}, nil)
}

var alias = regexp.MustCompile(`(?m)(?:^|[\s\[{,:?-])\*[^\s,\]}]`)

// yamlText refuses input that the YAML parser would recurse into or expand.
func yamlText(text string) string {
	if len(text) > MaxYAML {
		return fmt.Sprintf("the text has more than %d MiB; use JSON", MaxYAML>>20)
	}
	if n := len(alias.FindAllStringIndex(text, MaxAliases+1)); n > MaxAliases {
		return fmt.Sprintf("the text has more than %d aliases (*NAME)", MaxAliases)
	}
	for line := range strings.SplitSeq(text, "\n") {
		// Each level takes a column at the beginning of a line.
		if len(line)-len(strings.TrimLeft(line, " \t-?:")) > MaxDepth {
			return lower(tooDeepValue)
		}
	}
	// Brackets in quotes count as well, as opening ones.
	if open := strings.Count(text, "[") + strings.Count(text, "{"); open > MaxDepth && nestedFlow(text) > MaxDepth {
		return lower(tooDeepValue)
	}
	return ""
}

// nestedFlow is an upper bound for the nesting of brackets: all opening ones count, and a
// closing one only right after the plain content of an opened one.
func nestedFlow(text string) int {
	depth, worst := 0, 0
	quoted := false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '[', '{':
			depth++
			worst = max(worst, depth)
			quoted = false
		case '"', '\'', '#', '|', '>':
			quoted = true
		case ']', '}':
			if !quoted {
				depth = max(depth-1, 0)
			}
		case '\n':
			quoted = false
		}
	}
	return worst
}
