package hosttool

import (
	"errors"
	"os/exec"
	"strings"
	"unicode/utf8"
)

// Error is the failure of a tool. It wraps the error of package os/exec: exec.ErrNotFound if the
// tool is not installed, *exec.ExitError if its exit status is not 0.
type Error struct {
	Tool string
	Args []string
	// Stderr is the beginning of what the tool printed on standard error, at most ten lines and
	// 2,000 bytes. It is not escaped.
	Stderr string
	Err    error
}

func (e *Error) Error() string {
	if errors.Is(e.Err, exec.ErrNotFound) {
		if p := Package(e.Tool); p != "" {
			return e.Tool + " is not installed (on Debian: apt-get install " + p + ")"
		}
		return e.Tool + " is not installed"
	}
	command := strings.Join(append([]string{e.Tool}, e.Args...), " ")
	if e.Stderr == "" {
		return command + ": " + e.Err.Error()
	}
	return command + ": " + e.Stderr + " (" + e.Err.Error() + ")"
}

func (e *Error) Unwrap() error { return e.Err }

// Package returns the Debian package that contains a tool, "" if it is not known.
func Package(tool string) string {
	base, _, _ := strings.Cut(tool, "-")
	switch base {
	case "iptables", "ip6tables", "xtables":
		return "iptables"
	case "ipset", "conntrack":
		return base
	case "nft":
		return "nftables"
	case "ip":
		return "iproute2"
	case "systemctl":
		return "systemd"
	}
	return ""
}

const (
	maxErrorBytes = 2000
	maxErrorLines = 10
)

// beginning returns the first lines of what a tool printed on standard error.
func beginning(stderr []byte) string {
	text := strings.TrimSpace(string(stderr))
	if lines := strings.SplitAfterN(text, "\n", maxErrorLines+1); len(lines) > maxErrorLines {
		text = strings.Join(lines[:maxErrorLines], "") + "…"
	}
	if len(text) > maxErrorBytes {
		end := maxErrorBytes
		for !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + "…"
	}
	return text
}

// ErrNamespace is wrapped by the error of [Runner.NewNamespace].
var ErrNamespace = errors.New("cannot create a network namespace")
