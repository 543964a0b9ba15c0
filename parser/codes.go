package parser

import "github.com/dockerfw/dockerfw/parser/diag"

// The codes of what can be wrong with a policy's text. Each has a case of its own
// under golden/bad and a line in docs/language.md.
const (
	codeRead          diag.Code = "file-read"      // a file cannot be read, or lies outside the policy's directory
	codeSyntax        diag.Code = "syntax"         // not HCL
	codeHidden        diag.Code = "hidden"         // a character that an editor does not show as what it is
	codeSchema        diag.Code = "schema"         // unknown, missing or repeated attribute or block
	codeExpression    diag.Code = "expression"     // an expression that has no value
	codeReference     diag.Code = "reference"      // a name that nothing declares
	codeType          diag.Code = "type"           // a value of the wrong type
	codeValue         diag.Code = "value"          // a value that is not among the allowed ones, or out of range
	codeName          diag.Code = "name"           // a name the kernel's tools would not take
	codeDuplicate     diag.Code = "duplicate"      // the same thing twice
	codePort          diag.Code = "port"           // not a port, a reversed range, ports without a protocol that has them
	codeProtocol      diag.Code = "protocol"       // no protocol
	codeICMPType      diag.Code = "icmp-type"      // no ICMP type, or not for the rule's protocol
	codeInterface     diag.Code = "interface"      // no interface name
	codeConflict      diag.Code = "conflict"       // attributes that do not go together
	codeVariable      diag.Code = "variable"       // a variable without a value, or with one it does not take
	codeExpired       diag.Code = "expired"        // a rule past its date
	codeExpiresSoon   diag.Code = "expires-soon"   // warning: a rule within 14 days of its date
	codeChainDocker   diag.Code = "chain-docker"   // warning: rules in DOCKER fail open on engines since 17.06
	codeOpenDefault   diag.Code = "open-default"   // warning: default lets everyone in
	codeAcceptAll     diag.Code = "accept-all"     // warning: an accept that skips Docker's own rules
	codeNotExternal   diag.Code = "not-external"   // warning: an accept on an interface that default leaves open
	codeUnmanagedFill diag.Code = "unmanaged-fill" // entries in a set that somebody else fills
	codeUnusedName    diag.Code = "unused-name"    // warning: a variable or local that nothing names
	CodeIgnore        diag.Code = "ignore"         // warning: a dockerfw:ignore comment that is not right
)
