// Package addrlist reads addresses strictly: single ones, and lists with millions of them.
//
// In: the text of one address, CIDR or range, or a stream of them as plain text or as a
// JSON array of strings. Out: a netipx.IPRange for each good entry with its place, and a
// diagnostic for each bad one: no line is skipped silently. It does not depend on ipsets,
// policies or the file system, and never resolves names.
package addrlist
