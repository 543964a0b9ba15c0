package saved

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// magic are the first bytes of files that hold no text.
var magic = []struct{ bytes, what, run string }{
	{"\x1f\x8b", "compressed with gzip", "gunzip %s"},
	{"\xfd7zXZ\x00", "compressed with xz", "unxz %s"},
	{"BZh", "compressed with bzip2", "bunzip2 %s"},
	{"\x28\xb5\x2f\xfd", "compressed with zstd", "unzstd %s"},
	{"PK\x03\x04", "a zip archive (as Word's files are)", "unzip %s"},
	{"%PDF", "a PDF", ""},
	{`{\rtf`, "a document in RTF", ""},
	{"\x7fELF", "a program", ""},
}

// decode gives a file's text in UTF-8 without a byte order mark.
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
		return decode16(name, raw, binary.LittleEndian) // without its mark
	}
	return strings.TrimPrefix(string(raw), "\ufeff"), nil
}

// decode16 reads UTF-16, which is what PowerShell's > writes.
func decode16(name string, raw []byte, order binary.ByteOrder) (string, error) {
	damaged := fmt.Errorf("%s is damaged text in UTF-16. Save it again, in UTF-8", name)
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

// What names say: of empty files, as a host without tables or without sets saves
// nothing, and of rules of which nothing else tells the family.
var (
	sixthNames  = regexp.MustCompile(`(?i)(ip6|ipv6|[._-]v6|^v6|inet6)`)
	fourthNames = regexp.MustCompile(`(?i)(iptables|ipv4|[._-]v4|^v4)`)
	setNames    = regexp.MustCompile(`(?i)(ipset|[._-]sets?\b|^sets?\b)`)
)

func byName(name string) Content {
	base := filepath.Base(name)
	switch {
	case setNames.MatchString(base):
		return Sets
	case sixthNames.MatchString(base):
		return Rules6
	case fourthNames.MatchString(base):
		return Rules4
	}
	return ""
}

// saveRules is the advice of most messages.
const saveRules = "Run on the host: iptables-save > rules.v4; ip6tables-save > rules.v6; ipset save > sets"

// formats are what people have instead of a dump.
var formats = []struct {
	text *regexp.Regexp
	what string
	run  string
}{
	{
		regexp.MustCompile(`(?m)^[ \t]*Chain \S+ \((policy \w+|\d+ references)`),
		"what iptables -L prints, which does not show rules in full", saveRules,
	},
	{
		regexp.MustCompile(`(?m)^[ \t]*table (ip|ip6|inet|arp|bridge|netdev) \S+ *\{?[ \t\r]*$|^\s*\{\s*"nftables"`),
		"what nft list ruleset prints; dockerfw reads rules as iptables prints them", saveRules,
	},
	{
		regexp.MustCompile(`(?m)^\s*(nft )?(add|insert) (table|chain|rule) (ip|ip6|inet|arp|bridge|netdev) `),
		"a list of nft commands; dockerfw reads rules as iptables prints them", saveRules,
	},
	{
		regexp.MustCompile(`(?m)^[ \t]*(sudo )?([\w/]*/)?(ip6?tables(-nft|-legacy)?|\$\{?IP6?T\w*\}?) +-`),
		"a script of iptables commands", "Run the script on a host and save what it makes there: iptables-save > rules.v4; ip6tables-save > rules.v6",
	},
	{
		regexp.MustCompile(`(?m)^[ \t]*(sudo )?([\w/]*/)?ipset +(-!|-exist|create|add|-N|-A)\b`),
		"a script of ipset commands", "Run on the host: ipset save > sets",
	},
	{regexp.MustCompile(`^\s*(<\?xml[^>]*>\s*)?<ipsets>`), "what ipset list -o xml prints", "Run on the host: ipset save > sets"},
	{regexp.MustCompile(`(?i)^\s*(<\?xml[^>]*>\s*)?(<!--[^>]*>\s*)*<iptables-rules`), "what iptables-xml prints", saveRules},
	{regexp.MustCompile(`(?i)^\s*<(!doctype html|html|head|body)\b`), "a web page", saveRules},
	{regexp.MustCompile(`^\s*<`), "a file in XML", saveRules},
	{regexp.MustCompile(`(?m)^Status: (in)?active[ \t\r]*$`), "what ufw status prints", saveRules},
	{regexp.MustCompile(`(?m)^[ \t]+icmp-block-inversion: `), "what firewall-cmd prints", saveRules},
	{
		regexp.MustCompile(`(?m)^(host|accept|deny|ipset)( "[^"\n]*")? *\{`),
		"a policy, by the look of it", "Give it a name that ends in .hcl",
	},
	{
		regexp.MustCompile(`(?mi)^.*\b(command not found|permission denied|operation not permitted|you must be root)\b`),
		"the error message of a command", "Run the command again as root. " + saveRules,
	},
	{regexp.MustCompile(`^\s*[{\[]`), "a file in JSON", saveRules},
}

// beforeLine is what pasting puts before the lines of a dump: line numbers, marks of
// quotation or of a diff.
var beforeLine = regexp.MustCompile(`(?m)^([ \t]*(?:\d+[:|.)]?[ \t]*|[>|+-]+[ \t]*))(?:\*(?:filter|nat|mangle|raw|security)|:(?:INPUT|FORWARD|OUTPUT|PREROUTING) |-P [A-Z]+ [A-Z]+|create \S+ (?:hash|bitmap|list):)`)

// otherFormat says what a file is that is no dump; nil where nothing is known of it.
func otherFormat(name, text string) error {
	if m := beforeLine.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("each line of %s has %q before it, which was pasted in. Remove that from all lines, or save the file again. %s", name, m[1], saveRules)
	}
	for _, f := range formats {
		if f.text.MatchString(text) {
			return fmt.Errorf("%s is %s. %s", name, f.what, f.run)
		}
	}
	if strings.IndexByte(text, 0) >= 0 {
		return errors.New(name + " is a binary file. " + saveRules)
	}
	return nil
}
