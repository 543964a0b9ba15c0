// Package parser turns policies, written in HCL or its JSON form, into a typed
// AST.
//
// In: the path of one file or one directory, and values for variables.
// Out: one Policy for each host, in which every node has the hcl.Range of its text, or
// diagnostics for all errors at once.
// Schema is the table of all blocks and attributes, from which decoding follows. Only this
// package and its package budget parse and evaluate HCL; others use its positions and
// diagnostics. It does not know iptables, chains or packets.
package parser
