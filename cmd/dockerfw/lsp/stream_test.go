package lsp

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"go.lsp.dev/protocol"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/parser/files"
)

// client is an editor that writes bytes, and reads messages as editors do.
type client struct {
	t        *testing.T
	in       *io.PipeWriter
	messages chan map[string]any
	ended    chan error
}

func newClient(t *testing.T) *client {
	t.Helper()
	toServer, in := io.Pipe()
	out, fromServer := io.Pipe()
	c := &client{t: t, in: in, messages: make(chan map[string]any, 100), ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() {
		err := Serve(ctx, ends{toServer, fromServer}, func() driver.Options { return driver.Options{Tree: files.Disk} })
		_ = fromServer.Close()
		c.ended <- err
	}()
	go func() {
		defer close(c.messages)
		for answers := newStream(ends{out, nil}); ; {
			content, err := answers.next()
			if err != nil {
				return
			}
			var message map[string]any
			if err := json.Unmarshal(content, &message); err != nil {
				t.Errorf("%v\n%s", err, content)
			}
			c.messages <- message
		}
	}()
	return c
}

// ends are the two pipes of a program.
type ends struct {
	*io.PipeReader
	*io.PipeWriter
}

func (e ends) Close() error { return e.PipeReader.Close() }

// send writes bytes. The server may have ended already.
func (c *client) send(text string) { _, _ = io.WriteString(c.in, text) }

func message(content string) string {
	return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(content), content)
}

const initialize = `{"jsonrpc":"2.0","id":1,"method":"` + protocol.MethodInitialize + `","params":{"capabilities":{}}}`

// answer waits for the next message.
func (c *client) answer() map[string]any {
	c.t.Helper()
	select {
	case m := <-c.messages:
		return m
	case <-time.After(time.Minute):
		c.t.Fatal("no answer")
		return nil
	}
}

func TestAMessageThatIsNoRequestIsAnsweredAndTheNextOneRead(t *testing.T) {
	for _, c := range []struct {
		name, content string
		code          float64
	}{
		{"a bracket of the wrong kind", `{"jsonrpc":"2.0","id":1,"method":"shutdown"]`, -32700},
		{"an unfinished message", `{"jsonrpc":"2.0","id":1,`, -32700},
		{"two messages", `{"jsonrpc":"2.0","id":7,"method":"shutdown"}{}`, -32700},
		{"deep nesting", strings.Repeat("[", 100_000), -32700},
		{"nothing", "", -32700},
		{"null", "null", -32600},
		{"a batch", "[" + initialize + "]", -32600},
		{"neither method nor id", `{"jsonrpc":"2.0"}`, -32600},
		{"another version", strings.Replace(initialize, "2.0", "1.0", 1), -32600},
		{"a number as the method", `{"jsonrpc":"2.0","id":1,"method":5}`, -32600},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newClient(t)
			e.send(message(initialize))
			if e.answer()["result"] == nil {
				t.Fatal("initialize fails")
			}
			e.send(message(c.content))
			got := e.answer()
			problem, _ := got["error"].(map[string]any)
			if id, has := got["id"]; !has || id != nil || got["jsonrpc"] != "2.0" || problem["code"] != c.code || problem["message"] == "" {
				t.Errorf("want code %v with id null, got %v", c.code, got)
			}
			// Names of headers are case-insensitive, and there are others.
			shutdown := `{"jsonrpc":"2.0","id":2,"method":"shutdown"}`
			e.send(fmt.Sprintf("content-type: application/vscode-jsonrpc; charset=utf-8\r\ncontent-length:%d\r\n\r\n%s", len(shutdown), shutdown))
			if got := e.answer(); got["id"] != 2.0 || got["error"] != nil {
				t.Errorf("shutdown: %v", got)
			}
			e.send(message(`{"jsonrpc":"2.0","method":"exit"}`))
			if err := <-e.ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAServerEndsWithAnErrorWhereItCannotFindTheNextMessage(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a length that is no number", "Content-Length: many\r\n\r\n{}", `bad Content-Length "many"`},
		{"a negative length", "Content-Length: -5\r\n\r\n{}", `bad Content-Length "-5"`},
		{"a length beyond all memory", "Content-Length: 99999999999\r\n\r\n{}", `bad Content-Length "99999999999"`},
		{"no length", "Content-Type: x\r\n\r\n{}", "a message has no Content-Length"},
		{"no header", "{\"jsonrpc\":\"2.0\"}\n", `bad header line "{\"jsonrpc\":\"2.0\"}"`},
		{"a header without an end", strings.Repeat("x", 2*maxHeader), "a header line has more than 4096 bytes"},
		{"too short a length", "Content-Length: 10\r\n\r\n" + initialize + "\r\n\r\n", "bad header line "},
		{"too long a length", "Content-Length: 1000\r\n\r\n{}", "the input ends within a message: 2 of 1000 bytes"},
		{"an unfinished header", "Content-Length: 1000\r\n", "the input ends within a header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newClient(t)
			e.send(c.text)
			_ = e.in.Close()
			if err := <-e.ended; err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
			var last map[string]any
			for m := range e.messages {
				last = m
			}
			if problem, _ := last["error"].(map[string]any); problem["code"] != -32700.0 || !strings.Contains(fmt.Sprint(problem["message"]), c.want) {
				t.Errorf("the editor gets %v", last)
			}
		})
	}
}

func TestTheEndOfTheInputBetweenMessagesIsNoError(t *testing.T) {
	e := newClient(t)
	e.send(message(initialize))
	e.answer()
	_ = e.in.Close()
	if err := <-e.ended; err != nil {
		t.Error(err)
	}
}
