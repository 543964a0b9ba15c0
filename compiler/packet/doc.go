// Package packet computes with exact sets of packets: the algebra that proves,
// diffs and explains.
//
// In: programs, which are chains of rules, from the IR or from the text of any
// iptables-save. Out: for each verdict the set of packets that get it, for each
// rule the packets it decides, differences of two programs with a witness, and
// rules that do nothing. It may not know policies, files or how text is written.
//
// Every field of a packet is cut into classes that all rules of a [Space] treat
// alike, so that a set of a million prefixes is one constraint; sets of packets
// are decision diagrams over the bits of class numbers. What only some packets
// have stands under a guard (ports under their protocols, DNAT under tracked
// connections, the original destination under DNAT): no diagram depends on what
// a packet has not, so two sets are equal exactly if their diagrams are.
//
// What is not modelled is an [Opaque] condition: a free Boolean that is never
// guessed and never left out. Fragments behind the first are not modelled:
// connection tracking puts packets together before a filter sees them.
package packet
