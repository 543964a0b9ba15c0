// Package policytest runs the test blocks of a policy.
//
// In: the policy of one host, and the addresses of its lists. Out: for each test the
// verdict that its packet gets, and the rule that matched; of a test about several clients, a
// counterexample if there is one. CoverageOf returns the rules about which no test decides.
// It evaluates the meaning of the policy (package semantics), which every compilation
// proves equal to the emitted text. It may not know that text, nor the compiler's passes.
package policytest
