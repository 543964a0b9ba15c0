// Package iptables reads and writes the text of iptables and ipset, and simulates
// loading it.
//
// In: what iptables-save, ip6tables-save and ipset save print, and files for
// iptables-restore --noflush and ipset restore. Out: the commands of a file with their
// positions, each rule split into typed options ([ParseRules], [ParseSets]); and the
// tables and sets that a host would have after loading the file ([Ruleset.Load],
// [Sets.Load]).
//
// It knows the grammar and the canonical spelling of iptables, but not what a match
// means to packets; that is package compiler/packet/netfilter. Options that it does not
// know are kept as written and marked as opaque.
package iptables
