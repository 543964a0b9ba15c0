// Package ir is the ordered rule IR: the rules of a policy on one host, in the order in
// which the kernel evaluates them, whichever tool loads them.
//
// In: nothing; the compiler's passes fill it in.
// Out: plain data, which a package of emit legalizes for its tool.
//
// It knows neither HCL, apart from the hcl.Range of each rule and set, nor iptables. Its
// only functions check the order and return the names of rules, chains and sets in the
// kernel.
package ir
