package lsp

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNeovimWorksWithTheServer drives the program by the client of a real editor.
func TestNeovimWorksWithTheServer(t *testing.T) {
	nvim, err := exec.LookPath("nvim")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("Neovim is missing (Debian package neovim)")
		}
		t.Skip("Neovim is missing (Debian package neovim)")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "dockerfw")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/dockerfw/dockerfw/cmd/dockerfw").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := strings.Replace(policy, "  protocol        = \"tcp\"\n  published_ports", "  protocol = \"tcp\"\n  published_ports", 1)
	name, results := filepath.Join(dir, "policy.hcl"), filepath.Join(dir, "results.json")
	if err := os.WriteFile(name, []byte("# édité\n"+text), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	session, err := filepath.Abs("testdata/session.lua")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, nvim, "--headless", "--clean", "-n", "-c", "luafile "+session)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CACHE_HOME="+dir, "XDG_STATE_HOME="+dir, "PROGRAM="+program, "POLICY="+name, "RESULTS="+results)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got struct {
		Problem       string
		Diagnostics   []string
		Hover         string
		Definition    int
		CompletesDeny bool `json:"completes_deny"`
		Text          string
	}
	content, err := os.ReadFile(results)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatalf("%v\n%s", err, content)
	}
	if got.Problem != "" {
		t.Fatal(got.Problem)
	}
	if len(got.Diagnostics) == 0 {
		t.Error("no diagnostics")
	}
	if !strings.Contains(got.Hover, "--ctorigdstport 443") {
		t.Errorf("hover: %s", got.Hover)
	}
	if got.Definition != 5 {
		t.Errorf("definition in line %d, want 5 (from 0)", got.Definition)
	}
	if !got.CompletesDeny {
		t.Error("deny is not proposed between blocks")
	}
	if strings.Contains(got.Text, "office") || strings.Count(got.Text, "branch") != 3 {
		t.Errorf("after renaming:\n%s", got.Text)
	}
	if !strings.Contains(got.Text, "  protocol        = \"tcp\"\n  published_ports = [443]") {
		t.Errorf("not formatted:\n%s", got.Text)
	}
}
