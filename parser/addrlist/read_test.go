package addrlist

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// readAll returns the results of Read, entries first, as "line:column text"; the text is
// cut from the input by its bytes.
func readAll(t *testing.T, r io.Reader, input string) (entries, problems []string) {
	t.Helper()
	place := func(rng hcl.Range) string {
		if rng.Filename != "list" {
			t.Errorf("file name %q", rng.Filename)
		}
		return fmt.Sprintf("%d:%d %s", rng.Start.Line, rng.Start.Column, input[rng.Start.Byte:rng.End.Byte])
	}
	diags := Read(r, "list", "list", func(_ netipx.IPRange, rng hcl.Range) { entries = append(entries, place(rng)) })
	for _, d := range diags {
		info := diag.InfoOf(d)
		problems = append(problems, fmt.Sprintf("%s [%s: %s]", place(*d.Subject), info.Code, d.Summary))
		checkCaret(t, d, input)
	}
	return entries, problems
}

// checkCaret checks that the columns of a place mark the same text as its bytes.
func checkCaret(t *testing.T, d *hcl.Diagnostic, input string) {
	t.Helper()
	line, rng := []rune(diag.InfoOf(d).Line), *d.Subject
	if len(line) == 0 || rng.Start.Line != rng.End.Line {
		return
	}
	if len(string(line)) > maxShown {
		t.Errorf("line too long to be shown: %d bytes", len(string(line)))
	}
	from, to := min(rng.Start.Column-1, len(line)), min(rng.End.Column-1, len(line))
	want := []rune(input[rng.Start.Byte:rng.End.Byte])
	if d := cmp.Diff(string(want[:min(len(want), to-from)]), string(line[from:to])); d != "" {
		t.Errorf("caret: %s", d)
	}
}

