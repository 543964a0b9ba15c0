package folder

import (
	"strings"
	"testing"
)

func TestAManifestOfAnotherFormatIsAnError(t *testing.T) {
	for text, want := range map[string]string{
		`{"name": "web"}`: "format 0 is not supported; this version of dockerfw reads format 1",
		`{"format": 2}`:   "format 2",
		`[`:               "manifest.json",
		``:                "manifest.json",
	} {
		if m, err := ParseManifest([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want an error with %q", text, m, err, want)
		}
	}
}
