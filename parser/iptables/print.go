package iptables

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Print writes the file in the form of iptables-save, with rules as they were written.
func (f *RulesFile) Print(w io.Writer) error {
	buf := bufio.NewWriter(w)
	for _, b := range f.Blocks {
		fmt.Fprintf(buf, "*%s\n", b.Table)
		for _, c := range b.Commands {
			buf.WriteString(c.String())
			buf.WriteByte('\n')
		}
		if b.Committed {
			buf.WriteString("COMMIT\n")
		}
	}
	return buf.Flush()
}

// String returns the command as iptables-save would print it.
func (c *Command) String() string {
	counters := ""
	if c.Counters != nil {
		counters = fmt.Sprintf("[%d:%d]", c.Counters.Packets, c.Counters.Bytes)
	}
	if c.Op == Declare {
		// This line has no quotes, and its words no spaces.
		return strings.TrimSuffix(":"+c.Chain+" "+c.Policy+" "+counters, " ")
	}
	var words []string
	if counters != "" {
		words = append(words, counters)
	}
	words = append(words, string(c.Op))
	if c.Chain != "" {
		words = append(words, quote(c.Chain, bare))
	}
	if c.Number > 0 {
		words = append(words, strconv.Itoa(c.Number))
	}
	switch c.Op {
	case SetPolicy:
		words = append(words, quote(c.Policy, bare))
	case Rename:
		words = append(words, quote(c.NewName, bare))
	}
	if c.Only != 0 {
		words = append(words, fmt.Sprintf("-%d", c.Only))
	}
	if c.Rule != nil && c.Rule.Text != "" {
		words = append(words, c.Rule.Text)
	}
	return strings.Join(words, " ")
}
