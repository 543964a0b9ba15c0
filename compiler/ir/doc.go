// Package ir is the ordered rule IR: what a policy means on one host, as plain
// data in the order it is loaded.
//
// In: nothing; the compiler's passes fill it.
// Out: rulesets that emit writes as text, without any decision left to make.
// It knows no HCL but the hcl.Range each rule and set came from, does no I/O,
// and has no behaviour but the check of its own order.
package ir
