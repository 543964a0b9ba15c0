package addrlist

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Steps to a value of JSON: ".KEY", or into each element of an array or each value
// of an object.
const (
	eachElement = "[]"
	eachValue   = "{}"
)

const (
	maxSteps = 16 // deeper addresses are not searched
	maxPaths = 3  // more places would make an unreadable expression
)

// jsonPlaces are the places of addresses in JSON, and how many values each array has.
type jsonPlaces struct {
	order    []string // paths, joined by "\n", in order of appearance
	count    map[string]int
	elements map[string]int
}

// findAddresses finds the places of addresses in JSON; false if it is malformed.
func findAddresses(text []byte, wildcard bool) (*jsonPlaces, bool) {
	out := &jsonPlaces{count: map[string]int{}, elements: map[string]int{}}
	type frame struct {
		array bool
		key   string
		isKey bool // the next string of an object is a key
	}
	var stack []frame
	path := func() string {
		steps := make([]string, len(stack))
		for i, f := range stack {
			switch {
			case f.array:
				steps[i] = eachElement
			case wildcard && i == 0:
				steps[i] = eachValue
			default:
				steps[i] = "." + f.key
			}
		}
		return strings.Join(steps, "\n")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.Token()
		if err != nil {
			return out, len(stack) == 0 && len(out.count) > 0
		}
		if delim, ok := token.(json.Delim); ok && (delim == ']' || delim == '}') {
			stack = stack[:len(stack)-1]
			continue
		}
		if n := len(stack); n > 0 {
			top := &stack[n-1]
			if !top.array && top.isKey {
				top.key, _ = token.(string)
				top.isKey = false
				continue
			}
			top.isKey = true
			if n <= maxSteps && (top.array || wildcard && n == 1) {
				out.elements[path()]++
			}
		}
		switch v := token.(type) {
		case json.Delim:
			stack = append(stack, frame{array: v == '[', isKey: v == '{'})
		case string:
			if len(stack) == 0 || len(stack) > maxSteps || !isEntry(v) {
				continue
			}
			p := path()
			if out.count[p] == 0 {
				out.order = append(out.order, p)
			}
			out.count[p]++
		}
	}
}

// jsonExpression returns an expression for all addresses in JSON whose value is root; "" if
// there are none, or too many places.
func jsonExpression(text []byte, root string) string {
	places, ok := findAddresses(text, false)
	if ok && len(places.order) > maxPaths {
		places, ok = findAddresses(text, true) // an object by name, such as {"office": {"ip": …}, …}
	}
	if !ok || len(places.order) > maxPaths {
		return ""
	}
	var out []string
	for _, p := range places.order {
		out = append(out, places.expression(root, nil, strings.Split(p, "\n"), "x"))
	}
	if len(out) == 1 {
		return out[0]
	}
	return "concat(\n    " + strings.Join(out, ",\n    ") + ",\n  )"
}

// expression is the list of the values at steps below root, which is at the path
// before. Loops have the variables x, y, z, …
func (j *jsonPlaces) expression(root string, before, steps []string, variable string) string {
	i := slices.IndexFunc(steps, func(s string) bool { return s == eachElement || s == eachValue })
	if i < 0 {
		return "[" + root + keys(steps) + "]"
	}
	base, here, rest := root+keys(steps[:i]), slices.Concat(before, steps[:i+1]), steps[i+1:]
	if slices.Contains(rest, eachElement) {
		next := string(rune(variable[0] + 1))
		return fmt.Sprintf("flatten([for %s in %s : %s])", variable, base, j.expression(variable, here, rest, next))
	}
	value := variable + keys(rest)
	all := j.elements[strings.Join(here, "\n")] == j.count[strings.Join(slices.Concat(here, rest), "\n")]
	switch {
	case len(rest) == 0 && all && steps[i] == eachElement:
		return base
	case all:
		return fmt.Sprintf("[for %s in %s : %s]", variable, base, value)
	}
	condition := fmt.Sprintf("can(%s)", value)
	if len(rest) == 0 {
		condition = fmt.Sprintf(`can(regex("^[0-9a-fA-F.:/]+$", %s))`, value)
	}
	return fmt.Sprintf("[for %s in %s : %s if %s]", variable, base, value, condition)
}

func keys(steps []string) string {
	var b strings.Builder
	for _, s := range steps {
		b.WriteString(attribute(strings.TrimPrefix(s, ".")))
	}
	return b.String()
}

// jsonLines returns an expression for a file with one JSON object per line, a format of
// logs; "" if it is not one.
func jsonLines(text []byte, file string) string {
	text = bytes.TrimSpace(text)
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	if !json.Valid(first) || !bytes.HasPrefix(bytes.TrimSpace(rest), []byte("{")) {
		return ""
	}
	places, ok := findAddresses(first, false)
	if !ok {
		return ""
	}
	steps := strings.Split(places.order[0], "\n")
	lines := fmt.Sprintf(`split("\n", trimspace(%s))`, file)
	if slices.Contains(steps, eachElement) {
		return fmt.Sprintf("flatten([for line in %s : %s])", lines, places.expression("jsondecode(line)", nil, steps, "x"))
	}
	value, condition := "jsondecode(line)"+keys(steps), ""
	for line := range bytes.SplitSeq(rest, []byte("\n")) {
		if other, ok := findAddresses(line, false); !ok || other.count[places.order[0]] == 0 {
			condition = fmt.Sprintf(" if can(%s)", value)
			break
		}
	}
	return fmt.Sprintf("[for line in %s : %s%s]", lines, value, condition)
}
