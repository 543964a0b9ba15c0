// Package iptables reads what iptables-save, ip6tables-save and ipset save print, and
// the files that iptables-restore --noflush and ipset restore read.
//
// In: the text of such a file. Out: its commands with their places, each rule as
// typed options, and the rules or sets a host would have after loading it.
// It may not know policies, the compiler's rules or what a match means: it splits,
// spells and simulates; what it does not know it keeps as it is written.
package iptables
