package lsp

import (
	"fmt"
	"net/url"
	"path/filepath"

	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"
)

// pathOf returns the path of a file: URI. Others, such as untitled: for a document that was
// never saved, are errors.
func pathOf(u protocol.DocumentURI) (string, error) {
	parsed, err := url.Parse(string(u))
	if err != nil || parsed.Scheme != "file" || parsed.Path == "" {
		return "", fmt.Errorf("%s is not the URI of a file", u)
	}
	return filepath.FromSlash(parsed.Path), nil
}

func uriOf(path string) protocol.DocumentURI { return uri.File(path) }
