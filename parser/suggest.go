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
	near := nearest(written, known)
	if len(near) == 0 {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", near[0])
}

// shownNames is how many of many valid names a message shows.
const shownNames = 3

// NearestOf lists the valid names for a message about one that is not: all when they
// are few, otherwise how many there are and the nearest, or the first, of them. The
// list begins with intro; noun is what a name is of. A suggestion comes first where a
// name is near.
func NearestOf(written string, known []string, intro, noun string) string {
	suggestion := strings.TrimLeft(didYouMean(written, known)+" ", " ")
	switch {
	case len(known) == 1:
		return fmt.Sprintf("%s%s the %s %s.", suggestion, intro, noun, known[0])
	case len(known) <= 2*shownNames:
		return fmt.Sprintf("%s%s the %ss %s.", suggestion, intro, noun, strings.Join(known, ", "))
	}
	some := nearest(written, known)
	for _, name := range known[:shownNames] {
		if len(some) < shownNames && !slices.Contains(some, name) {
			some = append(some, name)
		}
	}
	some = some[:shownNames]
	return fmt.Sprintf("%s%s %d %ss, such as %s.", suggestion, intro, len(known), noun, strings.Join(some, ", "))
}

// nearest returns the known names that what was written may stand for, the nearest
// first and equally near ones in lexical order.
func nearest(written string, known []string) []string {
	most := 2
	if len(written) <= 3 {
		most = 1
	}
	byDistance := make([][]string, most+1)
	for _, name := range slices.Sorted(slices.Values(known)) {
		if d := distance(written, name); d <= most {
			byDistance[d] = append(byDistance[d], name)
		}
	}
	return slices.Concat(byDistance...)
}

// distance counts the slips that make b of a. Blanks around and the case of letters
// count nothing, two neighbours swapped, the commonest slip, one.
func distance(a, b string) int {
	x, y := strings.ToLower(strings.TrimSpace(a)), strings.ToLower(strings.TrimSpace(b))
	if d := len(x) - len(y); d > 2 || d < -2 {
		return 3 // or more
	}
	if swapped(x, y) {
		return 1
	}
	return levenshtein.Distance(x, y, nil)
}

// swapped reports whether a is b with two neighbours swapped.
func swapped(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
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
