package packet

// Open returns the opaque conditions on which it depends whether c holds for the packet,
// in order. Those that p.Conditions has, with either value, are known; others that c
// names count only where what the packet tells leaves c open.
func Open(c Cond, p *Packet) []string {
	var out []string
	seen := map[string]bool{}
	Walk(c, func(c Cond) bool {
		if _, known := evaluate(c, p, p.condition); known {
			return false
		}
		switch c.(type) {
		case Opaque, Mark:
			if text := c.String(); !seen[text] {
				seen[text] = true
				out = append(out, text)
			}
		}
		return true
	})
	return out
}

// condition tells whether the opaque condition of that text holds, if the packet tells.
func (p *Packet) condition(text string) (holds, known bool) {
	holds, known = p.Conditions[text]
	return holds, known
}
