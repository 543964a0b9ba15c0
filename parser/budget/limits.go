package budget

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// The budgets. docs/language.md lists them; a test compares the two.
const (
	// MaxDepth bounds how deep an input is nested: brackets, blocks, templates, and
	// operators that apply to the result of others. The parsers and the evaluator
	// recurse once or more a level, and a stack that overflows ends the process:
	// 100,000 levels do (measured), and people write fewer than ten.
	MaxDepth = 500
	// MaxText bounds the bytes of a policy's file and of a file of values. HCL takes
	// up to 130 bytes of memory for each (measured: a file of 50 MB does not fit into 6 GB).
	MaxText = 8 << 20
	// MaxNumber bounds the bytes of a number as written: reading digits takes quadratic
	// time. maxExponent bounds the decimal exponent of a number that becomes text, which
	// has that many digits.
	MaxNumber   = 500
	maxExponent = 500
	// MaxEntries bounds the entries of an address list and the elements of a set. The
	// compiler takes 1.5 kB of memory for each (measured), and the longest lists in use
	// have a few hundred thousand.
	MaxEntries = 2_000_000
	// MaxRules bounds the rules a host has in a family. The compiler takes 4 kB of memory
	// for each (measured); a few hundred already are more than people can read.
	MaxRules = 200_000
)

func problem(rng hcl.Range, summary, detail string, args ...any) *hcl.Diagnostic {
	return diag.New(diag.CodeBudget, rng, summary, fmt.Sprintf(detail, args...))
}

// Text checks the length of a file.
func Text(length int, name string) *hcl.Diagnostic {
	if length <= MaxText {
		return nil
	}
	return problem(hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}, "file too large",
		"The file has more than %d MiB, the most that is read of a policy. Put long lists of addresses into a file of their own, and name it in an ipset's files.", MaxText>>20)
}
