package lsp

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"

	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
)

// Server answers one editor.
type Server struct {
	// options are those of dockerfw check; the tree is replaced.
	options func() driver.Options
	files   *workspace
	conn    jsonrpc2.Conn

	mu       sync.Mutex
	shutdown bool
	exited   bool
	// analyses are those of the policies with open documents.
	analyses map[string]*analysis
}

// errNoShutdown is an error of the protocol.
var errNoShutdown = errors.New("the editor sent exit without shutdown")

// Serve answers an editor until it sends exit or closes its end, with the options of
// dockerfw check for each compilation. It returns an error if the editor sent exit without
// shutdown, as the protocol asks for, and if messages cannot be told apart any more.
func Serve(ctx context.Context, editor io.ReadWriteCloser, options func() driver.Options) error {
	s := &Server{options: options, files: newWorkspace(), analyses: map[string]*analysis{}}
	messages := newStream(editor)
	s.conn = jsonrpc2.NewConn(messages)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Messages are handled one after another, so that each edit is applied before what comes
	// after it is answered. Compilations run beside.
	s.conn.Go(ctx, jsonrpc2.Handler(s.handle))
	var failed error
	select {
	case <-s.conn.Done():
		failed = messages.failed
	case <-ctx.Done():
		_ = s.conn.Close()
	}
	s.stopAnalyses()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.exited && !s.shutdown:
		return errNoShutdown
	case s.exited:
		return nil // reading ended because the connection was closed
	}
	return failed
}

// method answers one kind of request or notification.
type method func(s *Server, ctx context.Context, params json.RawMessage) (any, error)

// on makes a method of a function with typed parameters.
func on[P any](answer func(s *Server, ctx context.Context, params *P) (any, error)) method {
	return func(s *Server, ctx context.Context, raw json.RawMessage) (any, error) {
		params := new(P)
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, params); err != nil {
				return nil, invalid("%s", err)
			}
		}
		return answer(s, ctx, params)
	}
}

var methods = map[string]method{
	protocol.MethodInitialize:                     on((*Server).initialize),
	protocol.MethodInitialized:                    ignore,
	protocol.MethodShutdown:                       on((*Server).stop),
	protocol.MethodTextDocumentDidOpen:            on((*Server).didOpen),
	protocol.MethodTextDocumentDidChange:          on((*Server).didChange),
	protocol.MethodTextDocumentDidSave:            on((*Server).didSave),
	protocol.MethodTextDocumentDidClose:           on((*Server).didClose),
	protocol.MethodWorkspaceDidChangeWatchedFiles: on((*Server).didChangeFiles),
	protocol.MethodTextDocumentCompletion:         on((*Server).completion),
	protocol.MethodTextDocumentHover:              on((*Server).hover),
	protocol.MethodTextDocumentDefinition:         on((*Server).definition),
	protocol.MethodTextDocumentReferences:         on((*Server).references),
	protocol.MethodTextDocumentPrepareRename:      on((*Server).prepareRename),
	protocol.MethodTextDocumentRename:             on((*Server).rename),
	protocol.MethodTextDocumentFormatting:         on((*Server).formatting),
	protocol.MethodTextDocumentDocumentSymbol:     on((*Server).symbols),
	protocol.MethodSemanticTokensFull:             on((*Server).semanticTokens),
	protocol.MethodCancelRequest:                  ignore,
	protocol.MethodSetTrace:                       ignore,
}

func ignore(*Server, context.Context, json.RawMessage) (any, error) { return nil, nil }

// handle answers a message. A panic while answering, such as one of the library for
// completion on unfinished text, is an error for the editor and does not end the server.
func (s *Server) handle(ctx context.Context, reply jsonrpc2.Replier, req jsonrpc2.Request) error {
	if req.Method() == protocol.MethodExit {
		s.mu.Lock()
		s.exited = true
		s.mu.Unlock()
		_ = reply(ctx, nil, nil)
		return s.conn.Close()
	}
	m, known := methods[req.Method()]
	if !known {
		if _, call := req.(*jsonrpc2.Call); !call {
			return nil // notifications of other features are to be ignored
		}
		return reply(ctx, nil, jsonrpc2.Errorf(jsonrpc2.MethodNotFound, "%s is not supported", req.Method()))
	}
	result, err := s.answer(ctx, m, req)
	return reply(ctx, result, err)
}

