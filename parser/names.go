package parser

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Limits of names in bytes: docs/contributing/netfilter.md, "Lengths of names and texts"
// and "Names of sets".
const (
	// maxSetName leaves room for the suffixes "-v6" and "-new" or "-alt" within the 31
	// bytes that iptables takes in --match-set.
	maxSetName = 31 - len("-v6") - len("-new")
	// maxRuleName keeps "dockerfw established " and the name within the 255
	// bytes the kernel keeps of a comment, and short enough to read.
	maxRuleName = 120
	// maxHostName is the longest DNS name, in bytes.
	maxHostName = 253
	// maxInterface is IFNAMSIZ less the final NUL.
	maxInterface = 15
)

// checkSetName returns what is wrong with a set's name, or "".
func checkSetName(name string) string {
	switch {
	case name == "":
		return "A set needs a name."
	case len(name) > maxSetName:
		return fmt.Sprintf("The name has %d bytes; at most %d are allowed. The kernel allows 31, and dockerfw appends -v6 (for the IPv6 set) and -new or -alt (for temporary sets while it loads).", len(name), maxSetName)
	case !isLetter(name[0]):
		return "A set's name must start with a letter."
	case strings.ContainsFunc(name, func(r rune) bool { return !isNameRune(r) || r == '.' }):
		return "A set's name may contain letters, digits, - and _ only, so that expressions can refer to it as ipset.NAME."
	case strings.HasSuffix(name, "-v6") || strings.HasSuffix(name, "-new") || strings.HasSuffix(name, "-alt"):
		return "Names that end in -v6, -new or -alt are reserved: dockerfw itself creates such sets, for IPv6 addresses (-v6) and temporarily while it loads (-new, -alt). Choose another ending."
	}
	return ""
}

// checkRuleName returns what is wrong with a rule's name, or "". Rule names become
// comments in the kernel and headings of reports.
func checkRuleName(name string) string {
	switch {
	case name == "":
		return "A rule needs a name: it identifies the rule in the kernel, in diffs and in messages."
	case len(name) > maxRuleName:
		return fmt.Sprintf("The name has %d bytes; at most %d are allowed.", len(name), maxRuleName)
	case !isLetter(name[0]) && (name[0] < '0' || name[0] > '9'):
		return "A rule's name must start with a letter or a digit."
	case strings.ContainsFunc(name, notNameRune):
		return "A rule's name may contain letters, digits, -, _ and . only."
	}
	return ""
}

// checkVariableName returns what is wrong with a variable's name, or "".
func checkVariableName(name string) string {
	if !validIdentifier(name) {
		return "A name must start with a letter and may contain letters, digits, - and _ only."
	}
	return ""
}

// checkHostName returns what is wrong with a host's label, or "". The label is the
// name of the host's output folder.
func checkHostName(name string) string {
	switch {
	case name == "":
		return "A host's label is the name of its output folder and cannot be empty."
	case len(name) > maxHostName:
		return fmt.Sprintf("The name has %d bytes; at most %d are allowed.", len(name), maxHostName)
	case !isLetter(name[0]) && (name[0] < '0' || name[0] > '9'):
		return "A host's label must start with a letter or a digit."
	case strings.ContainsFunc(name, notNameRune):
		return "A host's label may contain letters, digits, -, _ and . only: it is the name of its output folder."
	}
	return ""
}

// CheckInterface returns what is wrong with the name of an interface, or with a pattern of
// names such as "eth+"; "" if nothing is.
func CheckInterface(name string) string {
	bare := strings.TrimSuffix(name, "+")
	switch {
	case name == "":
		return "An interface name cannot be empty."
	case name == "+":
		return `"+" alone would be every interface, including those of containers. List those on which traffic from outside arrives, such as "eth0" or "eth+".`
	case strings.Contains(name, ","):
		return "Write each name as an element, [\"eth0\", \"eth1\"]: to the kernel \"eth0,eth1\" is the name of one interface."
	case strings.Contains(name, ":"):
		return fmt.Sprintf("%q is an address label, not an interface: packets arrive on %q.", name, name[:strings.Index(name, ":")])
	case len(name) > maxInterface:
		return fmt.Sprintf("The name has %d bytes; the kernel allows at most %d.", len(name), maxInterface)
	case strings.Contains(bare, "+"):
		return `"+" is allowed only at the end: "eth+" is every interface whose name starts with eth.`
	case strings.HasPrefix(name, "-") || strings.HasPrefix(name, "!") || strings.ContainsFunc(bare, notNameRune) || bare == "." || bare == "..":
		return "An interface name may contain letters, digits, -, _ and . only, with + at the end as a wildcard."
	}
	return ""
}

func validIdentifier(s string) bool { return hclsyntax.ValidIdentifier(s) && len(s) < 128 }

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func notNameRune(r rune) bool { return !isNameRune(r) }

func isNameRune(r rune) bool {
	return r < 0x80 && (isLetter(byte(r)) || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
}

// Covers reports whether interface pattern a matches all that b matches.
func Covers(a, b string) bool {
	if prefix, wild := strings.CutSuffix(a, "+"); wild {
		return strings.HasPrefix(strings.TrimSuffix(b, "+"), prefix)
	}
	return a == b
}
