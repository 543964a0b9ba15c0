package emit

import (
	"bytes"
	"embed"
	"fmt"
	"path/filepath"
)

// Names of the scripts in a compiled folder. They are the same in every one: what
// they do follows from the other files.
const (
	ApplyScript  = "apply.sh"
	RemoveScript = "remove.sh"
	BootService  = "dockerfw.service"
)

//go:embed scripts
var scripts embed.FS

// applyParts are the parts of apply.sh, in the order in which a reader meets them.
var applyParts = []string{"options", "host", "folder", "rules", "sets", "load", "cut", "run"}

// Scripts are the files that are the same in every compiled folder.
func Scripts() []File {
	var apply bytes.Buffer
	for _, part := range applyParts {
		apply.Write(embedded("apply/" + part + ".sh"))
	}
	return []File{
		{ApplyScript, apply.Bytes()},
		{RemoveScript, embedded(RemoveScript)},
		{BootService, embedded(BootService)},
	}
}

func embedded(name string) []byte {
	content, err := scripts.ReadFile("scripts/" + name)
	if err != nil {
		panic(fmt.Sprintf("%s is not embedded: %v", name, err))
	}
	return content
}

// executable tells whether a file of a compiled folder is to be run.
func executable(path string) bool { return filepath.Ext(path) == ".sh" }
