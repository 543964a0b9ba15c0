package lsp

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/parser/files"
)

// editor is the other end of a server.
type editor struct {
	t         *testing.T
	conn      jsonrpc2.Conn
	published chan protocol.PublishDiagnosticsParams
	ended     chan error
	dir       string
}

// newEditor starts a server and initializes it. The files are written to a directory; a name
// without text is not.
func newEditor(t *testing.T, texts map[string]string) *editor {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ours, theirs := net.Pipe()
	e := &editor{t: t, dir: dir, published: make(chan protocol.PublishDiagnosticsParams, 100), ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() {
		e.ended <- Serve(ctx, theirs, func() driver.Options { return driver.Options{Tree: files.Disk} })
	}()
	e.conn = jsonrpc2.NewConn(jsonrpc2.NewStream(ours))
	e.conn.Go(ctx, func(ctx context.Context, reply jsonrpc2.Replier, req jsonrpc2.Request) error {
		if req.Method() == protocol.MethodTextDocumentPublishDiagnostics {
			var p protocol.PublishDiagnosticsParams
			if err := json.Unmarshal(req.Params(), &p); err != nil {
				t.Error(err)
			}
			e.published <- p
		}
		return reply(ctx, nil, nil)
	})
	var result protocol.InitializeResult
	e.call(protocol.MethodInitialize, map[string]any{"capabilities": map[string]any{}}, &result)
	e.notify(protocol.MethodInitialized, map[string]any{})
	return e
}

func (e *editor) call(method string, params, result any) {
	e.t.Helper()
	if err := e.try(method, params, result); err != nil {
		e.t.Fatalf("%s: %v", method, err)
	}
}

func (e *editor) try(method string, params, result any) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := e.conn.Call(ctx, method, params, result)
	return err
}

func (e *editor) notify(method string, params any) {
	e.t.Helper()
	if err := e.conn.Notify(context.Background(), method, params); err != nil {
		e.t.Fatal(err)
	}
}

func (e *editor) uri(name string) protocol.DocumentURI { return uriOf(filepath.Join(e.dir, name)) }

func (e *editor) open(name, text string) {
	e.t.Helper()
	e.notify(protocol.MethodTextDocumentDidOpen, map[string]any{"textDocument": map[string]any{"uri": e.uri(name), "languageId": "dockerfw", "version": 1, "text": text}})
}

func (e *editor) replace(name, text string, version int) {
	e.t.Helper()
	e.notify(protocol.MethodTextDocumentDidChange, map[string]any{
		"textDocument":   map[string]any{"uri": e.uri(name), "version": version},
		"contentChanges": []any{map[string]any{"text": text}},
	})
}

// diagnostics waits for the diagnostics of a version of a file.
func (e *editor) diagnostics(name string, version uint32) []protocol.Diagnostic {
	e.t.Helper()
	for {
		select {
		case p := <-e.published:
			if p.URI == e.uri(name) && p.Version == version {
				return p.Diagnostics
			}
		case <-time.After(time.Minute):
			e.t.Fatalf("no diagnostics of %s, version %d", name, version)
		}
	}
}

// at is the document and the position of the mark ‸ in a text of which the rest is open.
func (e *editor) at(name, marked string) map[string]any {
	e.t.Helper()
	before, _, found := strings.Cut(marked, "‸")
	if !found {
		e.t.Fatal("no mark in the text")
	}
	d := newDocument("", 0, []byte(before))
	return map[string]any{"textDocument": map[string]any{"uri": e.uri(name)}, "position": d.position(len(before))}
}

const policy = `host {
  external_interfaces = ["eth0"]
}

ipset "office" {
  entries = ["192.0.2.0/24", "2001:db8::/64"]
}

accept "web" {
  protocol        = "tcp"
  published_ports = [443]
  source          = [ipset.office]
}

input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    source   = concat([ipset["office"]], local.admins)
  }
}

locals {
  admins = ["198.51.100.7"]
}

test "web" {
  from    = "192.0.2.1"
  to_port = 443
  expect  = "allowed"
  by      = "accept.web"
}
`

