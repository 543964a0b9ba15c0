// Package starter writes the first policy of a host, which a user then edits.
//
// In: what is known about the host: its external interfaces, what containers publish and what
// else listens, each with where it was found ([Host]); and the clients that the user lists. Out:
// policy.hcl, or an error if the directory has a policy. The policy lets nobody in but those
// clients. The package reads nothing of a host, and overwrites nothing.
package starter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/published"
	"github.com/dockerfw/dockerfw/parser"
)

// Host is what is known about the host of the policy.
type Host struct {
	// Source is what it was read from, as in "compose.yaml"; "" for nothing.
	Source string
	// External are the external interfaces, at least one.
	External []Interface
	// PortsKnown: Published is all that containers publish.
	PortsKnown bool
	Published  published.List
	// ServicesKnown: Services are all programs of the host that wait for clients.
	ServicesKnown bool
	Services      []published.Service
	// Office are the clients that the user lists, each an address, network or range.
	Office []string
}

// Interface is an external interface, with the sentence that says why it is one; "" for none.
type Interface struct{ Name, Why string }

// Existing returns the policy that a directory has already; "" if it has none.
func Existing(dir string) string {
	found, err := filepath.Glob(filepath.Join(dir, "*.hcl*"))
	if err != nil || len(found) == 0 {
		return ""
	}
	return found[0]
}

// Write writes policy.hcl into a directory, which it creates if it does not exist, and
// returns its path.
func Write(dir string, h Host) (string, error) {
	if existing := Existing(dir); existing != "" {
		return "", fmt.Errorf("%s already exists; not overwritten", existing)
	}
	path := filepath.Join(dir, "policy.hcl")
	text, diags := parser.Format(Text(h), path)
	if diags.HasErrors() {
		return "", diags
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return path, writeNew(path, text)
}

// writeNew writes a file that does not exist yet; after an error there is none.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