func (s *Server) answer(ctx context.Context, m method, req jsonrpc2.Request) (result any, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = jsonrpc2.Errorf(jsonrpc2.InternalError, "%s: %v", req.Method(), problem)
		}
	}()
	s.mu.Lock()
	stopped := s.shutdown
	s.mu.Unlock()
	if stopped {
		return nil, jsonrpc2.Errorf(jsonrpc2.InvalidRequest, "after shutdown only exit may follow")
	}
	return m(s, ctx, json.RawMessage(req.Params()))
}

func (s *Server) initialize(context.Context, *protocol.InitializeParams) (any, error) {
	return &protocol.InitializeResult{
		Capabilities: protocol.ServerCapabilities{
			TextDocumentSync: protocol.TextDocumentSyncOptions{
				OpenClose: true, Change: protocol.TextDocumentSyncKindIncremental, Save: &protocol.SaveOptions{},
			},
			CompletionProvider:         &protocol.CompletionOptions{TriggerCharacters: []string{".", "\"", "[", "="}},
			HoverProvider:              true,
			DefinitionProvider:         true,
			ReferencesProvider:         true,
			RenameProvider:             &protocol.RenameOptions{PrepareProvider: true},
			DocumentFormattingProvider: true,
			DocumentSymbolProvider:     true,
			SemanticTokensProvider:     semanticTokensOptions{Legend: legend, Full: true},
		},
		ServerInfo: &protocol.ServerInfo{Name: "dockerfw", Version: driver.Version},
	}, nil
}

// semanticTokensOptions is the capability in the form of version 3.16 of the protocol; the
// library's type lacks the legend.
type semanticTokensOptions struct {
	Legend protocol.SemanticTokensLegend `json:"legend"`
	Full   bool                          `json:"full"`
}

func (s *Server) stop(context.Context, *struct{}) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shutdown = true
	return nil, nil
}

func (s *Server) didOpen(_ context.Context, p *protocol.DidOpenTextDocumentParams) (any, error) {
	path, err := pathOf(p.TextDocument.URI)
	if err != nil {
		return nil, nil // not a file: nothing is known about it
	}
	s.files.set(newDocument(path, p.TextDocument.Version, []byte(p.TextDocument.Text)))
	s.analyze(path)
	return nil, nil
}

func (s *Server) didChange(_ context.Context, p *didChangeParams) (any, error) {
	path, err := pathOf(p.TextDocument.URI)
	if err != nil {
		return nil, nil
	}
	d := s.files.opened(path)
	if d == nil {
		return nil, jsonrpc2.Errorf(jsonrpc2.InvalidRequest, "%s is not open", p.TextDocument.URI)
	}
	for _, c := range p.ContentChanges {
		d = d.change(p.TextDocument.Version, c.Range, c.Text)
	}
	s.files.set(d)
	s.analyze(path)
	return nil, nil
}

// didChangeParams are protocol.DidChangeTextDocumentParams; the library's type cannot tell a
// change without a range, which replaces the whole text, from one at the beginning.
type didChangeParams struct {
	TextDocument   protocol.VersionedTextDocumentIdentifier `json:"textDocument"`
	ContentChanges []struct {
		Range *protocol.Range `json:"range"`
		Text  string          `json:"text"`
	} `json:"contentChanges"`
}

func (s *Server) didSave(_ context.Context, p *protocol.DidSaveTextDocumentParams) (any, error) {
	if path, err := pathOf(p.TextDocument.URI); err == nil {
		s.analyze(path)
	}
	return nil, nil
}

func (s *Server) didClose(_ context.Context, p *protocol.DidCloseTextDocumentParams) (any, error) {
	path, err := pathOf(p.TextDocument.URI)
	if err != nil {
		return nil, nil
	}
	policy := s.files.policyOf(path)
	s.files.close(path)
	if len(s.files.openIn(policy)) == 0 {
		s.endAnalysis(policy)
	} else {
		s.analyze(path)
	}
	return nil, nil
}

// didChangeFiles is sent when files change on the disk, such as address lists.
func (s *Server) didChangeFiles(context.Context, *protocol.DidChangeWatchedFilesParams) (any, error) {
	s.mu.Lock()
	var policies []string
	for policy := range s.analyses {
		policies = append(policies, policy)
	}
	s.mu.Unlock()
	for _, policy := range policies {
		s.analyzePolicy(policy)
	}
	return nil, nil
}

// invalid is the error about parameters, which editors show.
func invalid(format string, arguments ...any) error {
	return jsonrpc2.Errorf(jsonrpc2.InvalidParams, format, arguments...)
}
