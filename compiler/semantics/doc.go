// Package semantics defines what a policy means, directly from its AST: the verdict on
// each packet.
//
// In: the policy of one host, and the addresses of its lists.
// Out: a packet.Program for forwarded packets and one for packets to the host itself. Each
// has one chain, and there each rule of the policy with its conditions as written.
// It checks the compiler, so it shares no code with the compiler's passes, and it knows
// neither the names of sets that they make nor any text.
package semantics
