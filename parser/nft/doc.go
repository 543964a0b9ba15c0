// Package nft reads the output of nft -j list ruleset.
//
// In: the JSON. Out: tables with their chains, rules and sets ([Parse]), and rules in the
// syntax of nft for messages ([Rule.Text]). Expressions keep the values of the JSON, also
// those of a kind that this package does not know: what they mean to packets, and whether
// they are supported, is for package compiler/packet/netfilter.
package nft
