// Package emit returns the files that a host loads.
//
// In: the tables of a target (emit/iptables or emit/nftables) and the source they were compiled
// from. Out: the files of one host, byte for byte the same for the same input.
// The limits of a target are handled in its own package; package folder writes the files
// to disk.
package emit
