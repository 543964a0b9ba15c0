// Package addrlist reads addresses strictly, one by one and by the million.
//
// In: the text of one address, CIDR or range, or a stream of them as plain text
// or as a JSON array of strings.
// Out: a netipx.IPRange for each good entry with the place it stands at, and a
// diagnostic for each bad one: no line is skipped silently.
// It knows nothing of ipsets, of policies or of the file system, and never
// resolves a name.
package addrlist
