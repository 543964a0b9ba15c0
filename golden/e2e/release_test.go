//go:build linux

package e2e

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// releasePlatforms are those that the tests build, which takes a minute for each: that of the tests, and
// in a soak all.
func releasePlatforms() string {
	if testenv.Soak() {
		return ""
	}
	return "linux/" + runtime.GOARCH
}

// built is a release that was built in this process, in a directory of its own, and the program that has built it.
var built struct {
	sync.Once
	parent string
	dir    string
	err    error
}

func builder() string { return filepath.Join(built.parent, "release") }

// releaseFolder returns the files of a release of the working tree.
func releaseFolder(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if built.parent, built.err = os.MkdirTemp("", "dockerfw-release"); built.err != nil {
			return
		}
		// With the flags of a release, with which the go command finds packages in its cache wherever their
		// directory is: it would compile all of them for each copy of the working tree.
		cmd := exec.Command("go", "build", "-trimpath", "-o", builder(), "../../cmd/release")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%s: %w\n%s", cmd, err, out)
			return
		}
		built.dir, built.err = buildRelease(filepath.Join(built.parent, "first"), releasePlatforms())
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.dir
}

// removeRelease removes what releaseFolder has built. TestMain calls it.
func removeRelease() error {
	if built.parent == "" {
		return nil
	}
	return os.RemoveAll(built.parent)
}

// buildRelease commits a copy of the working tree to a repository at dir, always as the same commit, and
// builds a release of it. Its environment has more variables.
func buildRelease(dir, platforms string, environment ...string) (string, error) {
	script := `set -e
umask "${RELEASE_UMASK:-022}"
mkdir -p "$1"
(cd ../.. && git ls-files --cached --others --exclude-standard -z | while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done | tar -c --null -T - ) | tar -x -C "$1"
cd "$1"
git init -q -b main
git add -A
git -c user.name=test -c user.email=test@example.org -c commit.gpgsign=false commit -q -m release
git tag "v$3"
"$4" -platforms "$2" dist`
	cmd := exec.Command("bash", "-c", script, "bash", dir, platforms, driver.Version, builder())
	cmd.Env = append(append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_DATE=2026-03-04T05:06:07Z", "GIT_COMMITTER_DATE=2026-03-04T05:06:07Z"), environment...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return filepath.Join(dir, "dist"), nil
}

// releaseFile is the only file of a release with a pattern of names.
func releaseFile(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v; want one", pattern, found, err)
	}
	return found[0]
}

// The second build has another directory, umask, time zone and user's directory, and in a soak another
// build cache, which takes minutes: a path or a variable that has an effect is not in the cache of the first.
func TestTwoReleasesOfACommitHaveTheSameBytes(t *testing.T) {
	t.Parallel()
	first := releaseFolder(t)
	modules, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	if testenv.Soak() {
		cache = []byte(filepath.Join(t.TempDir(), "cache"))
	}
	native := "linux/" + runtime.GOARCH
	second, err := buildRelease(filepath.Join(t.TempDir(), "elsewhere", "other"), native,
		"GOCACHE="+strings.TrimSpace(string(cache)), "TZ=Asia/Tokyo", "HOME="+t.TempDir(), "GOMODCACHE="+strings.TrimSpace(string(modules)), "GOAMD64=v3", "RELEASE_UMASK=077", "LC_ALL=C.UTF-8")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, pattern := range []string{"*_linux_" + runtime.GOARCH, "*_linux_" + runtime.GOARCH + ".cdx.json", "*_" + runtime.GOARCH + ".deb", "*_" + runtime.GOARCH + ".rpm"} {
		a, b := releaseFile(t, first, pattern), releaseFile(t, second, pattern)
		one, err1 := os.ReadFile(a)
		other, err2 := os.ReadFile(b)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		compared++
		if filepath.Base(a) != filepath.Base(b) || !bytes.Equal(one, other) || len(one) == 0 {
			t.Errorf("%s and %s differ: %d and %d bytes", a, b, len(one), len(other))
		}
	}
	if compared != 4 {
		t.Errorf("%d files were compared", compared)
	}
}

func TestTheChecksumsOfAReleaseAreThoseOfAllItsFiles(t *testing.T) {
	t.Parallel()
	dir := releaseFolder(t)
	cmd := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(out), ": OK\n"); n != len(entries)-1 || n < 4 { // program, SBOM and two packages
		t.Errorf("%d files have checksums, of %d:\n%s", n, len(entries)-1, out)
	}
}

