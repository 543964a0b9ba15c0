package handmade

import (
	"path"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

func wordsOf(s *syntax.Stmt) []string {
	call, ok := s.Cmd.(*syntax.CallExpr)
	if !ok {
		return nil
	}
	var out []string
	for _, w := range call.Args {
		text, ok := literal(w)
		if !ok {
			return nil
		}
		out = append(out, text)
	}
	return withoutSudo(out)
}

// literal is the text of a word without expansions, and without its quotes.
func literal(w *syntax.Word) (string, bool) {
	var b strings.Builder
	ok := w != nil
	var add func(parts []syntax.WordPart, quoted bool)
	add = func(parts []syntax.WordPart, quoted bool) {
		for _, p := range parts {
			switch p := p.(type) {
			case *syntax.Lit:
				text := p.Value
				if !quoted && strings.ContainsAny(text, "*?[]{}~") && !strings.Contains(text, "\\") {
					ok = ok && !strings.ContainsAny(text, "*?[{~")
				}
				b.WriteString(unescape(text, quoted))
			case *syntax.SglQuoted:
				ok = ok && !p.Dollar
				b.WriteString(p.Value)
			case *syntax.DblQuoted:
				ok = ok && !p.Dollar
				add(p.Parts, true)
			default:
				ok = false
			}
		}
	}
	if ok {
		add(w.Parts, false)
	}
	return b.String(), ok
}

// unescape removes backslashes as a shell does; between double quotes only before $, `, " and \.
func unescape(text string, quoted bool) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			switch next := text[i+1]; {
			case next == '\n':
				i++
				continue
			case !quoted || strings.IndexByte("$`\"\\", next) >= 0:
				i++
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// words are the literal words of a command; ok is false, and reported, if there are others.
func (x *script) words(c *syntax.CallExpr) (out []string, ok bool) {
	for _, a := range c.Assigns {
		x.refuse(a, "variable")
		return nil, false
	}
	for _, w := range c.Args {
		text, ok := literal(w)
		if !ok {
			x.refuse(w, "variable, pattern or substitution")
			return nil, false
		}
		out = append(out, text)
	}
	return withoutSudo(out), len(out) > 0
}

func withoutSudo(words []string) []string {
	if len(words) > 0 && path.Base(words[0]) == "sudo" {
		for words = words[1:]; len(words) > 0 && strings.HasPrefix(words[0], "-"); {
			if (words[0] == "-u" || words[0] == "-g") && len(words) > 1 {
				words = words[1:] // the name of a user or group
			}
			words = words[1:]
		}
	}
	return words
}

// commandText joins words to a line for iptables-restore or ipset restore.
func commandText(words []string) string {
	var out []string
	for _, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\"'\\") {
			w = "\"" + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + "\""
		}
		out = append(out, strings.ReplaceAll(w, "\n", " "))
	}
	return strings.Join(out, " ")
}
