// Package packet computes with exact sets of packets. Proof, lint, diff, explain and verify
// are built on it.
//
// In: programs, which are chains of rules with conditions and verdicts. Out: the set of
// packets of each verdict, the packets that two programs treat differently, each with a
// witness (an example packet), the rules that have no effect, and the verdict of a single
// packet. It knows neither policies nor files nor how rules are written: package netfilter
// reads text.
//
// A [Space] divides the values of each field into classes that no condition of its programs
// distinguishes, so that a set of a million prefixes is one condition. A [Set] is a binary
// decision diagram over the bits of class numbers. Some packets do not have all fields: only
// some protocols have ports, only tracked connections are subject to DNAT, and only then is
// the original destination a value of its own. No diagram depends on a field that a packet
// does not have; therefore two sets are equal if and only if their diagrams are.
//
// What is not supported is an [Opaque] condition: a free Boolean, which is neither guessed
// nor left out. Fragments after the first are not supported: connection tracking reassembles
// packets before the filter table.
package packet
