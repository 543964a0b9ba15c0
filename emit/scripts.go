package emit

import (
	"bytes"
	"embed"
	"fmt"

	"github.com/dockerfw/dockerfw/emit/folder"
)

//go:embed scripts
var scripts embed.FS

// applyParts are the parts of apply.sh, in the order of the file.
var applyParts = []string{"options", "host", "folder", "rules", "sets", "load", "cut", "run"}

// Scripts returns the files that are the same in every compiled folder.
func Scripts() []folder.File {
	var apply bytes.Buffer
	for _, part := range applyParts {
		apply.Write(embedded("apply/" + part + ".sh"))
	}
	return []folder.File{
		{Name: folder.ApplyScript, Content: apply.Bytes()},
		{Name: folder.RemoveScript, Content: embedded(folder.RemoveScript)},
		{Name: folder.BootService, Content: embedded(folder.BootService)},
	}
}

// embedded returns a file below scripts.
func embedded(name string) []byte {
	content, err := scripts.ReadFile("scripts/" + name)
	if err != nil {
		panic(fmt.Sprintf("emit: %s is not embedded: %v", name, err))
	}
	return content
}
