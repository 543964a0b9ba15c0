package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"sort"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
)

// programPath is where the packages install the program. The units start it there.
const programPath = "/usr/bin/dockerfw"

// file is one of a package.
type file struct {
	path string // absolute
	mode int64
	text []byte
}

// contents are the files of the packages, apart from the program and the completions of zsh, for which
// the distributions have different directories.
type contents struct {
	files   []file
	zsh     []byte
	license []byte
}

func (r *release) contents() (*contents, error) {
	program, err := r.native()
	if err != nil {
		return nil, err
	}
	out := &contents{}
	dir, err := os.MkdirTemp("", "dockerfw-release")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if _, err := output(program, "help", "--man", dir); err != nil {
		return nil, err
	}
	pages, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, p := range pages {
		text, err := os.ReadFile(filepath.Join(dir, p.Name()))
		if err != nil {
			return nil, err
		}
		out.add("/usr/share/man/man1/"+p.Name()+".gz", compressed(text))
	}
	for shell, path := range map[string]string{
		"bash": "/usr/share/bash-completion/completions/dockerfw",
		"fish": "/usr/share/fish/vendor_completions.d/dockerfw.fish",
		"zsh":  "",
	} {
		script, err := output(program, "completion", shell)
		if err != nil {
			return nil, err
		}
		if text := []byte(script + "\n"); path == "" {
			out.zsh = text
		} else {
			out.add(path, text)
		}
	}
	for _, name := range apply.Units {
		text, err := apply.Unit(name, programPath)
		if err != nil {
			return nil, err
		}
		out.add("/usr/lib/systemd/system/"+name, []byte(text))
	}
	// Debian enables all units at the first boot of an image, and with systemctl preset-all. Enabled
	// without a folder to load, the unit closes all containers.
	preset := ""
	for _, name := range []string{apply.UnitName, apply.VerifyTimer} {
		preset += "disable " + name + "\n"
	}
	out.add("/usr/lib/systemd/system-preset/80-dockerfw.preset", []byte(preset))
	out.license, err = os.ReadFile("LICENSE")
	return out, err
}

func (c *contents) add(path string, text []byte) {
	c.files = append(c.files, file{path, 0o644, text})
}

// with are the files and others, by path.
func (c *contents) with(more ...file) []file {
	out := append(append([]file{}, c.files...), more...)
	sort.Slice(out, func(i, j int) bool { return out[i].path < out[j].path })
	return out
}

// compressed is gzip without a name and a time.
func compressed(text []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is valid
	_, _ = w.Write(text)                                  // a buffer does not fail
	_ = w.Close()
	return b.Bytes()
}
