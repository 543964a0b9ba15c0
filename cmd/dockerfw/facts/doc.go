// Package facts finds what can make a policy untrue on a host although its rules are loaded.
//
// In: a compiled host, and a host as it is, with its network interfaces. Out: a [Fact] for each
// finding, in words. It reads nothing itself, and does not decide what a command does about a fact:
// apply refuses to load for some errors, verify fails for warnings too, other commands print them.
package facts
