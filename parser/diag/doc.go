// Package diag registers the codes of diagnostics and prints diagnostics.
//
// In: hcl.Diagnostics from any package, and the source they point into. Out: the text for
// people: file:line:column, the source line with a part underlined, what is wrong, and what
// to write. It does not depend on policies, rules or addresses.
package diag
