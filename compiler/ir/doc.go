// Package ir is the ordered rule IR: what a policy means on one host, in the order
// in which it is evaluated, whatever tool will load it.
//
// In: nothing; the compiler's passes fill it in.
// Out: plain data, from which a package of emit makes what its tool can express.
// It knows neither HCL, apart from the hcl.Range of each rule and set, nor iptables.
// Its only behaviour is the check of its own order, and the names by which a rule, a
// chain or a set is known in the kernel.
package ir
