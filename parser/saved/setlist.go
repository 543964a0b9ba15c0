package saved

import (
	"fmt"
	"strconv"
	"strings"
)

// setListing reads the output of ipset list for one set, which begins with a line Name,
// as the lines that ipset save would print. It returns the last line that it read. A
// listing is refused unless its header is complete and has the number of members that
// follow.
func (s *splitter) setListing(start int) (last int) {
	head := map[string]string{}
	n := start
	for ; n < len(s.file.lines); n++ {
		key, value, ok := strings.Cut(trim(s.file.lines[n]), ":")
		if !ok || n > start && key == "Name" {
			break
		}
		head[key] = strings.TrimSpace(value)
		if key == "Members" {
			n++
			break
		}
	}
	name := quoteName(head["Name"])
	fail := func(why string) int {
		s.hasSets = true
		s.bad = append(s.bad, problem(whole(s.file.name, start, s.file.lines[start]), s.file.lines[start], "Unreadable set listing",
			"%s. Run on the host: ipset save > sets", why))
		return n - 1
	}
	switch {
	case head["Type"] == "" || head["Header"] == "":
		return fail("The lines Type and Header are missing")
	case name == "":
		return fail("ipset restore has no way to write the name of this set")
	}
	_, members := head["Members"]
	count, counted := 0, false
	if text, ok := head["Number of entries"]; ok {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			return fail("The number of entries is not a number")
		}
		counted = true
	}
	if !members && (!counted || count > 0) {
		return fail("The line Members is missing, as in the output of ipset list -t or in a truncated file")
	}
	s.set(start, fmt.Sprintf("create %s %s %s", name, head["Type"], head["Header"]))
	have := 0
	for members && n < len(s.file.lines) {
		line := trim(s.file.lines[n])
		if line == "" || strings.HasPrefix(line, "Name: ") {
			break
		}
		s.set(n, fmt.Sprintf("add %s %s", name, line))
		have++
		n++
	}
	if counted && have != count {
		return fail(fmt.Sprintf("The header announces %d entries, but %d are listed: the file was truncated or edited", count, have))
	}
	return n - 1
}

// quoteName returns the name of a set as ipset restore reads it, or "" if it cannot be
// written.
func quoteName(name string) string {
	switch {
	case strings.Contains(name, `"`):
		return ""
	case strings.ContainsAny(name, " \t"):
		return `"` + name + `"`
	}
	return name
}
