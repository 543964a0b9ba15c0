package saved

import (
	"fmt"
	"strconv"
	"strings"
)

// setListing reads what ipset list prints of one set, from its line Name on, as the
// lines that ipset save would print, each where its line is. It returns the last line.
//
// Only what is sure is read: all of the head, and as many members as the head says.
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
		s.bad = append(s.bad, problem(whole(s.file.name, start, s.file.lines[start]), s.file.lines[start], "Listing of a set that cannot be read",
			"%s. Run on the host: ipset save > sets", why))
		return n - 1
	}
	switch {
	case head["Type"] == "" || head["Header"] == "":
		return fail("Its lines Type and Header are missing")
	case name == "":
		return fail("The name of the set cannot be written in a dump")
	}
	_, members := head["Members"]
	count, counted := 0, false
	if text, ok := head["Number of entries"]; ok {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			return fail("Its number of entries is not a number")
		}
		counted = true
	}
	if !members && (!counted || count > 0) {
		return fail("It has no line Members, as ipset list -t prints it or where the file was cut short")
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
		return fail(fmt.Sprintf("It says that the set has %d entries, and %d are listed: the file was cut short or changed", count, have))
	}
	return n - 1
}

// quoteName writes a set's name as ipset restore takes it; "" where it cannot.
func quoteName(name string) string {
	switch {
	case strings.Contains(name, `"`):
		return ""
	case strings.ContainsAny(name, " \t"):
		return `"` + name + `"`
	}
	return name
}
