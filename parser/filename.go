package parser

import (
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/dockerfw/dockerfw/parser/addrlist"
)

// FileNameHint returns what to write instead of the name of a file that does not exist, if
// it is a URL, a pattern, an address, or the text of a file; otherwise "".
func FileNameHint(name string) string {
	if u, err := url.Parse(name); err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https" || u.Scheme == "ftp") {
		local := path.Base(u.Path)
		if u.Path == "" || local == "/" {
			local = "list.txt"
		}
		return fmt.Sprintf("This is a URL, and dockerfw reads nothing from the network. Download it to the policy's directory, and write the file's name:\n\n  curl -fsS -o %s '%s'", local, name)
	}
	if strings.ContainsAny(name, "\n<") {
		return "This is the text of a file, not its name. Write the name, such as files = [\"lists/office.txt\"], without file() around it."
	}
	if _, problem := addrlist.ParseEntry(name); problem == nil {
		return "This is an address, not the name of a file. Put it into entries, or into exclude."
	}
	if strings.ContainsAny(name, "*?[") {
		return "Patterns such as *.txt are not expanded: a new file would change the rules without a change of the policy. Write the name of each file."
	}
	return ""
}
