// Package golden tests what policies compile to, byte for byte.
//
// In: the policies in examples and in bad, and the documentation.
// Out: nothing. examples/NAME has the compiled files of an example, bad/NAME a wrong policy with
// its diagnostics; people read both, and make golden rewrites them.
//
// Tests that need a kernel or an engine are in e2e, their laboratory in lab.
package golden