func TestTheProgramsOfAReleaseAreStaticAndHaveTheCommit(t *testing.T) {
	t.Parallel()
	dir := releaseFolder(t)
	programs, err := filepath.Glob(filepath.Join(dir, "dockerfw_*.cdx.json"))
	if err != nil || len(programs) == 0 {
		t.Fatal(programs, err)
	}
	for _, sbom := range programs {
		program := strings.TrimSuffix(sbom, ".cdx.json")
		info, err := buildinfo.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		settings := map[string]string{}
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
		if settings["CGO_ENABLED"] != "0" || settings["-trimpath"] != "true" || len(settings["vcs.revision"]) != 40 || settings["vcs.modified"] != "false" || settings["vcs.time"] != "2026-03-04T05:06:07Z" {
			t.Errorf("%s: %v", program, settings)
		}
		requireComponents(t, sbom, info)
	}
	native := releaseFile(t, dir, "dockerfw_*_linux_"+runtime.GOARCH)
	out, err := exec.Command(native, "version").Output()
	if err != nil || !regexp.MustCompile(`^dockerfw `+regexp.QuoteMeta(driver.Version)+` \([0-9a-f]{12}\)\n$`).Match(out) {
		t.Errorf("version prints %q, %v", out, err)
	}
}

// The names of files that README.md tells people to download are those of this version.
func TestTheReadmeInstallsFilesOfTheRelease(t *testing.T) {
	t.Parallel()
	dir := releaseFolder(t)
	readme := readOr(t, "../../README.md", "")
	names := regexp.MustCompile(`dockerfw_[0-9][\w.]*`).FindAllString(readme, -1)
	if len(names) < 3 {
		t.Errorf("README.md has only %q", names)
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, strings.ReplaceAll(name, "amd64", runtime.GOARCH))); err != nil {
			t.Error(err)
		}
	}
}

// requireComponents requires that an SBOM lists the modules in a program.
func requireComponents(t *testing.T, file string, info *buildinfo.BuildInfo) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(f, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	want := []string{"pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go")}
	for _, d := range info.Deps {
		want = append(want, "pkg:golang/"+d.Path+"@"+d.Version)
	}
	var got []string
	for _, c := range *bom.Components {
		got = append(got, c.PackageURL)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) || len(got) < 10 {
		t.Errorf("%s lists\n%v\nand the program has\n%v", file, got, want)
	}
}

// installed runs in a Debian in which the package is not installed. It is a user's first hour.
const installed = `set -e
T=$1 root=$1/root deb=$2
mount -t tmpfs tmpfs "$T"
mkdir "$T/upper" "$T/work" "$root"
mount -t overlay -o lowerdir="$3",upperdir="$T/upper",workdir="$T/work" overlay "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
cp "$deb" "$root/tmp/dockerfw.deb"
ip link set lo up
ip link add eth0 type veth peer name other
exec chroot "$root" /bin/sh -exc '
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
if command -v dockerfw; then exit 1; fi
apt-get install -y --no-install-recommends /tmp/dockerfw.deb
test "$(command -v dockerfw)" = /usr/bin/dockerfw
dpkg --verify dockerfw
dpkg --status dockerfw
dockerfw version
man --where dockerfw dockerfw-apply dockerfw-verify
man dockerfw-apply | grep -e --dry-run
bash -c "source /usr/share/bash-completion/completions/dockerfw && complete -p dockerfw"
for unit in /usr/lib/systemd/system/dockerfw*; do grep ^ExecStart= $unit || test $unit = /usr/lib/systemd/system/dockerfw-verify.timer; done
test ! -e /etc/systemd/system/multi-user.target.wants/dockerfw.service
cd /root
dockerfw init --interface eth0
dockerfw check policy.hcl
dockerfw compile policy.hcl -o compiled
mkdir -p /etc/dockerfw.d && cp -R compiled /etc/dockerfw.d/1 && ln -s dockerfw.d/1 /etc/dockerfw
dockerfw apply --backend nft /etc/dockerfw.d/1
dockerfw status
dockerfw status --format prometheus | grep "^dockerfw_ok 1"
apt-get remove -y dockerfw
iptables-save | grep "dockerfw default"
test -z "$(find /usr/bin /usr/lib/systemd /usr/share/man /usr/share/bash-completion /usr/share/fish /usr/share/zsh /usr/share/doc -name "*dockerfw*")"
dpkg --purge dockerfw
'`

