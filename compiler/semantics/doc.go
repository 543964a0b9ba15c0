// Package semantics defines what a policy means, directly from its AST: the verdict on
// each packet.
//
// In: the policy of one host, and the addresses of its lists.
// Out: a packet.Program for forwarded packets and one for packets to the host itself. Each
// is one chain of the policy's rules, with their conditions as written.
//
// It serves to check the compiler, so it shares no code with the compiler's passes. It knows
// nothing about how they write rules, sets and text.
package semantics
