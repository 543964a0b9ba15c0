// Package budget bounds what an input may cost before it is given to a library that
// would not: how deep it is nested, how long it and its numbers are, how much its
// expressions compute.
//
// In: the text of an input, or the values its expressions have.
// Out: nothing, or the error with its place. It is a leaf: it knows HCL, JSON and
// cty, and nothing of policies.
package budget
