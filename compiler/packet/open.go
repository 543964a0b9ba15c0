package packet

// Open returns the opaque conditions on which it depends whether c holds for the packet,
// in order. Those that p.Conditions has, with either value, are known; others that c
// names count only where what the packet tells leaves c open.
func Open(c Cond, p *Packet) []string {
	var out []string
	seen := map[string]bool{}
	var add func(c Cond)
	// three tells whether c holds as far as it is known.
	var three func(c Cond) (holds, known bool)
	list := func(cs []Cond, neutral bool) (holds, known bool) {
		known = true
		for _, x := range cs {
			h, k := three(x)
			if k && h != neutral {
				return h, true
			}
			known = known && k
		}
		return neutral, known
	}
	three = func(c Cond) (holds, known bool) {
		switch c := c.(type) {
		case Opaque:
			holds, known = p.Conditions[c.Text]
			return holds, known
		case Mark:
			if holds, known = c.Of(p.Marks, p.Tracked()); !known {
				holds, known = p.Conditions[c.String()]
			}
			return holds, known
		case InSet:
			return three(c.C)
		case Not:
			holds, known = three(c.C)
			return !holds, known
		case All:
			return list(c, true)
		case Any:
			return list(c, false)
		}
		return Holds(c, p), true
	}
	add = func(c Cond) {
		if _, known := three(c); known {
			return
		}
		switch c := c.(type) {
		case Opaque:
			if !seen[c.Text] {
				seen[c.Text] = true
				out = append(out, c.Text)
			}
		case Mark:
			if text := c.String(); !seen[text] {
				seen[text] = true
				out = append(out, text)
			}
		case InSet:
			add(c.C)
		case Not:
			add(c.C)
		case All:
			for _, x := range c {
				add(x)
			}
		case Any:
			for _, x := range c {
				add(x)
			}
		}
	}
	add(c)
	return out
}
