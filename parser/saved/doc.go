// Package saved tells what a file that somebody saved of a host holds, and makes of
// it what package dump reads.
//
// In: the bytes of a file: what iptables-save, ip6tables-save, iptables -S, ipset save
// or ipset list print, several of them in one file, with CR LF, indented, in UTF-16.
// Out: Parts, each the rules of one family or the sets; or an error that says what
// the file is instead and which command to run. No line is passed over silently.
// It knows no file system and no tables: what a rule means is dump's and packet's.
package saved
