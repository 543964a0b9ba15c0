// Package report shows who can reach what on a host.
//
// In: a snapshot of a host's rules and sets, or two of them, whatever they were read from; and
// what containers publish, if that is known. Out: tables of clients and ports, complete over
// all packets that open a connection, with the verdict, the rule that decides, its position and
// an example packet in each cell; and the sets with their sizes. With two snapshots each cell
// has the change.
// It does not know how a snapshot was read, and changes nothing on a host.
//
// The packet algebra answers. The conditions of the rules divide the packets of a table (scope.go)
// into classes of clients and of ports, none of which a rule divides further (classes.go); classes
// that get the same from the same rules become one row or column. Build makes a Report; Write
// writes it as text, Markdown, JSON or HTML.
package report
