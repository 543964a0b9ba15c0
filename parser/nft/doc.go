// Package nft reads tables of nft: as JSON, as nft -j list ruleset prints them, and as text, as
// nft list ruleset and nft list table print them and nft -f reads them.
//
// In: the JSON ([Parse]) or the text ([ParseText]; [ParseFile] for its commands, which
// [Ruleset.Load] executes on a simulated host). Out: tables with their chains, rules and sets,
// which are the same for both, and rules in the syntax of nft for messages ([Rule.Text]).
// Expressions keep the values of the JSON. From JSON also those of a kind that this package does
// not know; in a text everything that is not understood is an error. What the expressions mean to
// packets, and whether they are supported, is for package compiler/packet/netfilter.
package nft
