// Package status describes what dockerfw has in force on this host.
//
// In: what package store remembers, the tables and sets of the host with their counters, and the boot
// unit. Out: a [Report], as text or JSON. It changes nothing.
package status
