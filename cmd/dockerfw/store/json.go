package store

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// readJSON reads a record and reports whether its file exists.
func readJSON(path string, v any) (bool, error) {
	text, err := read(path)
	if text == nil || err != nil {
		return false, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(v); err != nil {
		return true, fmt.Errorf("%s is damaged: %w", path, err)
	}
	return true, nil
}

func formatJSON(v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	return append(text, '\n'), err
}
