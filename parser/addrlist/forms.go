package addrlist

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// maxForm is how much of a file in another format is examined, in bytes: what file() reads,
// because the message suggests an expression with it.
const maxForm = 64 << 20

// otherForm reports a file that is not a list but has addresses in another format, or none,
// once instead of for each line. head is the beginning of the file; blank is head without
// leading blanks.
func (l *list) otherForm(head, blank []byte) bool {
	first, second := dataLines(head)
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		l.wrongFile(head, "compressed list", "Unpack the file with gunzip; a list is plain text or a JSON array.")
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		l.wrongFile(head, "list in UTF-16", "Convert the file to UTF-8: iconv -f UTF-16 -t UTF-8.")
	case bytes.HasPrefix(blank, []byte("<")):
		l.wrongFile(head, "web page or XML instead of a list", "The download may be an error page. Open the address in a browser, and save the list itself: plain text with one entry per line.")
	case bytes.HasPrefix(blank, []byte("{")), jsonObjects.Match(blank):
		l.wrongJSON(head)
	default:
		summary, expression := l.tableForm(head, first, second)
		if summary == "" {
			return false
		}
		l.wrongFile(head, summary, instead(expression))
	}
	return true
}

// jsonObjects matches the beginning of an array of objects.
var jsonObjects = regexp.MustCompile(`^\[\s*\{`)

// instead returns what to write for such a file.
func instead(expression string) string {
	return "A list has one entry per line. Replace files by an expression that extracts the addresses:\n\n  entries = " + expression
}

// wrongJSON reports JSON that is not an array of strings: one value, or one per line.
func (l *list) wrongJSON(head []byte) {
	text, err := io.ReadAll(io.LimitReader(l.br, maxForm))
	summary, expression := "JSON object instead of an array", ""
	if err == nil {
		if bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("[")) {
			summary = "JSON array of objects"
		}
		file := fmt.Sprintf("file(%s)", hclQuote(l.written))
		if expression = jsonLines(text, file); expression != "" {
			summary = "JSON lines instead of a list"
		} else {
			expression = jsonExpression(text, "jsondecode("+file+")")
		}
	}
	if expression == "" {
		l.wrongFile(head, summary, "No address was found in it. Write the addresses as a JSON array of strings, or as plain text with one entry per line.")
		return
	}
	l.wrongFile(head, summary, instead(expression))
}

// dataLines are the first two lines of a file that are neither blank nor a comment.
func dataLines(head []byte) (first, second string) {
	var out []string
	for line := range strings.SplitSeq(string(head), "\n") {
		line = strings.TrimRight(line, "\r")
		if t := strings.TrimSpace(line); t == "" || t[0] == '#' || t[0] == ';' {
			continue
		}
		if out = append(out, line); len(out) == 2 {
			return out[0], out[1]
		}
	}
	return strings.Join(out, ""), ""
}

var (
	yamlItem = regexp.MustCompile(`^\s*- +["']?([0-9a-fA-F.:/]+)["']?\s*(#.*)?$`)
	yamlKey  = regexp.MustCompile(`^([\w-]+):\s*$`)
	ipsetAdd = regexp.MustCompile(`^(create \S+ (hash|bitmap|list):|add \S+ \S)`)
)

// tableForm recognizes CSV, YAML and the output of ipset save by the first lines.
func (l *list) tableForm(head []byte, first, second string) (summary, expression string) {
	file := fmt.Sprintf("file(%s)", hclQuote(l.written))
	switch {
	case yamlItem.MatchString(first) && isEntry(yamlItem.FindStringSubmatch(first)[1]):
		return "YAML instead of a list", "yamldecode(" + file + ")"
	case yamlKey.MatchString(first) && yamlItem.MatchString(second):
		return "YAML instead of a list", "yamldecode(" + file + ")" + attribute(yamlKey.FindStringSubmatch(first)[1])
	case ipsetAdd.MatchString(first):
		return "output of ipset save instead of a list", fmt.Sprintf(`[for m in regexall("(?m)^add \\S+ (\\S+)", %s) : m[0]]`, file)
	}
	for _, sep := range []rune{',', '\t', '|', ';'} {
		if strings.ContainsRune(first, sep) {
			if expression := tableExpression(head, first, second, sep, file); expression != "" {
				return map[rune]string{',': "CSV", '\t': "table with tabs", '|': "table with |", ';': "CSV with ;"}[sep] + " instead of a list", expression
			}
		}
	}
	return "", ""
}

