package packet

// An effect maps each packet to what happens to it: it goes on to the next rule, returns
// from the chain, or gets one of the final verdicts. As a diagram it is the function that
// for each packet equals one variable; those variables are below all fields. So one diagram
// holds all verdicts, and adding a rule is one operation.

const effectLevel = 1 << 24

// What can happen to a packet; outcome i is firstOutcome + i.
const (
	passes = iota
	returns
	firstOutcome
)

func outcome(i int) int { return firstOutcome + i }

// effect returns the effect that is the same for all packets.
func (d *diagram) effect(k int) ref { return d.variable(uint32(effectLevel + k)) }

// rule returns the effect that is k for the packets in m, and next for others.
func (d *diagram) rule(m ref, k int, next ref) ref {
	leaf := d.effect(k)
	var walk func(m, next ref) ref
	walk = func(m, next ref) ref {
		switch {
		case m == none || next == leaf:
			return next
		case m == all:
			return leaf
		}
		if r, ok := d.known(opRule, m, next, uint32(k)); ok {
			return r
		}
		d.step()
		level := min(d.level(m), d.level(next))
		m0, m1 := d.split(m, level)
		n0, n1 := d.split(next, level)
		lo := walk(m0, n0)
		r := d.mk(level, lo, walk(m1, n1))
		d.keepResult(opRule, m, next, uint32(k), r)
		return r
	}
	return walk(m, next)
}

// then returns the effect of a where packets that go on have the effect pass, and those
// that return have the effect back.
func (d *diagram) then(a, pass, back ref) ref {
	// pass first: in it nothing goes on or returns any more, or it is the rest of the
	// chain, which returns to where a does.
	return d.put(opBack, d.put(opPass, a, pass), back)
}

// put returns the effect of a where packets that go on (opPass) or return (opBack) have the
// effect of b.
func (d *diagram) put(op operation, a, b ref) ref {
	leaf := d.effect(int(op - opPass))
	var walk func(a, b ref) ref
	walk = func(a, b ref) ref {
		level := d.level(a)
		switch {
		case a == leaf:
			return b
		case level >= effectLevel:
			return a
		}
		if r, ok := d.known(op, a, b, 0); ok {
			return r
		}
		d.step()
		level = min(level, d.level(b))
		a0, a1 := d.split(a, level)
		b0, b1 := d.split(b, level)
		lo := walk(a0, b0)
		r := d.mk(level, lo, walk(a1, b1))
		d.keepResult(op, a, b, 0, r)
		return r
	}
	return walk(a, b)
}

// has returns the packets that have effect k.
func (d *diagram) has(a ref, k int) ref {
	leaf := d.effect(k)
	var walk func(a ref) ref
	walk = func(a ref) ref {
		level := d.level(a)
		switch {
		case a == leaf:
			return all
		case level >= effectLevel:
			return none
		}
		if r, ok := d.known(opHas, a, 0, uint32(k)); ok {
			return r
		}
		d.step()
		lo, hi := d.split(a, level)
		lo = walk(lo)
		r := d.mk(level, lo, walk(hi))
		d.keepResult(opHas, a, 0, uint32(k), r)
		return r
	}
	return walk(a)
}
