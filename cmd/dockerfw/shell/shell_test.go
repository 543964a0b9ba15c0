package shell

import "testing"

func TestOnlyWordsThatNeedItAreQuoted(t *testing.T) {
	for word, want := range map[string]string{
		"compiled/web1": "compiled/web1", "refs/heads/a~2^": "refs/heads/a~2^", "": "''",
		"two words": "'two words'", "~root": "'~root'", "it's": `'it'\''s'`, "$(reboot)": "'$(reboot)'",
	} {
		if got := Word(word); got != want {
			t.Errorf("Word(%q) = %s, want %s", word, got, want)
		}
	}
}