// tableExpression returns an expression for the column with addresses of a table; "" if it
// is not a table. The first line may be the names of the columns.
func tableExpression(head []byte, first, second string, sep rune, file string) string {
	header, row := fields(first, sep), fields(second, sep)
	addresses := addressColumns(header)
	named := len(addresses) == 0
	if named {
		addresses = addressColumns(row)
	} else {
		row = header
	}
	text := false
	for i, f := range row {
		text = text || f != "" && !isEntry(f) && i > 0 || f != "" && !isEntry(f) && len(addresses) > 0
	}
	if len(row) < 2 || len(addresses) == 0 || !named && (!text || sep == ';') || named && len(header) != len(row) {
		return "" // ; begins a comment, and addresses only are several entries on a line
	}
	if !named {
		for i := range header {
			header[i] = fmt.Sprintf("c%d", i+1)
		}
	}
	if sep != ',' {
		return splitExpression(head, first, header, row, addresses, sep, named, file)
	}
	text0 := file
	if !strings.HasPrefix(string(head), first) {
		// csvdecode uses the first line as the names, even if it is a comment.
		text0 = fmt.Sprintf(`regexreplace(%s, "(?m)^[ \\t]*([#;].*)?\\r?\\n", "")`, file)
	}
	if !named {
		text0 = fmt.Sprintf(`"%s\n${%s}"`, strings.Join(header, ","), text0)
	}
	at := func(i int) string { return "row" + attribute(header[i]) }
	return fmt.Sprintf("[for row in csvdecode(%s) : %s]", text0, columns(header, row, addresses, at))
}

// splitExpression is tableExpression for separators that csvdecode does not support.
func splitExpression(head []byte, first string, header, row []string, addresses []int, sep rune, named bool, file string) string {
	before := strings.Count(strings.TrimLeft(string(head[:bytes.Index(head, []byte(first))]), " \t\r\n"), "\n")
	at := func(i int) string {
		return fmt.Sprintf("trimspace(split(%s, line)[%d])", hclQuote(string(sep)), i)
	}
	if named {
		before++
	}
	condition := ""
	if before > 0 {
		condition = fmt.Sprintf(" if i >= %d", before)
	}
	return fmt.Sprintf(`[for i, line in split("\n", trimspace(%s)) : %s%s]`, file, columns(header, row, addresses, at), condition)
}

var rangeNames = regexp.MustCompile(`(?i)(start|from|first|low|begin|c\d)`)

// columns is the expression for a row: the addresses, or the two ends of a range.
func columns(header, row []string, addresses []int, at func(int) string) string {
	if len(addresses) > 1 && addresses[1] == addresses[0]+1 && rangeNames.MatchString(header[addresses[0]]) &&
		!strings.ContainsAny(row[addresses[0]]+row[addresses[1]], "/-") {
		return fmt.Sprintf(`"${%s}-${%s}"`, at(addresses[0]), at(addresses[1]))
	}
	return at(addresses[0])
}

// fields splits a line of a table.
func fields(line string, sep rune) []string {
	r := csv.NewReader(strings.NewReader(line))
	r.Comma, r.LazyQuotes = sep, true
	out, err := r.Read()
	if err != nil {
		return nil
	}
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}

func addressColumns(row []string) []int {
	var out []int
	for i, f := range row {
		if isEntry(f) {
			out = append(out, i)
		}
	}
	return out
}

// isEntry reports whether text looks like an address, a network or a range.
func isEntry(text string) bool {
	if !strings.ContainsAny(text, ".:") {
		return false
	}
	_, p := ParseEntry(text)
	return p == nil || p.Code == diag.CodeHostBits
}

// attribute is a step to a value by its key.
func attribute(key string) string {
	if hclsyntax.ValidIdentifier(key) {
		return "." + key
	}
	return "[" + hclQuote(key) + "]"
}

// hclQuote writes a string of HCL.
func hclQuote(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(strconv.Quote(s))
}
