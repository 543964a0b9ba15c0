package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/report"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
)

func fleet(t *testing.T, name string) *snapshot.Fleet {
	t.Helper()
	f, diags, err := snapshot.Open(name, driver.Options{Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	return f
}

// manyRules is a policy with a table that is long and has many clients.
func manyRules(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("host {\n  external_interfaces = [\"eth0\"]\n}\n")
	for i := range 10 {
		fmt.Fprintf(&b, "ipset \"team-with-a-long-name-%d\" {\n  entries = [\"10.%d.0.0/16\"]\n}\n", i, i)
	}
	for i := range 80 {
		fmt.Fprintf(&b, "accept \"service-%d\" {\n  protocol        = \"tcp\"\n  published_ports = [%d]\n  source          = [ipset.team-with-a-long-name-%d]\n}\n", i, 10000+7*i, i%10)
	}
	file := filepath.Join(dir, "many.hcl")
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// pages are reports of several kinds, as files.
func pages(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	examples := "../../examples/"
	var out []string
	for _, page := range []struct{ name, before, after string }{
		{"small", "", examples + "tutorial"},
		{"conditions", "", examples + "media-server"},
		{"egress", "", examples + "no-lan-egress"},
		{"fleet", "", examples + "fleet"},
		{"change", examples + "tutorial", examples + "postgres-six"},
		{"many", "", manyRules(t, dir)},
	} {
		var reports []*report.Report
		for _, h := range fleet(t, page.after).Hosts {
			var before *snapshot.Host
			if page.before != "" {
				before = fleet(t, page.before).Hosts[0]
			}
			r, err := report.Build(before, h, report.Options{})
			if err != nil {
				t.Fatal(err)
			}
			r.Findings = []report.Finding{{Level: "warning", Code: "proxy-open", Place: "policy.hcl:1:1", Text: "an example of a finding"}}
			reports = append(reports, r)
		}
		var html bytes.Buffer
		if err := report.WriteHTML(&html, reports); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, page.name+".html")
		if err := os.WriteFile(file, html.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		out = append(out, file)
	}
	return out
}

// overflowing lists what is wider than the window, outside of parts that scroll by themselves.
const overflowing = `
	const out = [], width = document.documentElement.clientWidth;
	if (document.documentElement.scrollWidth > width) out.push("the page is " + document.documentElement.scrollWidth + " px wide");
	for (const e of document.querySelectorAll("body *")) {
		if (e.closest(".scroll") && !e.matches(".scroll") || e.matches(".skip, .hidden")) continue;
		const r = e.getBoundingClientRect();
		if (r.width > 0 && (r.right > width + 1 || r.left < -1)) out.push(e.tagName + " " + e.className + " ends at " + r.right);
	}
	for (const e of document.querySelectorAll(".scroll td, .scroll th")) {
		if (e.scrollWidth > e.clientWidth + 1) out.push("text leaves a cell: " + e.textContent);
	}
	return out;`

// pale lists texts with a contrast below 4.5 (WCAG 2.2, 1.4.3), computed from what is shown.
const pale = `
	const parse = s => { const n = s.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n };
	const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 }); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
	const out = []; let seen = 0;
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || !e.getClientRects().length) continue;
		seen++;
		let back = null;
		for (let p = e; p && !back; p = p.parentElement) {
			const c = parse(getComputedStyle(p).backgroundColor);
			if (c[3] === 1) back = c; else if (c[3] !== 0) out.push("a background that is not opaque: " + p.tagName);
		}
		const a = light(parse(getComputedStyle(e).color).slice(0, 3)), b = light((back || [255, 255, 255]).slice(0, 3));
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) out.push(ratio.toFixed(2) + ": " + e.tagName + "." + e.className + " " + e.textContent.slice(0, 40));
	}
	if (seen < 20) out.push("only " + seen + " texts were seen");
	return out;`

// unnamed lists what a screen reader cannot announce.
const unnamed = `
	const out = [];
	if (document.documentElement.lang !== "en" || !document.title) out.push("no language or title");
	if (document.querySelectorAll("h1").length !== 1 || document.querySelectorAll("main").length !== 1) out.push("not one h1 and one main");
	for (const t of document.querySelectorAll("table")) {
		if (!t.caption || !t.caption.textContent.trim()) out.push("a table without a caption");
		for (const h of t.querySelectorAll("th")) if (!h.scope) out.push("a header without a scope: " + h.textContent);
		for (const r of t.tBodies[0].rows) if (!r.querySelector("th") && !t.querySelector("[rowspan]")) out.push("a row without a header: " + r.textContent);
	}
	for (const e of document.querySelectorAll("[aria-labelledby]")) if (!document.getElementById(e.getAttribute("aria-labelledby"))) out.push("no label " + e.getAttribute("aria-labelledby"));
	for (const e of document.querySelectorAll(".scroll")) if (e.tabIndex !== 0 || e.getAttribute("role") !== "region") out.push("a part that scrolls is not reached by keyboard");
	for (const a of document.querySelectorAll("a")) if (!document.getElementById(a.hash.slice(1))) out.push("a link to nowhere: " + a.hash);
	const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
	if (new Set(ids).size !== ids.length) out.push("two elements have one id");
	for (const e of document.querySelectorAll("[tabindex]")) if (e.tabIndex > 0) out.push("an order of its own: " + e.tagName);
	for (const c of document.querySelectorAll("td.allowed, td.refused, td.left, td.depends")) {
		if (!/allowed|dropped|rejected|left to|depends/.test(c.textContent)) out.push("a verdict in color alone: " + c.textContent);
	}
	let level = 1;
	for (const h of document.querySelectorAll("h1, h2, h3")) { const n = +h.tagName[1]; if (n > level + 1) out.push("a level is left out at " + h.textContent); level = n }
	return out;`

// folded lists the parts that are not shown, for a page that is printed.
const folded = `
	return [...document.querySelectorAll("details table")].filter(t => !t.checkVisibility({contentVisibilityAuto: true}) || t.getBoundingClientRect().height === 0).map(t => t.caption.textContent);`

func TestAReportIsReadableInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: without a browser")
	}
	b := openBrowser(t)
	files := pages(t)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".html")
		problems := func(what, script string) {
			t.Helper()
			if list := b.list(script); len(list) > 0 {
				t.Errorf("%s: %s: %q", name, what, list[:min(5, len(list))])
			}
		}
		b.view(1280, 900, "screen", "light")
		b.open(file)
		problems("semantics", unnamed)
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int{360, 1280} {
				b.view(width, 900, "screen", scheme)
				b.evaluate("for (const d of document.querySelectorAll('details')) d.open = false; ''")
				b.picture(fmt.Sprintf("%s-%d-%s", name, width, scheme))
				b.evaluate("for (const d of document.querySelectorAll('details')) d.open = true; ''")
				problems(fmt.Sprintf("overflow at %d px, %s", width, scheme), overflowing)
				problems(fmt.Sprintf("contrast at %d px, %s", width, scheme), pale)
			}
		}
		b.view(1280, 900, "print", "dark")
		b.evaluate("for (const d of document.querySelectorAll('details')) d.open = false; ''")
		problems("folded in print", folded)
		problems("contrast in print", pale)
		if n := b.print(name); n == 0 {
			t.Errorf("%s: nothing is printed", name)
		}
	}

	// The first key leads to the link that skips what is above the tables.
	b.view(1280, 900, "screen", "light")
	b.open(files[0])
	b.press("Tab", 9)
	if got := b.evaluate("document.activeElement.className + ' ' + (document.activeElement.getBoundingClientRect().left >= 0)"); got != "skip true" {
		t.Errorf("after Tab: %q", got)
	}
	b.press("Enter", 13)
	if got := b.evaluate("location.hash + ' ' + document.activeElement.id"); got != "#main main" {
		t.Errorf("after Enter: %q", got)
	}
	b.press("Tab", 9)
	if got := b.evaluate("document.activeElement.className"); got != "scroll" {
		t.Errorf("the first part after it: %q", got)
	}

	requests, complaints := b.requests()
	for _, url := range requests {
		if !slices.Contains(files, strings.TrimPrefix(url, "file://")) && url != "about:blank" {
			t.Errorf("a request for %s", url)
		}
	}
	if len(requests) < len(files) || len(complaints) > 0 {
		t.Errorf("%d requests; the browser logged %q", len(requests), complaints)
	}
}
