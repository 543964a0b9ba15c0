// Package identity recognizes what dockerfw made on a host: its chains by their names, its rules
// by their comments and jumps. No other package does.
//
// In: chains and rules as parser/iptables reads them. Out: whether they are dockerfw's, Docker's
// or foreign. The names themselves are defined in compiler/ir.
package identity
