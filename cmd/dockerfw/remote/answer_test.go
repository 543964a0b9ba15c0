package remote

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Whatever programs print, also what looks like a frame of another connection, it is read as it
// was; and a connection that is cut off has no answers.
func TestReadSeparatesAnyOutput(t *testing.T) {
	const token = "ABCDEF"
	text := rapid.SampledFrom([]string{"", "\n", "\n\n", "x", "\x00", "\r\n", "\nABCDE end\n", "ABCDEE end\n", "\nabcdef output x\n", "\n ABCDEF status 0\n", "x\nABCDEFG end\n", "status 0"})
	rapid.Check(t, func(t *rapid.T) {
		want := Answers{}
		var transcript bytes.Buffer
		fmt.Fprint(&transcript, text.Draw(t, "greeting"))
		for i := range rapid.IntRange(0, 4).Draw(t, "programs") {
			a := Answer{Installed: rapid.Bool().Draw(t, "installed")}
			status := "missing"
			a.Output = []byte(text.Draw(t, "output") + text.Draw(t, "more"))
			if a.Installed {
				a.Errors, a.Exit = text.Draw(t, "errors"), rapid.IntRange(0, 255).Draw(t, "exit")
				status = fmt.Sprint(a.Exit)
			}
			command := fmt.Sprintf("program %d", i)
			fmt.Fprintf(&transcript, "\n%s output %s\n%s\n%s errors\n%s\n%s status %s\n", token, command, a.Output, token, a.Errors, token, status)
			want[command] = a
		}
		fmt.Fprintf(&transcript, "\n%s end\n", token)
		got, err := read(transcript.Bytes(), token)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
		cut := rapid.IntRange(0, transcript.Len()-1).Draw(t, "cut")
		if got, err := read(transcript.Bytes()[:cut], token); err == nil {
			t.Fatalf("after %d of %d bytes: %v", cut, transcript.Len(), got)
		}
	})
}
