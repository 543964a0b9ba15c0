package budget

import (
	"fmt"
	"strconv"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// The budgets. docs/language.md lists them; a test compares the two.
const (
	// MaxDepth bounds the nesting of brackets, blocks, templates, and operators that apply
	// to another's result. The parsers and the evaluator recurse at least once per
	// level, and a stack overflow ends the process: 100,000 levels cause one
	// (docs/contributing/architecture.md, "Budgets"), and people write fewer than ten.
	MaxDepth = 500
	// MaxText bounds the bytes of a policy's file and of a file of values. HCL needs up to
	// 130 bytes of memory for each: docs/contributing/architecture.md, "Budgets".
	MaxText = 8 << 20
	// MaxNumber bounds the bytes of a number as written: reading digits takes quadratic
	// time. maxExponent bounds the decimal exponent of a number that becomes text, which
	// has that many digits.
	MaxNumber   = 500
	maxExponent = 500
	// MaxEntries bounds the entries of an address list and the elements of a set. The
	// compiler needs up to 0.4 kB of memory for each (docs/contributing/architecture.md,
	// "Budgets"), and the longest lists in use have a few hundred thousand.
	MaxEntries = 2_000_000
	// MaxRules bounds the rules of a host in a family. The compiler needs 4 kB of memory
	// for each (docs/contributing/architecture.md, "Budgets"); people can read a few
	// hundred.
	MaxRules = 200_000
)

// grouped writes a number with commas: 1,000,000.
func grouped(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

func problem(rng hcl.Range, summary, detail string, args ...any) *hcl.Diagnostic {
	return diag.New(diag.CodeBudget, rng, summary, fmt.Sprintf(detail, args...))
}

// Text checks the length of a file.
func Text(length int, name string) *hcl.Diagnostic {
	if length <= MaxText {
		return nil
	}
	return problem(hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}, "file too large",
		"A file of a policy may have at most %d MiB. Put long lists of addresses into files, and list those in the files of an ipset.", MaxText>>20)
}
