package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// The chart has a panel for each unit, with CPU seconds over size. Both axes are logarithmic, so that
// growth is the slope of a line, and all panels have the same axis of seconds.
const (
	panelWidth, panelHeight = 296.0, 320.0
	panelLeft, panelTop     = 56.0, 48.0
	panelGap                = 24.0
	legendTop               = panelTop + panelHeight + 52
	legendLine              = 20.0
)

// style has colors for light and dark, of which each is readable on its background; lines also differ
// by their markers and dashes.
const style = `
.back { fill: #ffffff } .text { fill: #1f2328 } .grid { stroke: #d8dee4 } .guide { stroke: #6e7781 }
.s0 { --c: #0550ae } .s1 { --c: #116329 } .s2 { --c: #8250df } .s3 { --c: #bc4c00 }
.peer { --c: #57606a }
@media (prefers-color-scheme: dark) {
.back { fill: #0d1117 } .text { fill: #e6edf3 } .grid { stroke: #30363d } .guide { stroke: #8b949e }
.s0 { --c: #79c0ff } .s1 { --c: #56d364 } .s2 { --c: #d2a8ff } .s3 { --c: #ffa657 }
.peer { --c: #adbac7 }
}
text { font-family: system-ui, sans-serif; font-size: 13px }
.head { font-size: 15px; font-weight: 600 }
.line { fill: none; stroke: var(--c); stroke-width: 2.2 } .peer .line { stroke-width: 1.4 }
.mark { fill: var(--c); stroke: var(--c) } .peer .mark { fill: none; stroke-width: 1.2 }
.guide { stroke-dasharray: 1 4; stroke-width: 1.5; fill: none } .grid { stroke-width: 1 }
`

// dashes of the lines of peers.
var dashes = []string{"7 3", "2 3", "10 3 2 3", "5 5"}

type point struct {
	size    int
	seconds float64
}

// curve is a line of a panel.
type curve struct {
	name   string
	points []point
	peer   bool
}

// curves returns the lines of a unit: its series, and of the first series that has them the peers.
func (m *measurements) curves(u unit) []curve {
	var ours, theirs []curve
	seen := map[string]bool{}
	for _, s := range u.series {
		results := m.series[u.name+"/"+s.name]
		if len(results) == 0 {
			continue
		}
		own := curve{name: s.description}
		for _, r := range results {
			own.points = append(own.points, point{r.size, r.cpu()})
		}
		ours = append(ours, own)
		for _, p := range peers {
			peer := curve{name: p, peer: true}
			for _, r := range results {
				if seconds, ran := r.peerCPU(p); ran {
					peer.points = append(peer.points, point{r.size, seconds})
				}
			}
			if len(peer.points) > 0 && !seen[p] {
				seen[p] = true
				theirs = append(theirs, peer)
			}
		}
	}
	return append(ours, theirs...)
}

// scale maps numbers of an axis, from its first decade to its last, to positions.
type scale struct {
	first, last int // exponents of ten
	from, to    float64
}

func (s scale) at(x float64) float64 {
	return s.from + (math.Log10(x)-float64(s.first))/float64(s.last-s.first)*(s.to-s.from)
}

// decades returns a scale that has all of some numbers.
func decades(xs []float64, from, to float64) scale {
	s := scale{math.MaxInt, math.MinInt, from, to}
	for _, x := range xs {
		s.first = min(s.first, int(math.Floor(math.Log10(x)+1e-9)))
		s.last = max(s.last, int(math.Ceil(math.Log10(x)-1e-9)))
	}
	s.last = max(s.last, s.first+1)
	return s
}

