// Package snapshot is what stands on a host, or would: the rules and sets that
// packets meet.
//
// In: a policy, a compiled folder, what iptables-save and ipset save print, or the
// host this runs on. Out: for each host a [State], all of one shape, that can be
// compared, explained and checked whatever it was made from.
// It decides nothing about packets and writes nothing anywhere.
package snapshot
