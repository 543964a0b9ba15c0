// Package shell quotes words of the commands that messages propose.
//
// In: words. Out: one command line for a POSIX shell. It runs nothing.
package shell

import "strings"

// plain are the characters that a POSIX shell takes literally in any position but the
// first, where a tilde is a home directory.
const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./:+=@%,~^"

// Word returns s as one word of a POSIX shell, quoted only where it has to be.
func Word(s string) string {
	if s != "" && s[0] != '~' && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Command returns words as a command that can be typed.
func Command(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Word(w)
	}
	return strings.Join(quoted, " ")
}
