// Package parser turns policies, written in HCL or its JSON form, into a typed
// AST.
//
// In: the path of one file or one directory, and values for variables.
// Out: one Policy for each host, in which every node keeps the hcl.Range it was
// written at, or diagnostics for everything that is wrong with it at once.
// It is the only part that knows HCL, and knows nothing of chains and rules.
package parser
