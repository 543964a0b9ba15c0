// Package snapshot represents the rules and sets of a host at one moment.
//
// In: a policy, a compiled folder, the output of iptables-save and ipset save, the host that
// this runs on, or one that ssh connects to. Out: for each host a [Host], of the same form
// whatever it was made from, so that two of them can be compared, explained and checked.
// It computes no verdicts and writes nothing.
package snapshot
