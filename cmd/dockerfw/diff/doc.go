// Package diff tells what a change of rules means.
//
// In: two states of a host's rules and sets, whatever they were made from.
// Out: the packets that get another verdict, described in the words of policies,
// each with the rules responsible and a packet that shows it; the members that sets
// gain and lose; and the rules that come, go and move. Exact: what is not reported
// does not change.
package diff
