// Package emit writes the ordered rule IR as the text that ipset restore and
// iptables-restore --noflush load, and the files as a folder.
//
// In: a finished ir.Ruleset; every decision is made.
// Out: files, byte for byte the same for the same ruleset, each rule spelled
// exactly as iptables-save prints it, so that a host's own save compares equal.
// It looks nothing up, sorts nothing and has no defaults of its own.
package emit
