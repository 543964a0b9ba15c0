// Package diag is the shared vocabulary of what can be wrong with a policy.
//
// In: hcl.Diagnostics from any package, and the source they point into.
// Out: the same diagnostics with a stable code each, and the text a person
// reads: file:line:column, the source line, the part of it underlined, what is
// wrong and what would be right.
// It knows nothing of policies, rules or addresses.
package diag
