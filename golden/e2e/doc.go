// Package e2e holds the end-to-end tests: what dockerfw compiles is loaded into a kernel
// and deployed beside a real Docker engine, in network namespaces of the tests' own.
//
// In: policies, the compiled examples in golden/examples, and the program, built once for all
// tests.
// Out: nothing. The tests need root and the tools of TEST_PACKAGES in the Makefile.
package e2e
