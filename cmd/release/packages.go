package main

import (
	"archive/tar"
	"bytes"
	"crypto/md5"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"github.com/google/rpmpack"
)

const (
	summary  = "Control which clients may reach the ports that Docker publishes"
	homepage = "https://github.com/dockerfw/dockerfw"
	// description is in lines of at most 79 characters.
	description = `dockerfw turns a short policy (which clients may reach which published ports)
into ready-to-load iptables and ipset files, and proves that they treat every
packet as the policy says. It loads them in one step, before Docker starts.
The units are installed and not enabled.`
)

// Scripts of the packages. Installing and updating change no rules. After a removal the rules stay
// until the host starts again, and nothing loads them then: that opens ports, so it is said. To stop
// the unit that loads them deletes nothing.
const (
	reloadUnits = `if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
`
	beforeRemoval = `if [ -d /run/systemd/system ]; then systemctl disable --quiet --now dockerfw.service dockerfw-verify.timer || true; fi
if [ -e /var/lib/dockerfw ]; then
  echo "dockerfw: the loaded rules stay until the next boot; published ports are open after it" >&2
fi
`
)

// packages writes the Debian and the RPM package for a platform.
func (r *release) packages(p platform, c *contents) error {
	program, err := os.ReadFile(r.path(r.name(p)))
	if err != nil {
		return err
	}
	binary := file{programPath, 0o755, program}
	deb, err := r.deb(p.arch, c.with(binary,
		file{"/usr/share/doc/dockerfw/copyright", 0o644, c.license},
		file{"/usr/share/zsh/vendor-completions/_dockerfw", 0o644, c.zsh}))
	if err != nil {
		return err
	}
	rpm, err := r.rpm(p.arch, c.with(binary,
		file{"/usr/share/licenses/dockerfw/LICENSE", 0o644, c.license},
		file{"/usr/share/zsh/site-functions/_dockerfw", 0o644, c.zsh}))
	if err != nil {
		return err
	}
	name := "dockerfw_" + r.fileVersion() + "_" + p.arch
	if err := os.WriteFile(r.path(name+".deb"), deb, 0o644); err != nil {
		return err
	}
	return os.WriteFile(r.path(name+".rpm"), rpm, 0o644)
}

// deb is a Debian package: an ar archive of two compressed tar archives; see deb(5).
func (r *release) deb(arch string, files []file) ([]byte, error) {
	var sums strings.Builder
	size := 0
	for _, f := range files {
		fmt.Fprintf(&sums, "%x  %s\n", md5.Sum(f.text), strings.TrimPrefix(f.path, "/"))
		size += (len(f.text) + 1023) / 1024
	}
	control := fmt.Sprintf(`Package: dockerfw
Version: %s
Architecture: %s
Maintainer: The dockerfw authors <%s/issues>
Installed-Size: %d
Depends: iptables, ipset
Section: net
Priority: optional
Homepage: %s
Description: %s
 %s
`, r.version, arch, homepage, size, homepage, summary, strings.ReplaceAll(description, "\n", "\n "))
	meta, err := r.tar([]file{
		{"/control", 0o644, []byte(control)},
		{"/md5sums", 0o644, []byte(sums.String())},
		{"/postinst", 0o755, []byte("#!/bin/sh\nset -e\n" + reloadUnits)},
		{"/postrm", 0o755, []byte("#!/bin/sh\nset -e\n" + reloadUnits)},
		{"/prerm", 0o755, []byte("#!/bin/sh\nset -e\nif [ \"$1\" = remove ]; then\n" + beforeRemoval + "fi\n")},
	})
	if err != nil {
		return nil, err
	}
	data, err := r.tar(files)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, m := range []file{{"debian-binary", 0o644, []byte("2.0\n")}, {"control.tar.gz", 0o644, meta}, {"data.tar.gz", 0o644, data}} {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.path, r.time.Unix(), 0, 0, "100644", len(m.text))
		b.Write(m.text)
		if len(m.text)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes(), nil
}

// tar is a compressed archive of files and of the directories above them, which belong to root.
func (r *release) tar(files []file) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	entry := func(h tar.Header, text []byte) error {
		h.ModTime, h.Format, h.Uname, h.Gname = r.time, tar.FormatUSTAR, "root", "root"
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		_, err := w.Write(text)
		return err
	}
	written := map[string]bool{}
	var directories func(dir string) error
	directories = func(dir string) error {
		if written[dir] {
			return nil
		}
		written[dir] = true
		if dir != "/" {
			if err := directories(path.Dir(dir)); err != nil {
				return err
			}
		}
		return entry(tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimSuffix("."+dir, "/") + "/", Mode: 0o755}, nil)
	}
	for _, f := range files {
		if err := directories(path.Dir(f.path)); err != nil {
			return nil, err
		}
		if err := entry(tar.Header{Typeflag: tar.TypeReg, Name: "." + f.path, Mode: f.mode, Size: int64(len(f.text))}, f.text); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return compressed(b.Bytes()), nil
}

// rpm is an RPM package.
func (r *release) rpm(arch string, files []file) ([]byte, error) {
	meta := rpmpack.RPMMetaData{
		Name: "dockerfw", Summary: summary, Description: description, Version: r.version, Release: "1",
		Arch: map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch], URL: homepage, Licence: "Apache-2.0",
		// gzip, because the others depend on the number of processors.
		Compressor: "gzip", BuildTime: r.time, BuildHost: "localhost",
	}
	for _, name := range []string{"iptables", "ipset"} {
		needed, err := rpmpack.NewRelation(name)
		if err != nil {
			return nil, err
		}
		meta.Requires = append(meta.Requires, needed)
	}
	out, err := rpmpack.NewRPM(meta)
	if err != nil {
		return nil, err
	}
	out.AddPostin(reloadUnits)
	out.AddPreun("if [ \"$1\" = 0 ]; then\n" + beforeRemoval + "fi\n")
	out.AddPostun(reloadUnits)
	for _, f := range files {
		kind := rpmpack.GenericFile
		switch {
		case strings.HasPrefix(f.path, "/usr/share/licenses/"):
			kind = rpmpack.LicenceFile
		case strings.HasPrefix(f.path, "/usr/share/man/"):
			kind = rpmpack.DocFile
		}
		out.AddFile(rpmpack.RPMFile{Name: f.path, Body: f.text, Mode: uint(f.mode) | 0o100000, Owner: "root", Group: "root", MTime: unix32(r.time), Type: kind})
	}
	var b bytes.Buffer
	if err := out.Write(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// unix32 is a time as RPM stores it, until 2106.
func unix32(t time.Time) uint32 { return uint32(t.Unix()) }
