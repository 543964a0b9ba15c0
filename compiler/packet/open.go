package packet

// Open returns the opaque conditions that decide whether c holds for the packet, in order.
// Those in p.Conditions, with either value, are known. Others count only if the fields of
// the packet leave it open whether c holds.
func Open(c Cond, p *Packet) []string {
	var out []string
	seen := map[string]bool{}
	Walk(c, func(c Cond) bool {
		if _, known := evaluate(c, p, p.condition); known {
			return false
		}
		switch c.(type) {
		case Opaque, Until, Mark:
			if text := c.String(); !seen[text] {
				seen[text] = true
				out = append(out, text)
			}
		}
		return true
	})
	return out
}

// condition reports whether an opaque condition holds, if p.Conditions has its text.
func (p *Packet) condition(text string) (holds, known bool) {
	holds, known = p.Conditions[text]
	return holds, known
}
