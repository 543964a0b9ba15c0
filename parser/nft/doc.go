// Package nft reads what `nft -j list ruleset` prints.
//
// In: its JSON. Out: tables with their chains, rules and sets. Expressions stay as the JSON
// has them: what they mean to packets is for package packet, and what is not known to it
// must not get lost here. Text writes a rule in the words of nft, for messages.
package nft
