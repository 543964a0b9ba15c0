package diag

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// outsidePrefix cannot begin the name of a file, so that no file is taken for a place
// outside all files.
const outsidePrefix = "\x00"

// Outside is the first position in text that is in no file: a value from the command
// line or the environment, called name. Such ranges have file names that only
// OutsideName reads.
func Outside(name string) hcl.Range {
	return hcl.Range{Filename: outsidePrefix + name, Start: hcl.InitialPos, End: hcl.InitialPos}
}

// OutsideName returns the name that Outside was given; false if r is in a file.
func OutsideName(r hcl.Range) (string, bool) {
	return strings.CutPrefix(r.Filename, outsidePrefix)
}