func TestDiagnosticsFollowWhatIsTyped(t *testing.T) {
	e := newEditor(t, map[string]string{"policy.hcl": policy})
	e.open("policy.hcl", policy)
	if got := e.diagnostics("policy.hcl", 1); len(got) != 0 {
		t.Fatalf("diagnostics of a good policy: %v", got)
	}

	e.replace("policy.hcl", strings.Replace(policy, "source          = [ipset.office]", `source = ["192.0.2.1/24"] # 𝒳`, 1), 2)
	got := e.diagnostics("policy.hcl", 2)
	if len(got) != 1 {
		t.Fatalf("%d diagnostics, want 1: %v", len(got), got)
	}
	want := protocol.Range{Start: protocol.Position{Line: 11, Character: 13}, End: protocol.Position{Line: 11, Character: 25}}
	if d := got[0]; d.Severity != protocol.DiagnosticSeverityError || d.Range != want || d.Code != "host-bits" || !strings.Contains(d.Message, "192.0.2.0/24") {
		t.Errorf("%+v", d)
	}

	e.replace("policy.hcl", policy, 3)
	if got := e.diagnostics("policy.hcl", 3); len(got) != 0 {
		t.Errorf("diagnostics after the mistake is fixed: %v", got)
	}
}

func TestAFileWithoutHostBlockBelongsToTheDirectory(t *testing.T) {
	host, rest, _ := strings.Cut(policy, "\n\n")
	e := newEditor(t, map[string]string{"host.hcl": host, "rules.hcl": rest})
	e.open("rules.hcl", rest)
	if got := e.diagnostics("rules.hcl", 1); len(got) != 0 {
		t.Errorf("%v", got)
	}
	e.replace("rules.hcl", strings.Replace(rest, "443]", "0]", 1), 2)
	if got := e.diagnostics("rules.hcl", 2); len(got) == 0 {
		t.Error("no diagnostics for port 0")
	}
}

