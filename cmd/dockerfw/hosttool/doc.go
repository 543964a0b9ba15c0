// Package hosttool runs the programs of this host that read and change its firewall: iptables,
// ip6tables and their -save and -restore variants, ipset and nft.
//
// In: the name of a tool, its arguments, its standard input. Out: what it prints, or an [Error].
// A tool runs in the network namespace of this process ([Runner]), or in a new and empty one where
// rules and sets can be tested before they are loaded ([Namespace]). The package does not know what
// the tools do.
//
// Of the environment, a tool gets PATH, LC_ALL=C and, if it is set, XTABLES_LOCKFILE: variables such
// as XTABLES_LIBDIR would change what it does. Its standard input is complete before it starts, and
// signals that a terminal sends do not reach it: a run that is interrupted or killed never makes a
// tool load a part of its input.
package hosttool
