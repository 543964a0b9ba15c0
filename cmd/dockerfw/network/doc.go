// Package network reads the network interfaces, addresses and default routes of a host.
//
// In: the network namespace of the calling thread. Out: plain data. It starts no process, needs no
// privileges, and does not know firewalls: what an interface means for rules is a matter of package
// facts.
package network
