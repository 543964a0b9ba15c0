// Package suggest finds the names that a misspelled one probably stands for, and writes
// them for messages.
//
// In: what was written, and the valid names. Out: text such as ` Did you mean "tcp"?`.
// It does not know what the names are of.
package suggest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// DidYouMean returns ` Did you mean "x"?` with the known name nearest to the written one,
// or "" if none is near.
func DidYouMean(written string, known []string) string {
	near := Nearest(written, known)
	if len(near) == 0 {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", near[0])
}

// shownNames is how many of many valid names a message shows.
const shownNames = 3

// FromList lists the valid names for a message about one that is not: all if they are
// few, otherwise how many there are and the nearest, or the first, of them. The list
// begins with intro; noun is what each name is the name of. A suggestion comes first if
// a name is near.
func FromList(written string, known []string, intro, noun string) string {
	suggestion := strings.TrimLeft(DidYouMean(written, known)+" ", " ")
	switch {
	case len(known) == 1:
		return fmt.Sprintf("%s%s the %s %s.", suggestion, intro, noun, known[0])
	case len(known) <= 2*shownNames:
		return fmt.Sprintf("%s%s the %ss %s.", suggestion, intro, noun, strings.Join(known, ", "))
	}
	some := Nearest(written, known)
	for _, name := range known[:shownNames] {
		if len(some) < shownNames && !slices.Contains(some, name) {
			some = append(some, name)
		}
	}
	some = some[:shownNames]
	return fmt.Sprintf("%s%s %d %ss, such as %s.", suggestion, intro, len(known), noun, strings.Join(some, ", "))
}

// OneOf lists allowed values: "a", "b" or "c".
func OneOf(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = fmt.Sprintf("%q", v)
	}
	if len(quoted) == 1 {
		return quoted[0]
	}
	return strings.Join(quoted[:len(quoted)-1], ", ") + " or " + quoted[len(quoted)-1]
}

// Nearest returns the known names that differ from the written one by at most two typing
// errors, the nearest first and equally near ones in lexical order. Short names allow
// fewer errors: two or three letters one, one letter none.
func Nearest(written string, known []string) []string {
	most := min(2, len(strings.TrimSpace(written))/2)
	byDistance := make([][]string, most+1)
	for _, name := range slices.Sorted(slices.Values(known)) {
		// At a distance of its length a name has no letter in common.
		if d := distance(written, name); d <= most && d < len(name) {
			byDistance[d] = append(byDistance[d], name)
		}
	}
	return slices.Concat(byDistance...)
}

// distance counts the typing errors between a and b. Blanks at the ends and the case of
// letters do not count, and two letters swapped, the commonest error, count as one.
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

// swapped reports whether a is b with two neighboring bytes swapped.
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
