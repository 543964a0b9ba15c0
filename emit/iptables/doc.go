// Package iptables makes of the ordered rule IR what iptables and ipset can express, and
// writes it as the text that ipset restore and iptables-restore --noflush load.
//
// It has three parts, in the order in which they run:
//
//   - Legalise turns the neutral rules into rules of iptables: one for each combination
//     of what a rule lists, literal addresses folded into sets, rates and names as the
//     kernel keeps them, matches in canonical order. All limits of iptables and ipset are
//     dealt with here.
//   - Rules, Sets and their removals print that, byte for byte the same for the same
//     input, each rule spelled exactly as iptables-save prints it, so that a host's own
//     save compares equal. Printing looks nothing up, sorts nothing and has no defaults.
//   - ReadBack loads the printed text into simulated tables and checks that they hold
//     exactly the legalised rules. It shares no code with printing, on purpose: each is
//     the check of the other.
//
// It knows neither policies nor folders.
package iptables
