//go:build linux

package e2e

import (
	"os"
	"testing"
)

// readOr reads a file; a missing one has the fallback's text.
func readOr(t *testing.T, path, fallback string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return fallback
	} else if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
