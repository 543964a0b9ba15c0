package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// browser is a headless Chromium that is driven over a pipe by the Chrome DevTools Protocol: file
// descriptors 3 and 4 of the process carry JSON messages that end in a NUL.
type browser struct {
	t       *testing.T
	out     io.Writer
	session string
	next    int

	mu      sync.Mutex
	answers map[int]chan message
	events  []message
}

type message struct {
	ID     int             `json:"id,omitempty"`
	Method string          `json:"method,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
	Session string `json:"sessionId,omitempty"`
}

// chromium are the names of the program.
var chromium = []string{"chromium", "chromium-browser", "google-chrome"}

// openBrowser starts Chromium with one page.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	path := ""
	for _, name := range chromium {
		if found, err := exec.LookPath(name); err == nil && path == "" {
			path = found
		}
	}
	if path == "" {
		testenv.SkipOrFail(t, "chromium is not installed")
	}
	theirs, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// The profile is removed after the browser has ended: it writes until then.
	profile, err := os.MkdirTemp("", "dockerfw-browser-")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe", "--user-data-dir="+profile, "about:blank")
	cmd.ExtraFiles = []*os.File{theirs, theirOut}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	theirOut.Close()
	b := &browser{t: t, out: out, answers: map[int]chan message{}}
	go b.read(in)
	t.Cleanup(func() {
		out.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(profile)
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Network", "Log", "Runtime"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

func (b *browser) read(in io.Reader) {
	r := bufio.NewReader(in)
	for {
		text, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		if answer := b.answers[m.ID]; answer != nil && m.ID != 0 {
			answer <- m
		} else {
			b.events = append(b.events, m)
		}
		b.mu.Unlock()
	}
}

// call runs a method and reads its result.
func (b *browser) call(method string, params any, result any) {
	b.t.Helper()
	b.next++
	m := map[string]any{"id": b.next, "method": method}
	if params != nil {
		m["params"] = params
	}
	if b.session != "" {
		m["sessionId"] = b.session
	}
	text, err := json.Marshal(m)
	if err != nil {
		b.t.Fatal(err)
	}
	answer := make(chan message, 1)
	b.mu.Lock()
	b.answers[b.next] = answer
	b.mu.Unlock()
	if _, err := b.out.Write(append(text, 0)); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	select {
	case got := <-answer:
		if got.Error != nil {
			b.t.Fatalf("%s: %s", method, got.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(got.Result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
	case <-time.After(time.Minute):
		b.t.Fatalf("%s: no answer", method)
	}
}

// open loads a file, and waits until it is complete.
func (b *browser) open(file string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": "file://" + file}, nil)
	deadline := time.Now().Add(time.Minute)
	for b.evaluate("document.readyState + ' ' + location.pathname") != "complete "+file {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s is not loaded", file)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// view sets the size of the window, and what media queries see.
func (b *browser) view(width, height int, media, scheme string) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"media": media, "features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// evaluate runs a script whose value is a text.
func (b *browser) evaluate(script string) string {
	b.t.Helper()
	var out struct {
		Result           struct{ Value string }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	b.call("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true}, &out)
	if e := out.ExceptionDetails; e != nil {
		b.t.Fatalf("%s %s", e.Text, e.Exception.Description)
	}
	return out.Result.Value
}

// list runs a script whose value is a list of texts.
func (b *browser) list(script string) []string {
	b.t.Helper()
	var out []string
	text := b.evaluate("JSON.stringify((() => {" + script + "})())")
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		b.t.Fatalf("%s: %v", text, err)
	}
	return out
}

// press presses a key.
func (b *browser) press(key string, code int) {
	b.t.Helper()
	for _, kind := range []string{"rawKeyDown", "keyUp"} {
		b.call("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}, nil)
	}
	if key == "Enter" {
		b.call("Input.dispatchKeyEvent", map[string]any{"type": "char", "text": "\r"}, nil)
	}
}

// requests are the addresses that the page asked for, and complaints what the browser logged.
func (b *browser) requests() (requests, complaints []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.events {
		switch m.Method {
		case "Network.requestWillBeSent":
			var p struct{ Request struct{ URL string } }
			if json.Unmarshal(m.Params, &p) == nil {
				requests = append(requests, p.Request.URL)
			}
		case "Log.entryAdded", "Runtime.exceptionThrown":
			complaints = append(complaints, string(m.Params))
		}
	}
	return requests, complaints
}

// picture keeps a screenshot of the whole page.
func (b *browser) picture(name string) {
	b.t.Helper()
	var out struct{ Data []byte }
	b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &out)
	b.keep(name+".png", out.Data)
}

// print keeps the page as it is printed, and returns how many pages that are.
func (b *browser) print(name string) int {
	b.t.Helper()
	var out struct{ Data []byte }
	b.call("Page.printToPDF", map[string]any{"printBackground": true, "preferCSSPageSize": true}, &out)
	b.keep(name+".pdf", out.Data)
	return strings.Count(string(out.Data), "/Type /Page\n") + strings.Count(string(out.Data), "/Type /Page ")
}

func (b *browser) keep(name string, content []byte) {
	b.t.Helper()
	dir := testenv.Artifacts()
	if dir == "" {
		dir = b.t.TempDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(fmt.Sprintf("%s/%s", dir, name), content, 0o644); err != nil {
		b.t.Fatal(err)
	}
	if len(content) < 1000 {
		b.t.Errorf("%s has %d bytes", name, len(content))
	}
}
