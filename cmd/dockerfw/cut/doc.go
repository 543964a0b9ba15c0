// Package cut finds and ends open connections that the rules of a host refuse as new ones.
//
// In: a host as it is after loading, the kernel's table of connections, and the routes to
// their ends. Out: the connections that are refused, each with the rule that refuses it, and
// which of them were ended. [Refused] decides and changes nothing; [Connections], [HostRoutes]
// and [End] talk to the kernel through netlink and start no processes. The package loads no
// rules.
//
// A connection is judged by its first packet, as if it arrived now: on the interfaces that the
// routes to its two ends use, after DNAT, before source NAT. Where that does not tell what
// would happen to it, the connection is kept.
package cut
