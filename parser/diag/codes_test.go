package diag

import (
	"regexp"
	"testing"

	"github.com/hashicorp/hcl/v2"
)

func TestEachCodeHasANameOfItsOwnAndAMeaning(t *testing.T) {
	name := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	seen := map[string]bool{}
	for i, c := range Classes() {
		if int(c.Code) != i+1 || !name.MatchString(c.Name) || seen[c.Name] || c.Meaning == "" {
			t.Errorf("code %d: %+v", c.Code, c)
		}
		seen[c.Name] = true
		if got := c.Code.String(); got != c.Name {
			t.Errorf("code %d is %q, want %q", c.Code, got, c.Name)
		}
	}
	if Code(0).String() != "" {
		t.Error("the zero code has a name")
	}
}

func TestDiagnosticsOfUnknownCodesCannotBeMade(t *testing.T) {
	for _, code := range []Code{0, Code(len(classes)), 255} {
		for name, build := range map[string]func(){
			"New":      func() { New(code, hcl.Range{}, "summary", "detail") },
			"Warn":     func() { Warn(code, hcl.Range{}, "summary", "detail") },
			"Note":     func() { Note(code, hcl.Range{}, "summary", "detail") },
			"WithCode": func() { WithCode(code, nil) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s accepts code %d", name, code)
					}
				}()
				build()
			}()
		}
	}
}
