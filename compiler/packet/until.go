package packet

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Until holds before a moment, in seconds since 1970 in UTC. Which time it is does not follow
// from a packet, so it is opaque, but the conditions of a space are not independent of each
// other: before one end it is also before all later ones.
type Until struct{ End int64 }

func (Until) isCond() {}

// untilWord begins the text of every Until, and of no other opaque condition: those begin with
// the name of a match.
const untilWord = "until "

// String names the last day of an end at midnight, and the moment of any other.
func (c Until) String() string {
	end := time.Unix(c.End, 0).UTC()
	if end.Equal(end.Truncate(24 * time.Hour)) {
		return untilWord + end.Add(-time.Second).Format(time.DateOnly)
	}
	return untilWord + end.Format(time.RFC3339)
}

// UntilText returns the text of an opaque condition in words, if it is an Until: "until
// 2027-01-31" where it holds, and where it does not "after 2027-01-31", or "from
// 2027-01-31T18:00:00Z".
func UntilText(condition string, holds bool) (text string, ok bool) {
	end, ok := strings.CutPrefix(condition, untilWord)
	switch {
	case !ok || holds:
		return condition, ok
	case strings.Contains(end, "T"):
		return "from " + end, true
	}
	return "after " + end, true
}

// noteUntil adds an end to the field of a space for the time.
func (s *Space) noteUntil(c Until) {
	if s.time == 0 {
		s.time = fieldID(len(s.columns))
		s.columns = append(s.columns, newColumn(s.time, &timeField))
	}
	i, known := slices.BinarySearchFunc(s.ends, c, compareUntil)
	if !known {
		s.ends = slices.Insert(s.ends, i, c)
	}
}

func compareUntil(a, b Until) int { return cmp.Compare(a.End, b.End) }

// beforeEnd are the numbers of the time with which a condition holds: see timeField.
func (s *Space) beforeEnd(c Until) []span {
	i, _ := slices.BinarySearchFunc(s.ends, c, compareUntil)
	return []span{{0, uint32(i)}}
}

// timeField is the field of a space for the time. Its number is how many of the ends have
// passed. Packets have no such field: their conditions have it.
var timeField = field{
	name: "time", layer: lower, turn: lastTurn,
	highest: func(s *Space) [2]uint32 { return [2]uint32{uint32(len(s.ends)), 0} },
	atoms: func(s *Space, c *column) {
		for _, end := range s.ends {
			c.addSpans(0, s.beforeEnd(end))
		}
	},
	read: func(s *Space, p *Packet) uint32 {
		i := slices.IndexFunc(s.ends, func(c Until) bool { return p.Conditions[c.String()] })
		if i < 0 {
			i = len(s.ends)
		}
		return uint32(i)
	},
	best: lowest,
	set: func(s *Space, p *Packet, v value) {
		if p.Conditions == nil {
			p.Conditions = map[string]bool{}
		}
		for i, c := range s.ends {
			p.Conditions[c.String()] = v.number <= uint32(i)
		}
	},
	usual: func(*Space, *Packet) {},
	describe: func(s *Space, c *column, family int, runs []span, r *Region) {
		for _, x := range c.numbers(family, runs) { // one: see apartInTime
			r.Conditions = append(r.Conditions, s.between(x)...)
		}
	},
}

// between are the conditions that hold and that do not with the numbers of a span.
func (s *Space) between(x span) []Condition {
	var out []Condition
	if x.lo > 0 {
		out = append(out, Condition{s.ends[x.lo-1].String(), false})
	}
	if int(x.hi) < len(s.ends) {
		out = append(out, Condition{s.ends[x.hi].String(), true})
	}
	return out
}

// apartInTime returns a box as boxes each of which has one span of time, which its conditions
// describe.
func (s *Space) apartInTime(b box) []box {
	runs := b[s.time]
	if s.time == 0 || len(runs) < 2 {
		return []box{b}
	}
	var out []box
	for _, run := range runs {
		one := maps.Clone(b)
		one[s.time] = []span{run}
		out = append(out, one)
	}
	return out
}

// endsIn returns the ends that decide whether packets are in a set.
func (s *Space) endsIn(in ref) []string {
	c, d := s.columns[s.time], s.d
	with := func(number uint32) ref {
		class := c.cut[0].find(number)
		at := d.and(in, s.classRef(c, 0, []span{{class, class}}))
		return d.keep(at, func(level uint32) bool { return s.owners[level] != c })
	}
	var out []string
	for i, end := range s.ends {
		if with(uint32(i)) != with(uint32(i)+1) {
			out = append(out, end.String())
		}
	}
	return out
}
