package published

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// MaxInput is the most bytes that are read: a thousand containers take a megabyte.
const MaxInput = 64 << 20

// MaxPorts is the most published ports that are read: a few lines with ranges can be millions, which
// take gigabytes. All ports of two containers over both families are fewer.
const MaxPorts = 1 << 19

// containerRecord is a container as docker ps --format json prints it, one object a line. docker
// compose ps --format json has Name in place of Names.
type containerRecord struct {
	Names, Name *string
	ID          string
	Ports       *string
	Networks    string
}

// ReadContainers reads the output of docker ps --format json: an object for each container, or one
// array of them. file is its name for messages, "" for standard input.
func ReadContainers(text []byte, file string) (List, hcl.Diagnostics) {
	r := containerReader{text: text, file: file}
	if len(text) > MaxInput {
		return List{}, hcl.Diagnostics{r.problem(0, "too much input", "It is larger than %d MB, which no output of docker ps is.", MaxInput>>20)}
	}
	if first, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n")); string(bytes.TrimSpace(first)) == "json" {
		return List{}, hcl.Diagnostics{r.problem(0, "no JSON", "Engines before 23 print the word json for each container. Write there: docker ps --format '{{json .}}'")}
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	array := bytes.HasPrefix(bytes.TrimSpace(text), []byte("["))
	if array {
		_, _ = decoder.Token() // the bracket
	}
	for !array || decoder.More() {
		start := r.skip(int(decoder.InputOffset()))
		var raw json.RawMessage
		err := decoder.Decode(&raw)
		if errors.Is(err, io.EOF) && !array {
			break
		}
		if err != nil {
			r.diags = append(r.diags, r.problem(start, "no JSON", "%v. Give the output of: docker ps --format json", err))
			return r.list, r.diags
		}
		r.container(raw, start)
		if len(r.list.Ports) > MaxPorts {
			r.diags = append(r.diags, r.problem(start, "too many ports", "At most %d published ports are read.", MaxPorts))
			return List{}, r.diags
		}
	}
	if array {
		if _, err := decoder.Token(); err != nil || len(bytes.TrimSpace(text[decoder.InputOffset():])) > 0 {
			r.diags = append(r.diags, r.problem(int(decoder.InputOffset()), "no JSON", "The array does not end where the text does. Give the output of: docker ps --format json"))
		}
	}
	r.list.Ports = joinFamilies(r.list.Ports)
	return r.list, r.diags
}

type containerReader struct {
	text  []byte
	file  string
	list  List
	diags hcl.Diagnostics
	// last is the place of the last container: an array may be one line of megabytes.
	last hcl.Pos
}

// skip is the offset of the next value: after blanks and a comma.
func (r *containerReader) skip(offset int) int {
	for offset < len(r.text) && strings.IndexByte(" \t\r\n,", r.text[offset]) >= 0 {
		offset++
	}
	return offset
}

// place is the rest of the line at an offset, or the beginning of a long one.
func (r *containerReader) place(offset int) hcl.Range {
	offset = min(offset, len(r.text))
	if r.last.Line == 0 || offset < r.last.Byte {
		r.last = hcl.InitialPos
	}
	between := r.text[r.last.Byte:offset]
	if n := bytes.Count(between, []byte("\n")); n > 0 {
		r.last.Line, r.last.Column = r.last.Line+n, 1
		between = between[bytes.LastIndexByte(between, '\n')+1:]
	}
	r.last.Column += diag.Columns(string(between))
	r.last.Byte = offset
	if r.file == "" {
		return diag.Outside(fmt.Sprintf("standard input, line %d", r.last.Line))
	}
	const longest = 400
	rest, _, _ := bytes.Cut(r.text[offset:min(offset+longest, len(r.text))], []byte("\n"))
	rest = bytes.TrimRight(bytes.ToValidUTF8(rest, nil), "\r")
	end := hcl.Pos{Line: r.last.Line, Column: r.last.Column + diag.Columns(string(rest)), Byte: offset + len(rest)}
	return hcl.Range{Filename: r.file, Start: r.last, End: end}
}

