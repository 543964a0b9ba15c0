package remote

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Answer is what a program printed.
type Answer struct {
	// Installed is false if there is no such program.
	Installed bool
	Output    []byte
	Errors    string
	Exit      int
}

// Answers are those of one connection, by the command with its arguments.
type Answers map[string]Answer

// functions come before every script. A frame is a line that begins with the token of the
// connection, which is random: no output can contain it. The line before belongs to the frame,
// because output may end without a newline. Standard error is kept in a variable, so that nothing
// is written to disk. The directories of system programs are missing in the PATH of users other
// than root. main is read completely before it runs: a script that was cut off runs nothing.
const functions = `token=%s
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH
frame() { printf '\n%%s %%s\n' "$token" "$*"; }
ask() {
	frame output "$*"
	errors= status=missing
	if command -v "$1" >/dev/null 2>&1; then
		errors=$("$@" 2>&1 >&3 3>&-)
		status=$?
	fi
	frame errors
	printf '%%s' "$errors"
	frame status "$status"
}
main() {
%s
	frame end
}
main 3>&1 </dev/null
`

func program(token, script string) string { return fmt.Sprintf(functions, token, script) }

var errIncomplete = errors.New("the output is not complete")

// read splits the output of program. Text before the first frame comes from the login scripts
// of the user.
func read(output []byte, token string) (Answers, error) {
	frames := bytes.Split(output, []byte("\n"+token+" "))[1:]
	out := Answers{}
	next := func(kind string) (rest string, content []byte, ok bool) {
		if len(frames) == 0 {
			return "", nil, false
		}
		head, content, ended := bytes.Cut(frames[0], []byte("\n"))
		frames = frames[1:]
		found, rest, _ := strings.Cut(string(head), " ")
		return rest, content, ended && found == kind
	}
	for len(frames) > 1 {
		command, text, ok := next("output")
		_, problems, ok2 := next("errors")
		status, empty, ok3 := next("status")
		if !ok || !ok2 || !ok3 || len(empty) > 0 {
			return nil, errIncomplete
		}
		a := Answer{Output: text, Errors: string(problems), Installed: status != "missing"}
		if a.Installed {
			var err error
			if a.Exit, err = strconv.Atoi(status); err != nil {
				return nil, errIncomplete
			}
		}
		if _, twice := out[command]; twice {
			return nil, errIncomplete
		}
		out[command] = a
	}
	if _, _, ok := next("end"); !ok {
		return nil, errIncomplete
	}
	return out, nil
}
