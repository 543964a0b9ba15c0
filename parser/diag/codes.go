package diag

import "fmt"

// Code is the class of a diagnostic. Only the codes of this file exist. Their names are
// stable: none is ever renamed or given another meaning.
type Code uint8

// The codes, in the order of the tables in docs/language.md. The zero Code is none.
const (
	_ Code = iota

	CodeFileRead
	CodeSyntax
	CodeHidden
	CodeSchema
	CodeExpression
	CodeReference
	CodeType
	CodeValue
	CodeName
	CodeDuplicate
	CodePort
	CodeProtocol
	CodeICMPType
	CodeInterface
	CodeConflict
	CodeVariable
	CodeUnmanagedFill
	CodeNoFamily
	CodeSetFull
	CodeSetElement
	CodeTooFew
	CodeTooMany
	CodeAddressSyntax
	CodePrefixLength
	CodeHostBits
	CodeReversedRange
	CodeMixedRange
	CodeListSyntax
	CodeListRead
	CodeBudget
	CodeDumpSyntax
	CodeDumpLoad
	CodeInternal

	CodeAcceptAll
	CodeChainDocker
	CodeNotExternal
	CodeOpenDefault
	CodeFamilyOpen
	CodeExpiresSoon
	CodeExpired
	CodeUnusedSet
	CodeEmptySet
	CodeUnguarded
	CodeHostService
	CodeIgnore
	CodeSSHClosed
	CodeNotOpened
	CodeLargeSet

	CodeNeverMatches
	CodeCovered
	CodeDenied
	CodePartlyDenied
	CodeRedundant
	CodeAllowedAnyway
	CodeOverlappingSets
	CodeUnusedName
	CodeWorldOpen
	CodeDisabled
	CodeTooLarge
	CodeProxyOpen

	CodeCompose
	CodeContainers
	CodePublishedOpen
	CodeUnlistedPort
	CodeNotPublished
	CodeLoopbackPort
	CodeHostNetwork
	CodeOwnAddress
	CodeUnknownNetwork
	CodeInactive
)

// Severity is how much a diagnostic of a class matters.
type Severity uint8

// The severities. With an error nothing is written. Warnings and notes can be silenced
// by a comment in the policy. The warnings of some classes are notes where they report
// what is as it may be.
const (
	SeverityError Severity = iota
	SeverityWarning
	SeverityNote
)

// Class is what users read about a code.
type Class struct {
	Code     Code
	Name     string
	Severity Severity
	// OnlyCheck is set for classes that only dockerfw check reports.
	OnlyCheck bool
	// Published is set for classes that compare a policy with what containers publish: check
	// reports them with --compose or --published.
	Published bool
	// Meaning completes the sentence "the policy has …", in Markdown.
	Meaning string
	// Example is a minimal policy of the class, or lines of one and their block, in
	// Markdown; "" where a few lines cannot show it.
	Example string
}

// Classes returns all classes in the order of their codes.
func Classes() []Class {
	out := make([]Class, 0, len(classes)-1)
	for code, c := range classes {
		if code > 0 {
			c.Code = Code(code)
			out = append(out, c)
		}
	}
	return out
}

// mustExist panics on a code that is not in the table: that is a programmer's error.
func (c Code) mustExist() {
	if c == 0 || int(c) >= len(classes) {
		panic(fmt.Sprintf("diag: there is no code %d", uint8(c)))
	}
}

// Class returns the class of a code. It panics on a code that does not exist.
func (c Code) Class() Class {
	c.mustExist()
	out := classes[c]
	out.Code = c
	return out
}

// String is the name of the code, such as "host-bits"; "" for none.
func (c Code) String() string {
	if c == 0 {
		return ""
	}
	return c.Class().Name
}
