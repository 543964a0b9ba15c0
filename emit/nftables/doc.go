// Package nftables turns the ordered rule IR into the text that nft -f loads: one table,
// inet dockerfw, with the rules and sets of both families.
//
// In: an ir.Ruleset. Out: the printed table, and the text that removes it. It has three steps:
//
//   - Legalize converts the neutral rules to rules of nft: those of both families merged where they
//     are the same, anonymous sets for lists, one rule for each combination where nft needs it,
//     dynamic sets for limits, and conditions in canonical order. All limits of nft are handled
//     here.
//   - Table and Removal print the result. From the line "table inet dockerfw {" on, the table is
//     byte for byte what nft list table inet dockerfw prints, except where releases of nft differ
//     (docs/contributing/netfilter.md, "Printed tables"). Printing looks nothing up, sorts nothing and has no
//     defaults.
//   - ReadBack compares a table that was loaded from the text with the legalized one. It shares no code with printing, on
//     purpose: each checks the other.
//
// It depends neither on policies nor on folders.
package nftables