func TestTheDebianPackageInstallsAndItsProgramLoadsRules(t *testing.T) {
	t.Parallel()
	lab.Require(t, "dpkg", "chroot", "ip")
	debian := testenv.Debian()
	if _, err := os.Stat(debian); err != nil {
		testenv.SkipOrFail(t, fmt.Sprintf("%v: make debian creates it", err))
	}
	deb := releaseFile(t, releaseFolder(t), "*_"+runtime.GOARCH+".deb")
	out, err := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", installed, "sh", t.TempDir(), deb, debian).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"loaded /etc/dockerfw.d/1", "rules      in force, exactly as compiled", "published ports are open after it", "dockerfw_ok 1", "-F __start_dockerfw dockerfw", "/usr/share/man/man1/dockerfw-apply.1.gz", "Depends: iptables, ipset"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the output does not contain %s:\n%s", want, out)
		}
	}
}

func TestTheRPMPackageHasTheSameFiles(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"rpm", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			testenv.SkipOrFail(t, err.Error())
		}
	}
	dir := releaseFolder(t)
	packages, err := filepath.Glob(filepath.Join(dir, "*.rpm"))
	if err != nil || len(packages) == 0 {
		t.Fatal(packages, err)
	}
	for _, name := range packages {
		arch := strings.TrimSuffix(name[strings.LastIndex(name, "_")+1:], ".rpm")
		rpm, deb := releaseFile(t, dir, "*_"+arch+".rpm"), releaseFile(t, dir, "*_"+arch+".deb")
		root := t.TempDir()
		run := func(name string, args ...string) string {
			t.Helper()
			out, err := exec.Command(name, args...).CombinedOutput()
			if err != nil {
				t.Fatalf("%s %v: %v\n%s", name, args, err, out)
			}
			return string(out)
		}
		run("rpm", "--root", root, "--dbpath", "/rpmdb", "-K", "--nosignature", rpm)
		run("rpm", "--root", root, "--dbpath", "/rpmdb", "-i", "--nodeps", "--noscripts", "--ignorearch", rpm)
		run("rpm", "--root", root, "--dbpath", "/rpmdb", "-V", "--nodeps", "dockerfw")
		other := t.TempDir()
		run("dpkg-deb", "-x", deb, other)
		// The distributions have other directories for these.
		for _, moved := range [][2]string{{"usr/share/zsh/site-functions", "usr/share/zsh/vendor-completions"}, {"usr/share/licenses/dockerfw/LICENSE", "usr/share/doc/dockerfw/copyright"}} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, moved[1])), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(root, moved[0]), filepath.Join(root, moved[1])); err != nil {
				t.Fatal(err)
			}
		}
		run("sh", "-c", `rmdir "$1/usr/share/licenses/dockerfw" "$1/usr/share/licenses"; diff -r --no-dereference "$1/usr" "$2/usr"`, "sh", root, other)
		requires := run("rpm", "-qp", "--requires", rpm)
		for _, want := range []string{"iptables\n", "ipset\n"} {
			if !strings.Contains(requires, want) {
				t.Errorf("the RPM package does not require %s:\n%s", want, requires)
			}
		}
	}
}

// The image of docs/operations.md has nothing but the program.
func TestAnImageFromScratchRunsTheProgram(t *testing.T) {
	lab.Require(t, "dockerd", "busybox")
	t.Parallel()
	dir := t.TempDir()
	program, err := os.ReadFile(releaseFile(t, releaseFolder(t), "dockerfw_*_linux_"+runtime.GOARCH))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "dockerfw"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(shownFile(t, "Dockerfile")), 0o644); err != nil {
		t.Fatal(err)
	}
	e := lab.NewLab(t).StartEngine(lab.EngineOptions{Backend: lab.NFT})
	e.Docker("build", "--tag", "dockerfw", dir)
	if got := e.Docker("run", "--rm", "--network", "none", "dockerfw", "version"); !strings.HasPrefix(got, "dockerfw "+driver.Version+" (") {
		t.Errorf("the container prints %q", got)
	}
}
