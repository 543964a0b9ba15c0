// Package diff reports what a change of rules means.
//
// In: two snapshots of a host's rules and sets, whatever they were read from.
// Out: the packets that get a different verdict, grouped by the block or rule that is the
// reason, each with the rules responsible and an example packet; the entries that sets gain
// and lose; and the rules that are added, removed and moved. The report is exact: packets
// that it does not list get the same verdict on both sides.
// It does not know how a snapshot was read, and changes nothing on a host.
//
// Compare finds the differences of one host and Fleet those of several; Write writes them as
// text, Markdown or JSON. The packets of a change go through three steps: a Description in
// typed parts (describe.go), their words (sentence.go), and a format (text.go, markdown.go,
// json.go).
package diff