func TestFilesThatAreTwoPoliciesAreReadAlone(t *testing.T) {
	e := newEditor(t, map[string]string{"a.hcl": policy, "b.hcl": policy})
	e.open("a.hcl", policy)
	if got := e.diagnostics("a.hcl", 1); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestErrorsInOtherFilesAreReportedThere(t *testing.T) {
	host, rest, _ := strings.Cut(policy, "\n\n")
	e := newEditor(t, map[string]string{"host.hcl": host, "rules.hcl": strings.Replace(rest, "443]", "0]", 1)})
	e.open("host.hcl", host)
	// A file that is not open has no version.
	if got := e.diagnostics("rules.hcl", 0); len(got) == 0 {
		t.Error("no diagnostics for port 0")
	}
	e.notify(protocol.MethodTextDocumentDidClose, map[string]any{"textDocument": map[string]any{"uri": e.uri("host.hcl")}})
	if got := e.diagnostics("rules.hcl", 0); len(got) != 0 {
		t.Errorf("diagnostics stay after the policy was closed: %v", got)
	}
}

func TestCompletion(t *testing.T) {
	for _, c := range []struct {
		name, marked string
		want         []string // these are among the proposals
	}{
		{"blocks", policy + "‸", []string{"accept", "deny", "egress", "ipset", "test", "variable"}},
		{"attributes", strings.Replace(policy, "  source          =", "  ‸\n  source          =", 1), []string{"container_ports", "source_not", "rate", "log"}},
		{"attributes of a nested block", strings.Replace(policy, "    ports    = [22]\n", "    ‸\n", 1), []string{"ports", "icmp_types"}},
		{"sets", strings.Replace(policy, "[ipset.office]", "[ipset.‸]", 1), []string{"ipset.office"}},
		{"values", strings.Replace(policy, `expect  = "allowed"`, `expect  = ‸`, 1), []string{"allowed", "drop", "refused"}},
		{"bool", strings.Replace(policy, "protocol        =", "enabled = ‸\n  protocol        =", 1), []string{"true", "false"}},
		{"functions", strings.Replace(policy, "concat([ipset", "con‸cat([ipset", 1), []string{"concat", "contains"}},
		{"protocol", strings.Replace(policy, `protocol        = "tcp"`, `protocol        = ‸`, 1), []string{"icmpv6", "udp"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEditor(t, map[string]string{"policy.hcl": policy})
			e.open("policy.hcl", strings.Replace(c.marked, "‸", "", 1))
			var list protocol.CompletionList
			e.call(protocol.MethodTextDocumentCompletion, e.at("policy.hcl", c.marked), &list)
			var got []string
			for _, item := range list.Items {
				got = append(got, item.Label)
			}
			for _, want := range c.want {
				if !slices.Contains(got, want) {
					t.Errorf("%s is not proposed, only %q", want, got)
				}
			}
		})
	}
}

func TestFunctionsAreProposedLast(t *testing.T) {
	marked := strings.Replace(policy, `protocol        = "tcp"`, `protocol        = [‸]`, 1)
	e := newEditor(t, map[string]string{"policy.hcl": policy})
	e.open("policy.hcl", strings.Replace(marked, "‸", "", 1))
	var list protocol.CompletionList
	e.call(protocol.MethodTextDocumentCompletion, e.at("policy.hcl", marked), &list)
	// Editors sort by the label without a text to sort by.
	order := func(i protocol.CompletionItem) string {
		if i.SortText != "" {
			return i.SortText
		}
		return i.Label
	}
	slices.SortFunc(list.Items, func(a, b protocol.CompletionItem) int { return strings.Compare(order(a), order(b)) })
	if len(list.Items) < 10 || list.Items[0].Label != "icmp" || list.Items[len(list.Items)-1].Kind != protocol.CompletionItemKindFunction {
		t.Errorf("%+v", list.Items)
	}
}

// forNFTables returns a policy for target nftables.
func forNFTables(policy string) string {
	return strings.Replace(policy, "host {\n", "host {\n  target = \"nftables\"\n", 1)
}

func TestHover(t *testing.T) {
	for _, c := range []struct {
		name, marked string
		want         []string
	}{
		{"attribute", strings.Replace(policy, "published_ports", "publ‸ished_ports", 1), []string{"the port of the host that the client connected to", "list of port or range"}},
		{"block", strings.Replace(policy, "\naccept", "\nacc‸ept", 1), []string{"which traffic is allowed"}},
		{"rule", strings.Replace(policy, `accept "web"`, `accept "w‸eb"`, 1), []string{"-A DOCKER-USER -i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport 443", "# ip6tables.restore"}},
		{"rule of input", strings.Replace(policy, `accept "ssh"`, `accept "s‸sh"`, 1), []string{"-A DOCKERFW-HOST -p tcp -m tcp --dport 22"}},
		{"set", strings.Replace(policy, "[ipset.office]", "[ipset.off‸ice]", 1), []string{"`office`: 1 entries (hash:net)", "`office-v6`: 1 entries"}},
		{"rule for nftables", forNFTables(strings.Replace(policy, `accept "web"`, `accept "w‸eb"`, 1)), []string{"# dockerfw.nft", "dockerfw-in: ct status dnat ct direction original meta l4proto tcp ct original proto-dst 443"}},
		{"set for nftables", forNFTables(strings.Replace(policy, "[ipset.office]", "[ipset.off‸ice]", 1)), []string{"`office.", "`office-v6."}},
		{"local", strings.Replace(policy, "local.admins", "local.adm‸ins", 1), []string{`admins = ["198.51.100.7"]`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(c.marked, "‸", "", 1)
			e := newEditor(t, map[string]string{"policy.hcl": text})
			e.open("policy.hcl", text)
			e.diagnostics("policy.hcl", 1) // it is compiled now
			var got protocol.Hover
			e.call(protocol.MethodTextDocumentHover, e.at("policy.hcl", c.marked), &got)
			for _, want := range c.want {
				if !strings.Contains(got.Contents.Value, want) {
					t.Errorf("the hover lacks %q:\n%s", want, got.Contents.Value)
				}
			}
		})
	}
}

func TestHoverShowsTheRuleThatManyWereMergedInto(t *testing.T) {
	var text strings.Builder
	text.WriteString("host {\n  external_interfaces = [\"eth0\"]\n}\n")
	for i := range 90 {
		fmt.Fprintf(&text, "accept \"client%d\" {\n  protocol = \"tcp\"\n  published_ports = [%d]\n  source = [\"192.0.2.%d\"]\n}\n", i, 8000+i%3, i)
	}
	e := newEditor(t, map[string]string{"policy.hcl": text.String()})
	e.open("policy.hcl", text.String())
	e.diagnostics("policy.hcl", 1)
	var got protocol.Hover
	e.call(protocol.MethodTextDocumentHover, e.at("policy.hcl", strings.Replace(text.String(), `"client7"`, `"clie‸nt7"`, 1)), &got)
	if want := "--match-set tcp-8001.accept src"; !strings.Contains(got.Contents.Value, want) || strings.Contains(got.Contents.Value, "tcp-8000") {
		t.Errorf("the hover lacks %q:\n%s", want, got.Contents.Value)
	}
}

func TestDefinitionAndReferences(t *testing.T) {
	text := strings.Replace(policy, `entries = [`, `files = ["more.txt"]`+"\n  entries = [", 1)
	e := newEditor(t, map[string]string{"policy.hcl": text, "more.txt": "203.0.113.1\n"})
	e.open("policy.hcl", text)
	lines := func(found []protocol.Location) (out []uint32) {
		for _, l := range found {
			out = append(out, l.Range.Start.Line+1)
		}
		return out
	}
	var found []protocol.Location
	for _, c := range []struct {
		text, cursor string
		line         uint32
	}{
		{`ipset["office"]`, `ipset["of‸fice"]`, 5},
		{`ipset["office"]`, `ip‸set["office"]`, 5},
		{"accept.web", "accept.we‸b", 10},
		{"accept.web", "‸accept.web", 10},
	} {
		e.call(protocol.MethodTextDocumentDefinition, e.at("policy.hcl", strings.Replace(text, c.text, c.cursor, 1)), &found)
		if diff := cmp.Diff([]uint32{c.line}, lines(found)); diff != "" {
			t.Errorf("%s: %s", c.cursor, diff)
		}
	}
	e.call(protocol.MethodTextDocumentDefinition, e.at("policy.hcl", strings.Replace(text, "more.txt", "more‸.txt", 1)), &found)
	if len(found) != 1 || found[0].URI != e.uri("more.txt") {
		t.Errorf("%v", found)
	}
	params := e.at("policy.hcl", strings.Replace(text, `ipset "office"`, `ipset "offi‸ce"`, 1))
	params["context"] = map[string]any{"includeDeclaration": true}
	e.call(protocol.MethodTextDocumentReferences, params, &found)
	if diff := cmp.Diff([]uint32{5, 13, 20}, lines(found)); diff != "" {
		t.Error(diff)
	}
}

func TestRenameChangesEveryFileOfThePolicy(t *testing.T) {
	sets, rules := "ipset \"office\" {\n  entries = [\"192.0.2.1\"]\n}\n", "host {\n  external_interfaces = [\"eth0\"]\n}\naccept \"a\" {\n  source = [for s in [ipset.office] : s]\n}\ndefault {\n  allow = [ipset.office]\n}\n"
	e := newEditor(t, map[string]string{"sets.hcl": sets, "rules.hcl": rules})
	e.open("sets.hcl", sets)
	params := e.at("sets.hcl", strings.Replace(sets, "office", "of‸fice", 1))
	var rng protocol.Range
	e.call(protocol.MethodTextDocumentPrepareRename, params, &rng)
	if want := (protocol.Range{Start: protocol.Position{Character: 7}, End: protocol.Position{Character: 13}}); rng != want {
		t.Errorf("%v, want %v", rng, want)
	}
	params["newName"] = "branch"
	var edit protocol.WorkspaceEdit
	e.call(protocol.MethodTextDocumentRename, params, &edit)
	for name, text := range map[string]string{"sets.hcl": sets, "rules.hcl": rules} {
		want := strings.ReplaceAll(text, "office", "branch")
		if got := apply(text, edit.Changes[e.uri(name)]); got != want {
			t.Errorf("%s: %s", name, cmp.Diff(want, got))
		}
	}
	// Only the name of a reference is replaced.
	e.open("rules.hcl", rules)
	var name *protocol.Range
	if e.call(protocol.MethodTextDocumentPrepareRename, e.at("rules.hcl", strings.Replace(rules, "ipset.office", "ipset.‸office", 1)), &name); name == nil {
		t.Error("the name of a reference cannot be renamed")
	}
	params = e.at("rules.hcl", strings.Replace(rules, "ipset.office", "ip‸set.office", 1))
	var none *protocol.Range
	if e.call(protocol.MethodTextDocumentPrepareRename, params, &none); none != nil {
		t.Errorf("%v", none)
	}
	params = e.at("sets.hcl", strings.Replace(sets, "office", "of‸fice", 1))
	for name, problem := range map[string]string{"a b": "letters, digits", "office-v6": "reserved"} {
		params["newName"] = name
		if err := e.try(protocol.MethodTextDocumentRename, params, &edit); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("rename to %q: %v", name, err)
		}
	}
}

