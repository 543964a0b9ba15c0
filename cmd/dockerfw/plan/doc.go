// Package plan computes how a host gets from the rules and sets that it has to those that it is
// to have: the texts for ipset restore, iptables-restore --noflush and nft -f, step by step.
//
// In: the tables and sets of a host, a version of dockerfw's rules and sets (a compiled folder,
// or what a host had before), and what dockerfw recorded as its own. Out: a [Plan] as data: the
// differences, the problems that forbid to load, and the steps. It runs nothing, and knows
// neither policies nor files. The same text changes a real host and a simulated one
// ([Host.Run]).
//
// No packet passes a mixture of old and new rules and sets of its family in the filter table. A
// set whose content changes is first created a second time, as NAME-alt; one transaction changes
// the rules to it; then the sets get their own names, and a second transaction changes the rules
// to the same sets by these names. A swap of the content would not do: a packet may meet the set in
// two rules, the old content in the first and the new one in the second (measured: some packets of a
// flood passed that neither policy lets through). A plan that was cut off after any step, or in
// the middle of one, leaves rules in force that the next plan starts from.
//
// Of target nftables, a version is a [Table], and a load is one step: one transaction empties the
// table of rules and fills it again, with sets that have the digest of their content in the name. Between the
// targets, the rules of the new one are loaded before those of the old one are removed.
package plan
