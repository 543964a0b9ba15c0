// Package lint finds rules, and parts of rules, that have no effect.
//
// In: the policies of hosts that compile, and the addresses of their lists.
// Out: warnings and notes with positions. They are exact, by the packet algebra over
// all packets there can be; a finding about a block of a fleet applies to every
// host that has the block.
// It may not know the compiler's passes, nor any text that they emit: it evaluates
// what the policy means (package semantics).
//
// What it looks for is the table of findings in lint.go. What every finding is
// derived from is [evidence]: one evaluation of each host's rules.
package lint