func TestRenameRefusesANameThatIsTaken(t *testing.T) {
	e := newEditor(t, map[string]string{"policy.hcl": policy})
	e.open("policy.hcl", policy)
	params := e.at("policy.hcl", strings.Replace(policy, `accept "web"`, `accept "w‸eb"`, 1))
	params["newName"] = "ssh"
	if err := e.try(protocol.MethodTextDocumentRename, params, nil); err == nil || !strings.Contains(err.Error(), "policy.hcl:16") {
		t.Errorf("%v", err)
	}
}

// apply applies the edits of a document, which do not overlap, from the last to the first.
func apply(text string, edits []protocol.TextEdit) string {
	d := newDocument("", 0, []byte(text))
	slices.SortFunc(edits, func(a, b protocol.TextEdit) int { return d.offset(b.Range.Start) - d.offset(a.Range.Start) })
	for _, edit := range edits {
		d = d.change(0, &edit.Range, edit.NewText)
	}
	return string(d.text)
}

func TestFormattingIsThatOfFmt(t *testing.T) {
	e := newEditor(t, nil)
	text := "host {\nexternal_interfaces=[\"eth0\"]\n}\n"
	e.open("policy.hcl", text)
	var edits []protocol.TextEdit
	e.call(protocol.MethodTextDocumentFormatting, map[string]any{"textDocument": map[string]any{"uri": e.uri("policy.hcl")}, "options": map[string]any{"tabSize": 8}}, &edits)
	if got, want := apply(text, edits), "host {\n  external_interfaces = [\"eth0\"]\n}\n"; got != want {
		t.Error(cmp.Diff(want, got))
	}
}

