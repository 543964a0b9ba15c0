package parser

import (
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/dockerfw/dockerfw/parser/addrlist"
)

// FileNameHint says what to write instead of a name that is none of a file: a URL, a
// glob, an address, or the text of a file. It is "" for any other; ask only where no
// file of the name is there.
func FileNameHint(name string) string {
	if u, err := url.Parse(name); err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https" || u.Scheme == "ftp") {
		local := path.Base(u.Path)
		if u.Path == "" || local == "/" {
			local = "list.txt"
		}
		return fmt.Sprintf("This is a URL, and dockerfw reads nothing from the network. Download it beside the policy, and write the file's name:\n\n  curl -fsS -o %s '%s'", local, name)
	}
	if strings.ContainsAny(name, "\n<") {
		return "This is the text of a file, not a name. Write the name itself, such as files = [\"lists/friends.txt\"], without file() around it."
	}
	if _, problem := addrlist.ParseEntry(name); problem == nil {
		return "This is an address, not the name of a file. Put it into entries, or into exclude."
	}
	if strings.ContainsAny(name, "*?[") {
		return "Patterns such as *.txt are not expanded: a new file would change the rules without a change of the policy. Write the name of each file."
	}
	return ""
}
