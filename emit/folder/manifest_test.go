package folder

import (
	"strings"
	"testing"
)

func TestAManifestOfAnotherFormatIsAnError(t *testing.T) {
	for text, want := range map[string]string{
		`{"name": "web"}`: "format 0 is not supported; this version of dockerfw reads formats 1 to 2",
		`{"format": 3}`:   "format 3",
		`[`:               "manifest.json",
		``:                "manifest.json",
	} {
		if m, err := ParseManifest([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want an error with %q", text, m, err, want)
		}
	}
}

// A folder that was compiled before there were chains of the security table can be read.
func TestAManifestOfAnEarlierFormatIsRead(t *testing.T) {
	m, err := ParseManifest([]byte(`{"format": 1, "chains": [{"name": "DOCKER-USER", "family": "ipv4", "install": "replace", "rules": 2}]}`))
	if err != nil || len(m.Chains) != 1 || m.Chains[0].Table != "" {
		t.Errorf("%+v, %v", m, err)
	}
}
