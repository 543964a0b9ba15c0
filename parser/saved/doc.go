// Package saved recognizes what a file from a host contains, and prepares it for package
// iptables.
//
// In: the bytes of a file with the output of iptables-save, ip6tables-save, iptables -S,
// ipset save or ipset list, or of several of them; also with CR LF, indented or in
// UTF-16. Out: [Part]s, each the rules of one family or the sets, or an error that names
// what the file is instead and the command to run. Each line ends up in a part or in a
// diagnostic.
//
// It does not open files and does not interpret rules.
package saved
