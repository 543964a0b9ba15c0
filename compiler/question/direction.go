package question

import (
	"slices"

	"github.com/dockerfw/dockerfw/compiler/packet"
)

// outward reports whether the packet goes to the outside, and not to a container.
func (b *builder) outward() bool {
	q := b.q
	if q.Out == "" {
		b.checkDirection()
		return b.h.IsContainer(b.p.In) && !b.toKnownBridge()
	}
	switch {
	case b.h.IsExternal(q.Out):
		if q.In == "" {
			b.problem(OutInterface, "no "+b.words.Name(InterfaceField),
				"A packet that leaves on %s comes from a container or from another network. Write the interface it arrives on: %s.",
				q.Out, b.words.With(InterfaceField, b.bridge()))
		}
		return true
	case b.h.IsContainer(q.Out) || q.Container.IsValid():
		return false
	}
	// An interface that is neither. If those of containers are known, it is none of them;
	// otherwise only a packet from a container is assumed to go to the outside on it.
	return b.h.bridgesKnown() || b.h.IsContainer(b.p.In)
}

// toKnownBridge reports whether the question has a container whose bridge is known from the
// host's rules.
func (b *builder) toKnownBridge() bool {
	return b.q.Container.IsValid() && b.h.Bridge != nil && b.h.Bridge(b.q.Container) != ""
}

// checkDirection requires an out-interface for a packet that arrives on an interface which may
// be one of Docker's bridges or one of the host's own.
func (b *builder) checkDirection() {
	in := b.q.In
	if b.q.Local() || len(b.h.Container) == 0 || len(b.h.Bridges) > 0 || b.h.IsExternal(in) || b.h.IsContainer(in) || !matches("br-+", in) {
		return
	}
	b.problem(InterfaceField, "no "+b.words.Name(OutInterface),
		"%s is named like a Docker bridge, but container_interfaces does not list it. Write where the packet goes: %s for the outside, %s for a container.",
		in, b.words.With(OutInterface, oneOf(append(slices.Clone(b.h.External), packet.UsualExternal)[0])), b.words.With(OutInterface, b.bridge()))
}

func (h Host) bridgesKnown() bool { return len(h.Container) > 0 || len(h.Bridges) > 0 }

// IsExternal reports whether an interface is external.
func (h Host) IsExternal(name string) bool { return matchesAny(h.External, name) }

// IsContainer reports whether an interface belongs to containers: the policy or Docker's chains
// list it, or it has the name of a Docker bridge (docker0; br- and the network's id). An
// external interface never does.
func (h Host) IsContainer(name string) bool {
	if h.IsExternal(name) {
		return false
	}
	return matchesAny(h.Container, name) || slices.Contains(h.Bridges, name) ||
		matches("docker+", name) || matches("br-+", name) && !h.bridgesKnown()
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}

func matches(pattern, name string) bool {
	return name != "" && packet.Holds(packet.Interface{End: packet.Source, Name: pattern}, &packet.Packet{In: name})
}
