package lsp

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"go.lsp.dev/protocol"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// quiet is how long after an edit a policy is compiled, so that this does not happen for
// each key.
const quiet = 200 * time.Millisecond

// analysis is what is known about a policy.
type analysis struct {
	cancel context.CancelFunc
	// result is that of the last compilation without errors; nil before it.
	result *driver.Result
	// reported are the files with diagnostics, which have to be removed once they are fixed.
	reported map[string]bool
}

// analyze compiles the policy of a file in the background and reports its diagnostics.
func (s *Server) analyze(path string) { s.analyzePolicy(s.files.policyOf(path)) }

func (s *Server) analyzePolicy(policy string) {
	ctx, cancel := context.WithCancel(context.Background())
	s.mu.Lock()
	a := s.analyses[policy]
	if a == nil {
		a = &analysis{reported: map[string]bool{}}
		s.analyses[policy] = a
	}
	if a.cancel != nil {
		a.cancel()
	}
	a.cancel = cancel
	s.mu.Unlock()

	go func() {
		defer cancel()
		select {
		case <-ctx.Done():
			return
		case <-time.After(quiet):
		}
		opts := s.options()
		opts.Tree, opts.Context = s.files, ctx
		result, diags := driver.Policy(policy, opts)
		if !diags.HasErrors() && ctx.Err() == nil {
			diags = diag.Unique(append(diags, result.Lint()...))
		}
		s.publish(ctx, a, policy, result, diags)
	}()
}

// publish sends the diagnostics of a policy, unless it was edited since.
func (s *Server) publish(ctx context.Context, a *analysis, policy string, result *driver.Result, diags hcl.Diagnostics) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if !diags.HasErrors() {
		a.result = result
	}
	byFile := map[string][]protocol.Diagnostic{}
	for path := range a.reported {
		byFile[path] = nil
	}
	for _, path := range s.files.openIn(policy) {
		byFile[path] = nil
	}
	// Diagnostics without a place are shown in the first file.
	first := policy
	if files := s.files.filesOf(policy); len(files) > 0 {
		first = files[0]
	}
	for _, d := range diags {
		at := first
		if d.Subject != nil {
			at = d.Subject.Filename
		}
		byFile[at] = append(byFile[at], s.diagnostic(at, d))
	}
	a.reported = map[string]bool{}
	for path, list := range byFile {
		if len(list) > 0 {
			a.reported[path] = true
		}
		s.send(ctx, path, list)
	}
}

func (s *Server) send(ctx context.Context, path string, list []protocol.Diagnostic) {
	params := &protocol.PublishDiagnosticsParams{URI: uriOf(path), Diagnostics: list}
	if list == nil {
		params.Diagnostics = []protocol.Diagnostic{}
	}
	if d := s.files.opened(path); d != nil {
		params.Version = uint32(d.version)
	}
	_ = s.conn.Notify(ctx, protocol.MethodTextDocumentPublishDiagnostics, params)
}

// endAnalysis removes the diagnostics of a policy that is no longer open.
func (s *Server) endAnalysis(policy string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.analyses[policy]
	if a == nil {
		return
	}
	delete(s.analyses, policy)
	a.cancel()
	for path := range a.reported {
		s.send(context.Background(), path, nil)
	}
}

func (s *Server) stopAnalyses() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.analyses {
		a.cancel()
	}
}

// compiled returns the result of the last compilation without errors of the policy of a
// file; nil if there was none.
func (s *Server) compiled(path string) *driver.Result {
	policy := s.files.policyOf(path)
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.analyses[policy]; a != nil {
		return a.result
	}
	return nil
}

var severities = map[string]protocol.DiagnosticSeverity{
	"error": protocol.DiagnosticSeverityError, "warning": protocol.DiagnosticSeverityWarning, "note": protocol.DiagnosticSeverityInformation,
}

// diagnostic returns a diagnostic of the compiler for the editor, in a file.
func (s *Server) diagnostic(path string, d *hcl.Diagnostic) protocol.Diagnostic {
	out := protocol.Diagnostic{
		Severity: severities[diag.Level(d)],
		Source:   "dockerfw",
		Message:  sentence(d),
	}
	info := diag.InfoOf(d)
	if info.Code != 0 {
		out.Code = info.Code.String()
	}
	if d.Subject != nil {
		out.Range = s.rangeIn(path, *d.Subject)
	}
	for _, r := range info.Related {
		out.RelatedInformation = append(out.RelatedInformation, protocol.DiagnosticRelatedInformation{
			Location: s.location(r.Range), Message: r.Message,
		})
	}
	if info.UsedAt != nil {
		out.RelatedInformation = append(out.RelatedInformation, protocol.DiagnosticRelatedInformation{
			Location: s.location(*info.UsedAt), Message: "the value is used here",
		})
	}
	return out
}

// sentence is the text of a diagnostic: what is wrong, then what to do.
func sentence(d *hcl.Diagnostic) string {
	return strings.TrimSuffix(d.Summary+"\n"+d.Detail, "\n")
}

func (s *Server) location(rng hcl.Range) protocol.Location {
	path := rng.Filename
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	return protocol.Location{URI: uriOf(path), Range: s.rangeIn(path, rng)}
}

// rangeIn returns a range in a file of which the text is not at hand, such as an address
// list.
func (s *Server) rangeIn(path string, rng hcl.Range) protocol.Range {
	if d := s.files.document(path); d != nil {
		return d.rangeOf(rng)
	}
	return protocol.Range{}
}
