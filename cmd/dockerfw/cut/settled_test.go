package cut

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/compiler/packet"
)

// judged is the time of a judgment: the second in which one rule has just ended.
var (
	judged  = time.Date(2027, 1, 31, 18, 0, 0, 0, time.UTC)
	ended   = packet.Until{End: judged.Unix()}
	lasting = packet.Until{End: judged.Unix() + 1}
)

// randomCond draws a condition on the protocol, limits and other opaque conditions.
func randomCond(t *rapid.T, depth int) packet.Cond {
	kinds := 4
	if depth > 0 {
		kinds = 7
	}
	list := func() []packet.Cond {
		var out []packet.Cond
		for range rapid.IntRange(0, 3).Draw(t, "conditions") {
			out = append(out, randomCond(t, depth-1))
		}
		return out
	}
	switch rapid.IntRange(0, kinds).Draw(t, "kind") {
	case 0:
		return packet.Proto{Numbers: []uint8{packet.ProtoTCP}}
	case 1:
		if rapid.Bool().Draw(t, "time") {
			return rapid.SampledFrom([]packet.Cond{ended, lasting}).Draw(t, "end")
		}
		return packet.Proto{Numbers: []uint8{packet.ProtoUDP}}
	case 2:
		return packet.Opaque{Text: rapid.SampledFrom([]string{"time", "owner", "limitation"}).Draw(t, "opaque")}
	case 3:
		return packet.Mark{Value: 1, Mask: 1}
	case 4:
		return packet.Opaque{Text: rapid.SampledFrom([]string{"hashlimit --hashlimit-upto 1/sec", "connlimit --connlimit-upto 3", "limit --limit 1/sec"}).Draw(t, "limit"), Stateful: true}
	case 5:
		return packet.Not{C: randomCond(t, depth-1)}
	case 6:
		return packet.All(list())
	}
	if rapid.Bool().Draw(t, "in a set") {
		return packet.InSet{Name: "s", C: randomCond(t, depth-1)}
	}
	return packet.Any(list())
}

// settled errs to one side only: a condition that may hold is one that holds for some values
// of the conditions that cannot be evaluated, while no limit is reached.
func TestPossibleConditions(t *testing.T) {
	counts := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		c := randomCond(t, 3)
		p := packet.Packet{Protocol: packet.ProtoTCP, Marks: packet.Marks{Packet: packet.UnknownMark}}
		p.Complete()
		open, other := false, false
		may, must := possible(c, true, judged, &open), possible(c, false, judged, &other)
		if open != other {
			t.Fatalf("%s: open is %t and %t", c, open, other)
		}
		r := packet.Rule{Matches: []packet.Cond{may, must}}
		if left := r.Opaque(); len(left) > 0 {
			t.Fatalf("%s: %v are left", c, left)
		}
		texts := (&packet.Rule{Matches: []packet.Cond{c}}).Opaque()
		for values := range 1 << len(texts) {
			p.Conditions = map[string]bool{}
			for i, text := range texts {
				p.Conditions[text] = isLimit(text) || text == lasting.String() || text != ended.String() && values>>i&1 == 1
			}
			holds := packet.Holds(c, &p)
			counts[holds]++
			switch {
			case holds && !packet.Holds(may, &p):
				t.Fatalf("%s holds under %v, and %s does not", c, p.Conditions, may)
			case !holds && packet.Holds(must, &p):
				t.Fatalf("%s does not hold under %v, and %s does", c, p.Conditions, must)
			case !open && packet.Holds(may, &p) != packet.Holds(must, &p):
				t.Fatalf("%s is not open, and becomes %s and %s", c, may, must)
			}
		}
	})
	if counts[true] == 0 || counts[false] == 0 {
		t.Errorf("%d conditions held and %d did not", counts[true], counts[false])
	}
}
