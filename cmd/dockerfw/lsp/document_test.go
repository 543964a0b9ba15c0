package lsp

import (
	"testing"

	"go.lsp.dev/protocol"
	"pgregory.net/rapid"
)

func TestPositionsCountUTF16(t *testing.T) {
	d := newDocument("", 0, []byte("a𝒳é\r\nb\n"))
	for offset, want := range map[int]protocol.Position{
		0: {Line: 0, Character: 0}, 1: {Line: 0, Character: 1}, 5: {Line: 0, Character: 3}, 7: {Line: 0, Character: 4}, 9: {Line: 1, Character: 0}, 11: {Line: 2, Character: 0},
	} {
		if got := d.position(offset); got != want {
			t.Errorf("position(%d) = %v, want %v", offset, got, want)
		}
		if got := d.offset(want); got != offset {
			t.Errorf("offset(%v) = %d, want %d", want, got, offset)
		}
	}
	if got := d.offset(protocol.Position{Line: 0, Character: 99}); got != 7 {
		t.Errorf("behind the end of line 0: %d, want 7", got)
	}
	if got := d.offset(protocol.Position{Line: 9}); got != 11 {
		t.Errorf("behind the last line: %d, want 11", got)
	}
}

// An edit by positions is the edit of the bytes.
func TestEditsAreThoseOfTheEditor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := []rune(rapid.StringOfN(rapid.SampledFrom([]rune("ab𝒳é\n\"{}")), 0, 40, -1).Draw(t, "text"))
		from := rapid.IntRange(0, len(text)).Draw(t, "from")
		to := rapid.IntRange(from, len(text)).Draw(t, "to")
		d := newDocument("", 0, []byte(string(text)))
		rng := protocol.Range{Start: d.position(len(string(text[:from]))), End: d.position(len(string(text[:to])))}
		want := string(text[:from]) + "new" + string(text[to:])
		if got := string(d.change(1, &rng, "new").text); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	})
}
