// Package compiler lowers the policy AST to the ordered rule IR.
//
// In: the policy of one host, and a reader of its address lists.
// Out: the ir.Ruleset that the host loads, or positioned diagnostics.
//
// compile.go lists the passes in the order in which they run. No later stage evaluates
// HCL, and no pass prints text.
package compiler
