// Package golden holds what each example compiles to, byte for byte, and the tests
// that hold it against the compiler, against the kernel and against Docker.
//
// In: the policies under examples, and the broken ones under bad.
// Out: nothing; the folders beside this file are read by tests and by people.
package golden
