// Package verify checks whether a host has what was compiled for it.
//
// In: a compiled host, and a host as it is. Out: one result for each check of the table in
// verify.go, such as: the rules are complete and in order; no earlier rule accepts
// packets that they refuse; the sets have their entries.
// It changes nothing, and may not know where the two hosts were read from.
package verify
