// Package compiler lowers the policy AST to the ordered rule IR.
//
// In: the policy of one host, and a reader of its address lists.
// Out: the ir.Ruleset the host loads, or positioned diagnostics.
// The passes are listed in compile.go in the order in which they run, one file each. Nothing
// after them knows HCL, and none of them prints text.
package compiler
