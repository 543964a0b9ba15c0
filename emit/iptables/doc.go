// Package iptables turns the ordered rule IR into the text that ipset restore and
// iptables-restore --noflush load.
//
// In: an ir.Ruleset. Out: the printed rules and sets of each family, and their removal.
// It has three steps, in this order:
//
//   - Legalize converts the neutral rules to iptables rules: their cartesian product, with
//     literal addresses folded into sets, rates and names as the kernel stores them, and
//     matches in canonical order. All limits of iptables and ipset are handled here. The
//     fallback rules of the security table are derived from the result.
//   - Rules, Sets, RemoveRules and RemoveSets print the result, byte for byte the same for
//     the same input. Each rule is printed as by iptables-save, so that a host's saved
//     tables compare equal. Printing looks nothing up, sorts nothing and has no defaults.
//   - ReadBack loads the printed text into simulated tables and checks that they contain
//     exactly the legalized rules. It shares no code with printing, on purpose: each
//     checks the other.
//
// It depends neither on policies nor on folders.
package iptables
