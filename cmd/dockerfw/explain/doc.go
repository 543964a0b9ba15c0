// Package explain reports the verdict of one packet, and the reason.
//
// In: a snapshot of a host's rules, and a question about a packet as the flags of the command
// write it. Out: for each path that the packet can take, its verdict, the rule that gave it,
// and each rule before it with the reason why it did not match. For a host the packet passes
// the chains of all tables in the kernel's order. If the verdict depends on more than the
// packet, such as a rate, each case has its own.
// It builds no packet itself: package question does, for this package and for test blocks.
package explain
