// Package compose reads which ports the services of a Compose project publish.
//
// In: the Compose files as docker compose -f takes them, files with variables, and the active
// profiles. Out: the ports as package published has them, each with its place in a file; or
// diagnostics. The library of Docker Compose reads and merges the files; this package finds the
// places. It reads only files, no process environment and nothing from the network: the same files
// always have the same result.
package compose
