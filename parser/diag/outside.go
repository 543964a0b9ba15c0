package diag

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// outsidePrefix cannot be the beginning of a file name.
const outsidePrefix = "\x00"

// Outside is the first position in text that is not in a file: a value from the command
// line or the environment, described by name. OutsideName returns the name.
func Outside(name string) hcl.Range {
	return hcl.Range{Filename: outsidePrefix + name, Start: hcl.InitialPos, End: hcl.InitialPos}
}

// OutsideName returns the name that Outside was given; false if r is in a file.
func OutsideName(r hcl.Range) (string, bool) {
	return strings.CutPrefix(r.Filename, outsidePrefix)
}
