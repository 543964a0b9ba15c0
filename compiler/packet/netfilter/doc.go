// Package netfilter turns the text of iptables-save, ipset save and nft into packets. It is
// the only route from text to the algebra of package packet.
//
// In: tables of iptables and nft, and ipsets, as the parsers read them. Out: a
// [packet.Program] for one family that begins in one chain. It does not know policies, hosts
// or where the text comes from.
//
// Nothing is skipped: a match that is not supported is an opaque condition, and a target
// that is not supported is a verdict of its own, [packet.Other].
package netfilter
