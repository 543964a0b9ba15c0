// Package budget bounds the cost of an input before libraries without such limits process
// it: the depth of nesting, the length of text and numbers, the steps of expressions.
//
// In: the text of an input, or the values of its expressions. Out: nothing, or the error
// with its place. It depends on HCL, JSON and cty, and not on policies.
package budget
