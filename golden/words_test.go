package golden

import (
	"os"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
)

// avoided are words that read like a literal translation, or that are not the term of the
// field, with what to write instead.
var avoided = []struct{ pattern, instead string }{
	{`\b(of others|somebody else('s)?|nobody else's)\b`, "foreign (rules, chains), unmanaged (sets)"},
	{`\b(in vain|does nothing any more)\b`, "has no effect, unreachable, redundant, shadowed by"},
	{`\b(rule|chain|policy|program|jump|set|file|table|it|what|text)s? (stands?\b|asks?\b|meets?\b)`, "is in, appears; matches"},
	{`\b(in|out) by (eth|br|docker)`, "arriving on, leaving on"},
	{`\b(in thought|imagined host)\b`, "simulated"},
	{`\b[Aa] second line$`, "fallback rules in the security table"},
	{`\b(guard of docker-proxy|guarded|unguard|the guard)\b`, "INPUT protection; protected ports"},
	{`\b(goes|is put|are put) back\b`, "is rolled back"},
	{`\bmend(s|ed|ing)?\b`, "fix"},
	{`\bfor want of\b`, "because … is missing"},
	{`\bwhom\b`, "the clients you list"},
	{`\b(not modell?ed|unmodell?ed)\b`, "not supported"},
	{`\bmultipl(y|ies|ied) out\b`, "cartesian product"},
	{`\b([Ff]riends?|[Ss]trangers?|[Kk]nock(s|ed|ing)?|[Hh]ammer(s|ed|ing)?)\b`, "allowed client, other client, probe, load client"},
	{`\bhand(s|ed|ing)?[ -]over\b`, "jump"},
	{`\b(further than before|less far)\b`, "newly allowed, newly blocked"},
	{`\bnobody confirmed\b`, "not confirmed in time"},
	{`\b(lacks|has) \d+ (prefix|entr)`, "N missing entries, N unexpected entries"},
}

// proper is text in which such a word is a name or a term: of a file, a command or a table.
var proper = regexp.MustCompile(`words_test\.go|unguarded|warning-unguarded|CodeUnguarded`)

// TestTheTreeUsesTheFieldsWords reads every text of the repository: code, comments, messages
// and documents.
func TestTheTreeUsesTheFieldsWords(t *testing.T) {
	var patterns []*regexp.Regexp
	var literals [][]string
	for _, a := range avoided {
		patterns = append(patterns, regexp.MustCompile(a.pattern))
		parsed, err := syntax.Parse(a.pattern, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		if literals = append(literals, required(parsed)); len(literals[len(literals)-1]) == 0 {
			t.Errorf("%s matches text without any certain word, so that it takes long to look for it", a.pattern)
		}
	}
	read := 0
	for _, suffix := range []string{".go", ".md", ".sh", ".txt", ".hcl", ".yml", ".yaml", ".service", "Makefile", ".ci/run"} {
		for _, file := range repositoryFiles(t, suffix) {
			slash := filepath.ToSlash(file)
			if strings.HasSuffix(slash, "golden/words_test.go") || strings.Contains(slash, "/testdata/fuzz/") || filepath.Base(slash) == "words_test.go" {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			read++
			for i, line := range strings.Split(string(text), "\n") {
				for k, p := range patterns {
					// To look for literal text first takes a tenth of the time.
					if !slices.ContainsFunc(literals[k], func(s string) bool { return strings.Contains(line, s) }) {
						continue
					}
					if found := p.FindString(proper.ReplaceAllString(line, "")); found != "" {
						t.Errorf("%s:%d: %q; write: %s", slash, i+1, found, avoided[k].instead)
					}
				}
			}
		}
	}
	if read < 300 {
		t.Errorf("only %d files were read", read)
	}
	if !slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString("rules of others stand in vain") }) {
		t.Error("the patterns match nothing")
	}
}

// required are texts of which each match of an expression has at least one; none if that is not known.
func required(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			return nil
		}
		return []string{string(re.Rune)}
	case syntax.OpCapture:
		return required(re.Sub[0])
	case syntax.OpAlternate:
		var out []string
		for _, sub := range re.Sub {
			texts := required(sub)
			if len(texts) == 0 {
				return nil
			}
			out = append(out, texts...)
		}
		return out
	case syntax.OpConcat:
		// The part whose shortest text is the longest excludes the most.
		var best []string
		length := 0
		for _, sub := range re.Sub {
			if texts := required(sub); len(texts) > 0 {
				if shortest := len(slices.MinFunc(texts, func(a, b string) int { return len(a) - len(b) })); shortest > length {
					best, length = texts, shortest
				}
			}
		}
		return best
	}
	return nil
}
