package packet

// Labels are sets of packets, each with a number, as one diagram. What is to be done to all of the
// sets is then one operation, whose work grows with the parts that it is about and not with the
// number of sets. Labels of a space are equal if all of their sets are.
//
// As a set of packets they would be those of the sets together, if a variable of each set holds;
// the variables are below all fields, like those of effects.
type Labels struct {
	space *Space
	ref   ref
}

// Labels returns labels without sets.
func (s *Space) Labels() Labels { return Labels{s, none} }

// Add adds packets to the set with a number.
func (l Labels) Add(i int, set Set) Labels {
	d := l.with(set)
	return Labels{l.space, d.or(l.ref, d.and(set.ref, d.effect(i)))}
}

// Move moves packets that are in one set only to another.
func (l Labels) Move(from, to int, set Set) Labels {
	d := l.with(set)
	return Labels{l.space, d.diff(l.ref, d.and(set.ref, d.effect(from)))}.Add(to, set)
}

// In returns the packets of each set that are in another one.
func (l Labels) In(set Set) Labels { return Labels{l.space, l.with(set).and(l.ref, set.ref)} }

// Numbers returns the numbers of the sets with packets, sorted.
func (l Labels) Numbers() []int {
	var out []int
	for _, level := range l.space.d.levels(l.ref) {
		if level >= effectLevel {
			out = append(out, int(level-effectLevel))
		}
	}
	return out
}

// ForAnyClient returns each set as Set.ForAnyClient does.
func (l Labels) ForAnyClient(conditions []string) Labels {
	return Labels{l.space, l.space.without(l.ref, l.space.clientFields(conditions))}
}

// ForAnyTarget returns each set as Set.ForAnyTarget does.
func (l Labels) ForAnyTarget() Labels { return Labels{l.space, l.space.without(l.ref, targetFields)} }

func (l Labels) with(s Set) *diagram { return s.with(Set{l.space, all}) }
