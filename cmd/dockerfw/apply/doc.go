// Package apply changes the firewall of the host that it runs on: it loads compiled folders, rolls
// them back, loads them at boot, and removes dockerfw's rules.
//
// In: a compiled folder, the tables and sets of the host, and what package store remembers. Out:
// the version in force, and a [Result] that tells what changed; or a [*Failure] that tells what
// state the host is in. What to change is decided by package plan, from data; this package reads
// the host, tests the version in a network namespace of its own, runs the steps, and rolls back
// when one fails.
//
// A run that is killed at any moment leaves the old or the new version in force. The next run
// repairs what is left of it.
package apply
