// Package netfilter turns the text of iptables-save, ipset save and nft into programs of
// package packet. It is the only route from text to packets.
//
// In: tables of iptables and nft, and ipsets, as the parsers read them. Out: a
// [packet.Program] for one family that begins in one chain. It knows neither policies nor
// hosts.
//
// Nothing is skipped: a match that is not supported becomes an opaque condition, a target
// that is not supported a verdict of its own, [packet.Other].
package netfilter
