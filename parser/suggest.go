package parser

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// didYouMean returns ` Did you mean "x"?` with the known name nearest to what was
// written, or "" when none is near.
func didYouMean(written string, known []string) string {
	best, bestDistance := "", 3
	if len(written) <= 3 {
		bestDistance = 2
	}
	for _, name := range slices.Sorted(slices.Values(known)) {
		if sameLetters(written, name) {
			// Two letters swapped: the commonest slip, and two edits.
			best = name
			break
		}
		if d := levenshtein.Distance(strings.ToLower(written), strings.ToLower(name), nil); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", best)
}

func sameLetters(a, b string) bool {
	x, y := []byte(strings.ToLower(a)), []byte(strings.ToLower(b))
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// oneOf writes allowed values for people: "a", "b" or "c".
func oneOf(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = fmt.Sprintf("%q", v)
	}
	if len(quoted) == 1 {
		return quoted[0]
	}
	return strings.Join(quoted[:len(quoted)-1], ", ") + " or " + quoted[len(quoted)-1]
}
