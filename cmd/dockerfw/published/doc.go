// Package published compares the ports that containers publish with the rules of a policy.
//
// In: the ports, from docker ps ([ReadContainers]), from Compose files (package compose), or from
// the tables and processes of a host; and a compiled host. Out: for each port who reaches it, on
// which path: as diagnostics ([Check]), or for a host as it is ([Live]).
// The packet algebra decides, with the packets of package question. The package knows no policy
// language, and changes nothing on a host.
package published