func (r *containerReader) problem(offset int, summary, format string, args ...any) *hcl.Diagnostic {
	return diag.New(diag.CodeContainers, r.place(offset), summary, fmt.Sprintf(format, args...))
}

func (r *containerReader) container(raw json.RawMessage, start int) {
	var c containerRecord
	if err := json.Unmarshal(raw, &c); err != nil || c.Ports == nil {
		r.diags = append(r.diags, r.problem(start, "not a container as docker ps prints it",
			"Each object has the field Ports, which is text such as 0.0.0.0:8080->80/tcp. Give the output of: docker ps --format json"))
		return
	}
	by := c.ID
	for _, name := range []*string{c.Name, c.Names} {
		if name != nil && *name != "" {
			by = *name
		}
	}
	at := r.place(start)
	ports, err := ParsePorts(*c.Ports)
	if err != nil {
		r.diags = append(r.diags, r.problem(start, "ports that cannot be read", "%v.", err))
	}
	for _, p := range ports {
		p.By, p.At = by, at
		r.list.Ports = append(r.list.Ports, p)
	}
	if c.Networks == "host" {
		r.list.Others = append(r.list.Others, Container{By: by, At: at})
	}
}

// ParsePorts parses the column Ports of docker ps, such as "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp,
// 443/tcp". Ports that are exposed and not published are left out; of a range it returns each port.
func ParsePorts(column string) ([]Port, error) {
	var out []Port
	for item := range strings.SplitSeq(column, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		ports, err := parsePort(item)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", item, err)
		}
		out = append(out, ports...)
	}
	return out, nil
}

var errNoPort = errors.New("not a port as docker ps prints it, such as 0.0.0.0:8080->80/tcp")

func parsePort(item string) ([]Port, error) {
	host, container, published := strings.Cut(item, "->")
	if !published {
		host, container = "", item
	}
	target, protocol, found := strings.Cut(container, "/")
	first, last, ok := ParseRange(target)
	number, known := ProtocolNumber(protocol)
	if !found || !ok || !known {
		return nil, errNoPort
	}
	if !published {
		return nil, nil
	}
	p := Port{Protocol: number}
	ports := host
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		// Engines before 28 print the address :: without brackets: :::8080.
		text := strings.TrimSuffix(strings.TrimPrefix(host[:i], "["), "]")
		address, err := netip.ParseAddr(text)
		if err != nil || address.Zone() != "" || strings.HasPrefix(host, "[") != strings.HasSuffix(host[:i], "]") {
			return nil, errNoPort
		}
		p.Address, ports = address.Unmap(), host[i+1:]
	}
	from, to, ok := ParseRange(ports)
	if !ok || to-from != last-first {
		return nil, errNoPort
	}
	var out []Port
	for i := 0; i <= int(to-from); i++ {
		p.First, p.Target = from+uint16(i), first+uint16(i)
		p.Last = p.First
		out = append(out, p)
	}
	return out, nil
}

// ParseRange parses a port or a range of ports, such as 80 and 8000-8010.
func ParseRange(text string) (first, last uint16, ok bool) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	a, err1 := parseNumber(from)
	b, err2 := parseNumber(to)
	return a, b, err1 == nil && err2 == nil && a <= b
}

// parseNumber parses a port from 1 to 65535, in decimal digits alone.
func parseNumber(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || text[0] == '0' || text[0] == '+' {
		return 0, errNoPort
	}
	return uint16(n), nil
}

// joinFamilies makes one of two ports that differ only in the family: 0.0.0.0 and ::.
func joinFamilies(ports []Port) []Port {
	var out []Port
	index := map[Port]int{}
	for _, p := range ports {
		other := p
		switch p.Address {
		case netip.IPv4Unspecified():
			other.Address = netip.IPv6Unspecified()
		case netip.IPv6Unspecified():
			other.Address = netip.IPv4Unspecified()
		}
		if i, ok := index[other]; ok && other != p {
			out[i].Address = netip.Addr{}
			continue
		}
		index[p] = len(out)
		out = append(out, p)
	}
	return out
}
