package lsp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"go.lsp.dev/jsonrpc2"
)

const (
	// maxMessage is the size of the largest message: many times that of a policy with all its lists.
	maxMessage = 256 << 20
	// maxHeader is the size of the largest header line.
	maxHeader = 4096
	// letters are those of header names.
	letters = "-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// stream is the messages of a connection, each after a header with its length. A message that is no
// JSON or no request is answered with an error, and the next one is read; the stream of the library
// would end without a word. Where a header is wrong, nothing shows where the next message begins.
type stream struct {
	conn io.ReadWriteCloser
	in   *bufio.Reader

	mu sync.Mutex // for writing
	// failed is why nothing more can be read; nil after the end of the input between two messages.
	failed error
}

func newStream(conn io.ReadWriteCloser) *stream {
	return &stream{conn: conn, in: bufio.NewReaderSize(conn, maxHeader)}
}

// Read implements jsonrpc2.Stream.
func (s *stream) Read(context.Context) (jsonrpc2.Message, int64, error) {
	for {
		content, err := s.next()
		if err != nil {
			closed := errors.Is(err, os.ErrClosed) || errors.Is(err, io.ErrClosedPipe) // by the server
			if !closed && !errors.Is(err, io.EOF) {
				s.failed = err
				s.refuse(jsonrpc2.ParseError, err)
			}
			return nil, 0, err
		}
		message, err := decode(content)
		if err == nil {
			return message, int64(len(content)), nil
		}
		code := jsonrpc2.InvalidRequest
		if !json.Valid(content) {
			code = jsonrpc2.ParseError
		}
		s.refuse(code, err)
	}
}

func decode(content []byte) (jsonrpc2.Message, error) {
	// The decoder of the library reads the first value only, and knows no limit of nesting.
	var any json.RawMessage
	if err := json.Unmarshal(content, &any); err != nil {
		return nil, fmt.Errorf("the message is not JSON: %w", err)
	}
	message, err := jsonrpc2.DecodeMessage(content)
	if err != nil {
		return nil, errors.New("the message is neither a request nor a response of JSON-RPC 2.0")
	}
	return message, nil
}

// next is the content of the next message. The error is io.EOF after the last one.
func (s *stream) next() ([]byte, error) {
	length, begun := -1, false
	for {
		line, err := s.in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && !begun && len(line) == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF):
			return nil, errors.New("the input ends within a header")
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("a header line has more than %d bytes", maxHeader)
		case err != nil:
			return nil, err
		}
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" && !begun {
			continue // a line end after a message
		} else if text == "" {
			break
		}
		begun = true
		name, value, found := strings.Cut(text, ":")
		if !found || name == "" || strings.Trim(name, letters) != "" {
			return nil, fmt.Errorf("bad header line %q: a message begins with Content-Length: N and an empty line", shortened(text))
		}
		if !strings.EqualFold(name, jsonrpc2.HdrContentLength) {
			continue // Content-Type
		}
		n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 63)
		if err != nil || n > maxMessage {
			return nil, fmt.Errorf("bad Content-Length %q: it is the number of bytes of the message, at most %d", shortened(strings.TrimSpace(value)), maxMessage)
		}
		length = int(n)
	}
	if length < 0 {
		return nil, errors.New("a message has no Content-Length")
	}
	content := make([]byte, length)
	if n, err := io.ReadFull(s.in, content); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("the input ends within a message: %d of %d bytes", n, length)
	} else if err != nil {
		return nil, err
	}
	return content, nil
}

func shortened(text string) string {
	const longest = 60
	if len(text) > longest {
		return text[:longest] + "…"
	}
	return text
}

// refuse answers a message whose identifier is not known. Errors of writing appear when the next
// answer is written.
func (s *stream) refuse(code jsonrpc2.Code, why error) {
	answer := struct {
		Version string `json:"jsonrpc"`
		ID      *int   `json:"id"` // null
		Error   any    `json:"error"`
	}{"2.0", nil, struct {
		Code    jsonrpc2.Code `json:"code"`
		Message string        `json:"message"`
	}{code, why.Error()}}
	if content, err := json.Marshal(answer); err == nil {
		_, _ = s.write(content)
	}
}

// Write implements jsonrpc2.Stream.
func (s *stream) Write(_ context.Context, message jsonrpc2.Message) (int64, error) {
	content, err := json.Marshal(message)
	if err != nil {
		return 0, err
	}
	return s.write(content)
}

func (s *stream) write(content []byte) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	header := fmt.Sprintf("%s: %d%s", jsonrpc2.HdrContentLength, len(content), jsonrpc2.HdrContentSeparator)
	n, err := s.conn.Write(append([]byte(header), content...))
	return int64(n), err
}

// Close implements jsonrpc2.Stream.
func (s *stream) Close() error { return s.conn.Close() }
