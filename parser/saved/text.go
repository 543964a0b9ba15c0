package saved

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// magic are the first bytes of files that are not text.
var magic = []struct{ bytes, what, run string }{
	{"\x1f\x8b", "compressed with gzip", "gunzip %s"},
	{"\xfd7zXZ\x00", "compressed with xz", "unxz %s"},
	{"BZh", "compressed with bzip2", "bunzip2 %s"},
	{"\x28\xb5\x2f\xfd", "compressed with zstd", "unzstd %s"},
	{"PK\x03\x04", "a zip archive (or a Word document)", "unzip %s"},
	{"%PDF", "a PDF", ""},
	{`{\rtf`, "an RTF document", ""},
	{"\x7fELF", "an executable program", ""},
}

// decode returns the text of a file in UTF-8 without a byte order mark.
func decode(name string, raw []byte) (string, error) {
	for _, m := range magic {
		if !strings.HasPrefix(string(raw[:min(len(raw), 8)]), m.bytes) {
			continue
		}
		run := "Save it as plain text."
		if m.run != "" {
			run = "Unpack it first: " + fmt.Sprintf(m.run, name)
		}
		return "", fmt.Errorf("%s is %s. %s", name, m.what, run)
	}
	switch {
	case len(raw) >= 2 && raw[0] == 0xff && raw[1] == 0xfe:
		return decode16(name, raw[2:], binary.LittleEndian)
	case len(raw) >= 2 && raw[0] == 0xfe && raw[1] == 0xff:
		return decode16(name, raw[2:], binary.BigEndian)
	case len(raw) >= 4 && len(raw)%2 == 0 && raw[0] != 0 && raw[1] == 0 && raw[2] != 0 && raw[3] == 0:
		return decode16(name, raw, binary.LittleEndian) // without a byte order mark
	}
	return strings.TrimPrefix(string(raw), "\ufeff"), nil
}

// decode16 decodes UTF-16, which PowerShell's > writes.
func decode16(name string, raw []byte, order binary.ByteOrder) (string, error) {
	damaged := fmt.Errorf("%s is damaged UTF-16 text. Save it again as UTF-8", name)
	if len(raw)%2 != 0 {
		return "", damaged
	}
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = order.Uint16(raw[2*i:])
	}
	var b strings.Builder
	for i := 0; i < len(units); i++ {
		r := rune(units[i])
		if utf16.IsSurrogate(r) {
			if i++; i == len(units) {
				return "", damaged
			}
			if r = utf16.DecodeRune(r, rune(units[i])); r == utf8.RuneError {
				return "", damaged
			}
		}
		b.WriteRune(r)
	}
	return b.String(), nil
}

// File names determine what an empty file is, because a host without tables or sets saves
// nothing, and the family of rules that do not show it.
var (
	v6Names  = regexp.MustCompile(`(?i)(ip6|ipv6|[._-]v6|^v6|inet6)`)
	v4Names  = regexp.MustCompile(`(?i)(iptables|ipv4|[._-]v4|^v4)`)
	setNames = regexp.MustCompile(`(?i)(ipset|[._-]sets?\b|^sets?\b)`)
)

// byName returns the content that the name of a file suggests, or "".
func byName(name string) Content {
	base := filepath.Base(name)
	switch {
	case setNames.MatchString(base):
		return Sets
	case v6Names.MatchString(base):
		return Rules6
	case v4Names.MatchString(base):
		return Rules4
	}
	return ""
}

// saveRules is the advice of most messages.
const saveRules = "Run on the host: iptables-save > rules.v4; ip6tables-save > rules.v6; ipset save > sets"

// format is that of files that are given instead of saved rules.
type format struct {
	text *regexp.Regexp
	what string
	run  string
}

// formats are compiled when a file has neither rules nor sets: to compile them takes a twentieth of the time
// in which the program starts.
var formats = sync.OnceValue(func() []format {
	return []format{
		{
			regexp.MustCompile(`(?m)^[ \t]*Chain \S+ \((policy \w+|\d+ references)`),
			"the output of iptables -L, which omits parts of the rules", saveRules,
		},
		{
			regexp.MustCompile(`(?m)^[ \t]*table (ip|ip6|inet|arp|bridge|netdev) \S+ *\{?[ \t\r]*$|^\s*\{\s*"nftables"`),
			"the output of nft list ruleset; dockerfw reads rules as iptables-save prints them", saveRules,
		},
		{
			regexp.MustCompile(`(?m)^\s*(nft )?(add|insert) (table|chain|rule) (ip|ip6|inet|arp|bridge|netdev) `),
			"a list of nft commands; dockerfw reads rules as iptables-save prints them", saveRules,
		},
		{
			regexp.MustCompile(`(?m)^[ \t]*(sudo )?([\w/]*/)?(ip6?tables(-nft|-legacy)?|\$\{?IP6?T\w*\}?) +-`),
			"a script of iptables commands", "Run the script on a host and save the result: iptables-save > rules.v4; ip6tables-save > rules.v6",
		},
		{
			regexp.MustCompile(`(?m)^[ \t]*(sudo )?([\w/]*/)?ipset +(-!|-exist|create|add|-N|-A)\b`),
			"a script of ipset commands", "Run on the host: ipset save > sets",
		},
		{regexp.MustCompile(`^\s*(<\?xml[^>]*>\s*)?<ipsets>`), "the output of ipset list -o xml", "Run on the host: ipset save > sets"},
		{regexp.MustCompile(`(?i)^\s*(<\?xml[^>]*>\s*)?(<!--[^>]*>\s*)*<iptables-rules`), "the output of iptables-xml", saveRules},
		{regexp.MustCompile(`(?i)^\s*<(!doctype html|html|head|body)\b`), "a web page", saveRules},
		{regexp.MustCompile(`^\s*<`), "an XML file", saveRules},
		{regexp.MustCompile(`(?m)^Status: (in)?active[ \t\r]*$`), "the output of ufw status", saveRules},
		{regexp.MustCompile(`(?m)^[ \t]+icmp-block-inversion: `), "the output of firewall-cmd", saveRules},
		{
			regexp.MustCompile(`(?m)^(host|accept|deny|ipset)( "[^"\n]*")? *\{`),
			"apparently a policy", "Rename it to end in .hcl",
		},
		{
			regexp.MustCompile(`(?mi)^.*\b(command not found|permission denied|operation not permitted|you must be root)\b`),
			"the error message of a command", "Run the command again as root. " + saveRules,
		},
		{regexp.MustCompile(`^\s*[{\[]`), "a JSON file", saveRules},
	}
})

// beforeLine matches what copying adds before the lines of saved rules: line numbers,
// marks of a quotation or of a diff.
var beforeLine = regexp.MustCompile(`(?m)^([ \t]*(?:\d+[:|.)]?[ \t]*|[>|+-]+[ \t]*))(?:\*(?:filter|nat|mangle|raw|security)|:(?:INPUT|FORWARD|OUTPUT|PREROUTING) |-P [A-Z]+ [A-Z]+|create \S+ (?:hash|bitmap|list):)`)

// otherFormat returns an error that names the format of a file without rules or sets; nil
// if the format is unknown.
func otherFormat(name, text string) error {
	if m := beforeLine.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("each line of %s begins with %q, which was added by copying. Remove it from all lines, or save the file again. %s", name, m[1], saveRules)
	}
	for _, f := range formats() {
		if f.text.MatchString(text) {
			return fmt.Errorf("%s is %s. %s", name, f.what, f.run)
		}
	}
	if strings.IndexByte(text, 0) >= 0 {
		return errors.New(name + " is a binary file. " + saveRules)
	}
	return nil
}