func TestSymbolsAndSemanticTokens(t *testing.T) {
	e := newEditor(t, map[string]string{"policy.hcl": policy})
	e.open("policy.hcl", policy)
	document := map[string]any{"textDocument": map[string]any{"uri": e.uri("policy.hcl")}}
	var outline []protocol.DocumentSymbol
	e.call(protocol.MethodTextDocumentDocumentSymbol, document, &outline)
	var names []string
	for _, s := range outline {
		names = append(names, s.Name)
	}
	if diff := cmp.Diff([]string{"host", `ipset "office"`, `accept "web"`, "input", "locals", `test "web"`}, names); diff != "" {
		t.Error(diff)
	}
	var tokens protocol.SemanticTokens
	e.call(protocol.MethodSemanticTokensFull, document, &tokens)
	// The first two tokens are host at 0:0 and external_interfaces at 1:2.
	want := []uint32{0, 0, 4, tokenNumbers[protocol.SemanticTokenType], 0, 1, 2, 19, tokenNumbers[protocol.SemanticTokenProperty], 0}
	if len(tokens.Data) < len(want) || !slices.Equal(want, tokens.Data[:len(want)]) {
		t.Errorf("%v, want %v first", tokens.Data, want)
	}
}

func TestExitWithoutShutdownIsAnError(t *testing.T) {
	e := newEditor(t, nil)
	e.notify(protocol.MethodExit, nil)
	if err := <-e.ended; err == nil {
		t.Error("no error")
	}
	e = newEditor(t, nil)
	e.call(protocol.MethodShutdown, nil, nil)
	e.notify(protocol.MethodExit, nil)
	if err := <-e.ended; err != nil {
		t.Error(err)
	}
}

func TestUnknownRequestsAreAnswered(t *testing.T) {
	e := newEditor(t, nil)
	if err := e.try("dockerfw/nothing", nil, nil); err == nil {
		t.Error("no error for an unknown request")
	}
	e.notify("$/progress", map[string]any{})
	e.call(protocol.MethodTextDocumentHover, map[string]any{"textDocument": map[string]any{"uri": "untitled:1"}, "position": map[string]any{"line": 3, "character": 1}}, nil)
}
