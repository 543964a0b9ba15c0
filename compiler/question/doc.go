// Package question builds the packet that a question is about.
//
// In: what a user knows about a packet (Question) and what is known about the host (Host).
// Out: one packet.Packet and the assumptions it took, with the field that sets each (Build), or
// all packets that the question can be about (Packets); or problems, if the question contradicts
// itself.
// It is the only owner of the defaults and of the direction of a packet, so that the explain
// command and test blocks build the same packet from the same question. It knows no rules and
// no HCL: looking up the nat table is a function of Host.
package question