func TestReadYieldsEntriesAndReportsTheRest(t *testing.T) {
	for name, tt := range map[string]struct {
		input             string
		entries, problems []string
	}{
		"an empty file": {},
		"blank lines and comments only": {
			input: "# a\n\n ; b\n\t\n\r\n",
		},
		"one entry per line": {
			input:   "192.0.2.1\n10.0.0.0/8\n::1-::2\n",
			entries: []string{"1:1 192.0.2.1", "2:1 10.0.0.0/8", "3:1 ::1-::2"},
		},
		"no newline at the end": {
			input:   "192.0.2.1\n192.0.2.2",
			entries: []string{"1:1 192.0.2.1", "2:1 192.0.2.2"},
		},
		"CRLF and a byte order mark": {
			input:   "\ufeff192.0.2.1\r\n192.0.2.2 # x\r\n",
			entries: []string{"1:1 192.0.2.1", "2:1 192.0.2.2"},
		},
		"blanks around an entry": {
			input:   "\t 192.0.2.1 \t\n",
			entries: []string{"1:3 192.0.2.1"},
		},
		"a Spamhaus DROP list": {
			input:   "; Spamhaus DROP List 2024/01/01\n1.10.16.0/20 ; SBL256894\n1.19.0.0/16;SBL434604\n",
			entries: []string{"2:1 1.10.16.0/20", "3:1 1.19.0.0/16"},
		},
		"blanks around the dash of a range": {
			input:   "10.0.0.1 - 10.0.0.2\n10.0.0.1- 10.0.0.2 # x\n10.0.0.1 -10.0.0.2\n",
			entries: []string{"1:1 10.0.0.1 - 10.0.0.2", "2:1 10.0.0.1- 10.0.0.2", "3:1 10.0.0.1 -10.0.0.2"},
		},
		"a comment that is not UTF-8": {
			input:   "192.0.2.1 # caf\xe9\n",
			entries: []string{"1:1 192.0.2.1"},
		},
		"bad lines among good ones": {
			input:    "192.0.2.1\n 10.0.0.5/8 # x\n192.0.2.2\nexample.com\n",
			entries:  []string{"1:1 192.0.2.1", "3:1 192.0.2.2"},
			problems: []string{"2:2 10.0.0.5/8 [host-bits: host bits set below the mask]", "4:1 example.com [address-syntax: not an address]"},
		},
		"a bad line after a byte order mark": {
			input:    "\ufeff10.0.0.0/33\n",
			problems: []string{"1:10 33 [prefix-length: prefix length out of range]"},
		},
		"text after an entry": {
			input:    "192.0.2.1 7 # x\n10.0.0.1 - 10.0.0.2\tmüll, viel\n",
			problems: []string{"1:11 7 [list-syntax: text after an entry]", "2:21 müll, viel [list-syntax: text after an entry]"},
		},
		"an item of a bulleted list": {
			input:    "- 192.0.2.1\n",
			problems: []string{"1:1 - [list-syntax: YAML instead of a list]"},
		},
		"a range cut short": {
			input:    "192.0.2.1 -\n",
			problems: []string{"1:11 - [address-syntax: range with one end]"},
		},
		"binary data": {
			input:    "192.0.2.1\n192.0.2.2\x00\nab\xffcd\n192.0.2.3\r192.0.2.4\n",
			entries:  []string{"1:1 192.0.2.1"},
			problems: []string{"2:10 \x00 [list-syntax: binary data]", "3:3 \xff [list-syntax: binary data]", "4:10 \r [list-syntax: binary data]"},
		},
		"a compressed file": {
			input:    "\x1f\x8b\x08\x00\n\x00\n",
			problems: []string{"1:1 \x1f [list-syntax: compressed list]"},
		},
		"a file in UTF-16": {
			input:    "\xff\xfe1\x002\x00",
			problems: []string{"1:1 \xff [list-syntax: list in UTF-16]"},
		},
		"a JSON object": {
			input:    "\n {\"cidr\":\"1.10.16.0/20\"}\n",
			problems: []string{"2:2 { [list-syntax: JSON object instead of an array]"},
		},
		"an empty JSON array": {
			input: " [ ] \n",
		},
		"a JSON array": {
			input:   "\ufeff\r\n[\"192.0.2.1\", \"10.0.0.0/8\",\n\t\"::1-::2\"]\n",
			entries: []string{"2:3 192.0.2.1", "2:16 10.0.0.0/8", "3:3 ::1-::2"},
		},
		"a JSON string with an escape": {
			input:    `["10.0.0.0\/8","\u0031.2.3.4x"]`,
			entries:  []string{`1:3 10.0.0.0\/8`},
			problems: []string{`1:17 \u0031.2.3.4x [address-syntax: not an address]`},
		},
		"JSON elements that are no strings": {
			input:   "[1, null, {\"a]\\\"\": [2,\n3]}, [], true,\"10.0.0.1\"]",
			entries: []string{"2:16 10.0.0.1"},
			problems: []string{
				"1:2 1 [list-syntax: JSON element that is not a string]",
				"1:5 null [list-syntax: JSON element that is not a string]",
				"1:11 {\"a]\\\"\": [2,\n3]} [list-syntax: JSON element that is not a string]",
				"2:6 [] [list-syntax: JSON element that is not a string]",
				"2:10 true [list-syntax: JSON element that is not a string]",
			},
		},
		"bad strings in JSON": {
			input:    `["", "ä", "10.0.0.5/8", "fe80::1%eth0"]`,
			problems: []string{`1:2 "" [address-syntax: missing address]`, `1:7 ä [address-syntax: invalid address]`, `1:12 10.0.0.5/8 [host-bits: host bits set below the mask]`, `1:33 %eth0 [address-syntax: address with a zone]`},
		},
		"a JSON array without an end": {
			input:    "[\"10.0.0.1\"\n",
			entries:  []string{"1:3 10.0.0.1"},
			problems: []string{"2:1  [list-syntax: malformed JSON]"},
		},
		"a JSON string without an end": {
			input:    "[\"10.0.0.1\n",
			problems: []string{"1:11  [list-syntax: malformed JSON]"},
		},
		"a comma after the last JSON element": {
			input:    `["10.0.0.1",]`,
			entries:  []string{"1:3 10.0.0.1"},
			problems: []string{"1:13 ] [list-syntax: malformed JSON]"},
		},
		"no comma between JSON elements": {
			input:    `["10.0.0.1" "10.0.0.2"]`,
			entries:  []string{"1:3 10.0.0.1"},
			problems: []string{`1:13 " [list-syntax: malformed JSON]`},
		},
		"a JSON element without quotes": {
			input:    `[10.0.0.1, "10.0.0.2"]`,
			problems: []string{`1:2 10.0.0.1 [list-syntax: malformed JSON]`},
		},
		"a bad escape in JSON": {
			input:    `["10\.0"]`,
			problems: []string{`1:3 10\.0 [list-syntax: malformed JSON]`},
		},
		"JSON that is not UTF-8": {
			input:    "[\"\xff\"]",
			problems: []string{"1:3 \xff [list-syntax: malformed JSON]"},
		},
		"JSON that is not UTF-8 deep in an element": {
			input:    "[[\"\xff\xe4\xbc\"]ü]",
			problems: []string{"1:2 [\"\xff\xe4\xbc\"] [list-syntax: JSON element that is not a string]", "1:9 ü [list-syntax: malformed JSON]"},
		},
		"text after the JSON array": {
			input:    "[\"10.0.0.1\"]\n\n [\"10.0.0.2\"]",
			entries:  []string{"1:3 10.0.0.1"},
			problems: []string{"3:2 [ [list-syntax: text after the JSON array]"},
		},
		"a JSON element too long": {
			input:    `["` + strings.Repeat("x", maxLine+1) + `"]`,
			problems: []string{`1:2 "` + strings.Repeat("x", maxLine) + " [list-syntax: JSON element too long]"},
		},
		"a line too long": {
			input:    "#" + strings.Repeat("x", maxLine) + "\n10.0.0.1\n",
			entries:  []string{"2:1 10.0.0.1"},
			problems: []string{"1:1 #" + strings.Repeat("x", maxLine-1) + " [list-syntax: line too long]"},
		},
		"a line longer than the buffer": {
			input:    strings.Repeat("x", maxLine) + "\r" + strings.Repeat("\xff", 3*bufferSize) + "\n10.0.0.1\n",
			entries:  []string{"2:1 10.0.0.1"},
			problems: []string{"1:1 " + strings.Repeat("x", maxLine) + " [list-syntax: line too long]"},
		},
		"the longest line": {
			input:   "10.0.0.1 #" + strings.Repeat("x", maxLine-10) + "\r\n10.0.0.2\n",
			entries: []string{"1:1 10.0.0.1", "2:1 10.0.0.2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{
				strings.NewReader(tt.input),
				iotest.OneByteReader(strings.NewReader(tt.input)),
				iotest.DataErrReader(strings.NewReader(tt.input)),
			} {
				entries, problems := readAll(t, r, tt.input)
				if d := cmp.Diff(tt.entries, entries); d != "" {
					t.Errorf("entries: %s", d)
				}
				if d := cmp.Diff(tt.problems, problems); d != "" {
					t.Errorf("problems: %s", d)
				}
			}
		})
	}
}

