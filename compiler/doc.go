// Package compiler lowers the policy AST to the ordered rule IR.
//
// In: the policy of one host, and a reader of its address lists.
// Out: the ir.Ruleset that the host loads, or positioned diagnostics.
//
// The passes are listed in compile.go in the order in which they run, one file each. No later
// stage knows HCL, and no pass prints text.
package compiler