func (m *measurements) chart() string {
	var panels [][]curve
	var seconds []float64
	lines := 0
	var summary []string
	for _, u := range units {
		curves := m.curves(u)
		panels = append(panels, curves)
		lines = max(lines, len(curves))
		for _, c := range curves {
			for _, p := range c.points {
				seconds = append(seconds, p.seconds)
			}
			first, last := c.points[0], c.points[len(c.points)-1]
			summary = append(summary, fmt.Sprintf("%s: %s s for %s %s, %s s for %s.",
				c.name, significant(first.seconds), grouped(first.size), u.of(first.size), significant(last.seconds), grouped(last.size)))
		}
	}
	y := decades(seconds, panelTop+panelHeight, panelTop)
	width := panelLeft + float64(len(units))*(panelWidth+panelGap)
	height := legendTop + float64(lines+1)*legendLine

	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-labelledby="title description">`+"\n", width, height)
	out.WriteString("<title id=\"title\">CPU time of dockerfw by number of rules, entries and hosts</title>\n")
	fmt.Fprintf(&out, "<desc id=\"description\">Both axes are logarithmic. %s</desc>\n", strings.Join(summary, " "))
	fmt.Fprintf(&out, "<style>%s</style>\n<rect class=\"back\" width=\"%.0f\" height=\"%.0f\"/>\n", style, width, height)
	fmt.Fprintf(&out, `<text class="text" x="8" y="%.0f">CPU s</text>`+"\n", panelTop-16)
	for exponent := y.first; exponent <= y.last; exponent++ {
		fmt.Fprintf(&out, `<text class="text" text-anchor="end" x="%.0f" y="%.1f">%s</text>`+"\n", panelLeft-6, y.at(math.Pow10(exponent))+4, decade(exponent))
	}
	for i, u := range units {
		left := panelLeft + float64(i)*(panelWidth+panelGap)
		writePanel(&out, u, panels[i], left, y)
	}
	out.WriteString("</svg>\n")
	return out.String()
}

func writePanel(out *strings.Builder, u unit, curves []curve, left float64, y scale) {
	fmt.Fprintf(out, `<text class="text head" x="%.0f" y="%.0f">%s</text>`+"\n", left, panelTop-16, u.title)
	if len(curves) == 0 {
		return
	}
	var sizes []float64
	for _, c := range curves {
		for _, p := range c.points {
			sizes = append(sizes, float64(p.size))
		}
	}
	x := decades(sizes, left, left+panelWidth)
	for exponent := y.first; exponent <= y.last; exponent++ {
		fmt.Fprintf(out, `<path class="grid" d="M%.1f %.1fh%.0f"/>`+"\n", left, y.at(math.Pow10(exponent)), panelWidth)
	}
	for exponent := x.first; exponent <= x.last; exponent++ {
		at := x.at(math.Pow10(exponent))
		fmt.Fprintf(out, `<path class="grid" d="M%.1f %.0fv%.0f"/>`+"\n", at, panelTop, panelHeight)
		anchor := "middle"
		if exponent == x.last {
			anchor = "end"
		}
		fmt.Fprintf(out, `<text class="text" text-anchor="%s" x="%.1f" y="%.0f">%s</text>`+"\n", anchor, at, panelTop+panelHeight+18, decade(exponent))
	}
	writeGuide(out, curves[0], x, y)
	for i, c := range curves {
		writeCurve(out, c, i, x, y, left)
	}
	top := legendTop + float64(len(curves))*legendLine
	fmt.Fprintf(out, `<path class="guide" d="M%.0f %.0fh34"/><text class="text" x="%.0f" y="%.0f">n log n</text>`+"\n", left, top-4, left+42, top)
}

// writeGuide writes the line by which n log n grows to the largest size of a curve.
func writeGuide(out *strings.Builder, c curve, x, y scale) {
	end := c.points[len(c.points)-1]
	nLogN := func(n float64) float64 { return n * math.Log(n+1) }
	var path strings.Builder
	step := 'M'
	for exponent := float64(x.last); exponent >= float64(x.first); exponent -= 0.25 {
		size := math.Pow(10, exponent)
		seconds := end.seconds * nLogN(size) / nLogN(float64(end.size))
		if seconds < math.Pow10(y.first) {
			break
		}
		if seconds <= math.Pow10(y.last) {
			fmt.Fprintf(&path, "%c%.1f %.1f", step, x.at(size), y.at(seconds))
			step = 'L'
		}
	}
	fmt.Fprintf(out, `<path class="guide" d="%s"/>`+"\n", path.String())
}

// writeCurve writes a line with its markers, and its entry in the legend.
func writeCurve(out *strings.Builder, c curve, i int, x, y scale, left float64) {
	class, dash, shape := fmt.Sprintf("s%d", i%4), "", i
	if c.peer { // looks the same in each panel
		shape = slices.Index(peers, c.name)
		class, dash = "peer", fmt.Sprintf(` stroke-dasharray="%s"`, dashes[shape%len(dashes)])
	}
	fmt.Fprintf(out, `<g class="%s">`, class)
	var path, marks strings.Builder
	step := 'M'
	for _, p := range c.points {
		px, py := x.at(float64(p.size)), y.at(p.seconds)
		fmt.Fprintf(&path, "%c%.1f %.1f", step, px, py)
		marks.WriteString(mark(shape, px, py))
		step = 'L'
	}
	baseline := legendTop + float64(i)*legendLine
	fmt.Fprintf(out, `<path class="line"%s d="%s"/>%s`, dash, path.String(), marks.String())
	fmt.Fprintf(out, `<path class="line"%s d="M%.0f %.0fh34"/>%s</g>`, dash, left, baseline-4, mark(shape, left+17, baseline-4))
	fmt.Fprintf(out, `<text class="text" x="%.0f" y="%.0f">%s</text>`+"\n", left+42, baseline, c.name)
}

// mark returns marker i at a position: a circle, a square, a triangle or a diamond.
func mark(i int, x, y float64) string {
	switch i % 4 {
	case 0:
		return fmt.Sprintf(`<circle class="mark" cx="%.1f" cy="%.1f" r="3.2"/>`, x, y)
	case 1:
		return fmt.Sprintf(`<path class="mark" d="M%.1f %.1fh6v6h-6z"/>`, x-3, y-3)
	case 2:
		return fmt.Sprintf(`<path class="mark" d="M%.1f %.1fl3.6 6.4h-7.2z"/>`, x, y-3.8)
	}
	return fmt.Sprintf(`<path class="mark" d="M%.1f %.1fl3.8 3.8l-3.8 3.8l-3.8 -3.8z"/>`, x, y-3.8)
}

// decade returns a power of ten as an axis shows it.
func decade(exponent int) string {
	switch {
	case exponent < 0:
		return "0." + strings.Repeat("0", -exponent-1) + "1"
	case exponent >= 6:
		return "1" + strings.Repeat("0", exponent-6) + "M"
	case exponent >= 3:
		return "1" + strings.Repeat("0", exponent-3) + "k"
	}
	return "1" + strings.Repeat("0", exponent)
}