func TestReadYieldsTheValueOfEachEntry(t *testing.T) {
	var got []string
	diags := Read(strings.NewReader("10.0.0.0/30\n::1 - ::3"), "list", "list", func(r netipx.IPRange, _ hcl.Range) { got = append(got, r.String()) })
	if d := cmp.Diff([]string{"10.0.0.0-10.0.0.3", "::1-::3"}, got); d != "" || diags.HasErrors() {
		t.Error(d, diags)
	}
}

func TestReadShowsTheSourceLine(t *testing.T) {
	long := strings.Repeat("ü", 150)
	for name, tt := range map[string]struct{ input, want string }{
		"without its line end":                      {"\ufeff 10.1\t# x\r\n", " 10.1\t# x"},
		"cut at a whole code point":                 {"10.1 # " + long, "10.1 # " + long[:192]},
		"with a mark for each byte that is no text": {"a\xff\xfe", "a\ufffd\ufffd"},
		"not at all where the place was cut off":    {strings.Repeat(" ", 250) + "10.1", ""},
		"of JSON as well":                           {"[\n \"10.1\", \"10.0.0.1\"]", " \"10.1\", \"10.0.0.1\"]"},
		"of JSON not where the place was cut off":   {"[" + strings.Repeat(" ", 250) + "\"10.1\"]", ""},
	} {
		t.Run(name, func(t *testing.T) {
			diags := Read(strings.NewReader(tt.input), "list", "list", func(netipx.IPRange, hcl.Range) {})
			if len(diags) != 1 {
				t.Fatal(diags)
			}
			if d := cmp.Diff(tt.want, diag.InfoOf(diags[0]).Line); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestReadCountsProblemsPastTheLimit(t *testing.T) {
	for name, tt := range map[string]struct {
		input string
		n     int
		last  string
	}{
		"exactly as many":              {strings.Repeat("bad\n", MaxProblems), MaxProblems, `"bad" is not`},
		"one more":                     {strings.Repeat("bad\n", MaxProblems+1), MaxProblems + 1, "1 more of the lines of this file has an error"},
		"many more":                    {strings.Repeat("bad\n", 1000), MaxProblems + 1, "980 more lines of this file have errors"},
		"many more of JSON":            {"[0" + strings.Repeat(",0", 999) + "]", MaxProblems + 1, "980 more elements of this file have errors"},
		"many more, and then no JSON":  {"[0" + strings.Repeat(",0", 999), MaxProblems + 2, "The array is not closed"},
		"many more of JSON, cut short": {"[0" + strings.Repeat(",0", 999) + ",", MaxProblems + 2, "Write a string"},
	} {
		t.Run(name, func(t *testing.T) {
			diags := Read(strings.NewReader(tt.input), "list", "list", func(netipx.IPRange, hcl.Range) {})
			if len(diags) != tt.n {
				t.Fatalf("%d diagnostics", len(diags))
			}
			if last := diags[len(diags)-1].Detail; !strings.Contains(last, tt.last) {
				t.Error(last)
			}
		})
	}
}

func TestReadReportsAReaderThatFails(t *testing.T) {
	for name, tt := range map[string]struct {
		input   string
		entries []string
	}{
		"at once":                          {"", nil},
		"in the middle of an address":      {"10.0.0.1\n10.0.0.10", []string{"1:1 10.0.0.1"}},
		"between two JSON elements":        {`["10.0.0.1",`, []string{"1:3 10.0.0.1"}},
		"in the middle of a JSON string":   {`["10.0.0.1","10.`, []string{"1:3 10.0.0.1"}},
		"after a JSON number":              {`["10.0.0.1",1`, []string{"1:3 10.0.0.1"}},
		"after the JSON array":             {`["10.0.0.1"]`, []string{"1:3 10.0.0.1"}},
		"in a line longer than the buffer": {strings.Repeat("x", 2*bufferSize), nil},
	} {
		t.Run(name, func(t *testing.T) {
			// The reader fails once and then goes on, as a flaky disk would.
			r := io.MultiReader(strings.NewReader(tt.input), &failsOnce{r: strings.NewReader("0.0.0.1\n")})
			entries, problems := readAll(t, r, tt.input+"0.0.0.1\n")
			if d := cmp.Diff(tt.entries, entries); d != "" {
				t.Error(d)
			}
			if len(problems) != 1 || !strings.Contains(problems[0], "[list-read: ") {
				t.Error(problems)
			}
		})
	}
}

type failsOnce struct {
	r      io.Reader
	failed bool
}

func (f *failsOnce) Read(b []byte) (int, error) {
	if !f.failed {
		f.failed = true
		return 0, errors.New("input/output error")
	}
	return f.r.Read(b)
}

func FuzzRead(f *testing.F) {
	f.Fuzz(func(t *testing.T, input []byte) {
		type place struct{ line, column, byte int }
		good, bad := map[int]int{}, map[int]int{} // how many in each line
		n := 0
		last := place{1, 1, -1}
		diags := Read(bytes.NewReader(input), "list", "list", func(r netipx.IPRange, rng hcl.Range) {
			n++
			good[rng.Start.Line]++
			checkEntry(t, r)
			if rng.Start.Byte <= last.byte {
				t.Fatalf("%v after %v", rng, last)
			}
			last = place{rng.Start.Line, rng.Start.Column, rng.Start.Byte}
			if text := string(input[rng.Start.Byte:rng.End.Byte]); !strings.Contains(text, `\`) {
				if again, p := ParseEntry(text); p != nil || again != r {
					t.Fatalf("%v: %q is %v", rng, text, again)
				}
			}
			checkPos(t, input, rng.Start)
			checkPos(t, input, rng.End)
		})
		for _, d := range diags {
			bad[d.Subject.Start.Line]++
			checkPos(t, input, d.Subject.Start)
			checkPos(t, input, d.Subject.End)
			checkCaret(t, d, string(input))
			if info := diag.InfoOf(d); info.Code == 0 || info.Code == diag.CodeListRead || !utf8.ValidString(info.Line) {
				t.Errorf("%+v", info)
			}
		}
		if len(diags) > MaxProblems {
			return
		}
		if len(diags) == 1 && (strings.Contains(diags[0].Summary, " instead of a") || diags[0].Summary == "JSON array of objects") {
			if n != 0 {
				t.Errorf("%d entries of what is no list", n)
			}
			return
		}

		text := bytes.TrimPrefix(input, []byte("\ufeff"))
		trimmed := bytes.TrimLeft(text, " \t\r\n")
		switch {
		case bytes.HasPrefix(trimmed, []byte("[")):
			var elements []json.RawMessage
			err := json.Unmarshal(text, &elements)
			if err == nil && n+len(diags) != len(elements) && bytes.IndexFunc(text, notText) < 0 && len(text) < maxLine {
				t.Errorf("%d elements, %d good and %d bad", len(elements), n, len(diags))
			}
			if err != nil && len(diags) == 0 {
				t.Errorf("malformed JSON taken: %v", err)
			}
		case bytes.HasPrefix(trimmed, []byte("{")), bytes.HasPrefix(text, []byte("\x1f\x8b")),
			bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
			if n != 0 || len(diags) != 1 {
				t.Errorf("%d entries, %d diagnostics of what is no list", n, len(diags))
			}
		default:
			for i, line := range bytes.Split(text, []byte("\n")) {
				content, _, _ := strings.Cut(strings.ReplaceAll(strings.TrimSuffix(string(line), "\r"), ";", "#"), "#")
				want := 0
				if strings.Trim(content, " \t") != "" || bytes.IndexByte(line, 0) >= 0 || len(line) > maxLine+1 {
					want = 1
				}
				if got := good[i+1] + bad[i+1]; got != want && len(line) <= maxLine {
					t.Errorf("line %d %q: %d good, %d bad", i+1, line, good[i+1], bad[i+1])
				}
			}
		}
	})
}

// checkPos checks line and column of a place against its byte.
func checkPos(t *testing.T, input []byte, pos hcl.Pos) {
	t.Helper()
	before := bytes.TrimPrefix(input[:pos.Byte], []byte("\ufeff"))
	line := 1 + bytes.Count(before, []byte("\n"))
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	if line != pos.Line || column != pos.Column {
		t.Errorf("%+v is %d:%d", pos, line, column)
	}
}

func BenchmarkReadMillionLines(b *testing.B) {
	var plain, array bytes.Buffer
	addr := netip.MustParseAddr("11.0.0.0")
	for i := range 1_000_000 {
		sep := ","
		if i == 0 {
			sep = "["
		}
		fmt.Fprintf(&plain, "%s\n", addr)
		fmt.Fprintf(&array, "%s\n%q", sep, addr)
		addr = addr.Next()
	}
	array.WriteString("]")
	for _, bb := range []struct {
		name  string
		input []byte
	}{{"plain", plain.Bytes()}, {"json", array.Bytes()}} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(bb.input)))
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				diags := Read(bytes.NewReader(bb.input), "list", "list", func(netipx.IPRange, hcl.Range) { n++ })
				if n != 1_000_000 || diags.HasErrors() {
					b.Fatal(n, diags)
				}
			}
		})
	}
}
