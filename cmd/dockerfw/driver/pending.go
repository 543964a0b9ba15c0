package driver

import (
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/emit"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// Pending is a policy without errors of which each host is printed and proved when it is asked for: all
// hosts of a large fleet do not fit into memory. It is safe for concurrent use.
type Pending struct {
	// Labels are those of the hosts, in their order.
	Labels []string

	compilation *compilation
	hosts       []Host
	now         time.Time
	inputs      emit.Source
	proofs      *proofCache
}

// pendingKept is the number of different hosts of which the tables are kept, so that they are not compiled again.
const pendingKept = 16

// Begin compiles the policy at name like [Policy], but for its files and the proof. opts.Emit and opts.Lint
// have no effect. It returns nil and the errors if there is one for any host; sources are the
// contents of the policy's files, to print them with.
func Begin(name string, opts Options) (p *Pending, sources map[string][]byte, diags hcl.Diagnostics) {
	opts = opts.withDefaults()
	opts.Emit = nil
	defer func() { opts.Progress(Progress{}) }()
	c, hosts, diags := begin(name, opts, true, pendingKept)
	if hosts == nil {
		return nil, c.sources, diag.Unique(diags)
	}
	p = &Pending{Labels: c.labels, compilation: c, hosts: hosts, now: opts.Now, inputs: c.emitSource(len(hosts)), proofs: newProofCache(c.addresses, len(hosts), opts.Lines)}
	ignores, _ := c.source.Ignores()
	if len(hosts) <= pendingKept {
		c.source.Forget() // no host is compiled twice
	}
	return p, c.sources, parser.Silence(diag.Unique(diags), ignores)
}

// Unproved is a host whose files are not proved yet.
type Unproved struct {
	host    Host
	pending *Pending
}

// Host returns a host, by its index in Labels. It is called once for each.
func (p *Pending) Host(i int) (Unproved, error) {
	h := p.hosts[i]
	p.hosts[i] = Host{}
	h, diags := p.compilation.emit(h, p.now, p.inputs)
	if diags.HasErrors() {
		return Unproved{}, diags
	}
	return Unproved{h, p}, nil
}

// Key returns what two hosts of a policy have in common only if they are equal but for their labels.
func (u Unproved) Key() Key { return u.host.key }

// Declared is the host block.
func (u Unproved) Declared() hcl.Range { return u.host.declared }

// Prove returns the host, or errors if its files do not do what the policy says.
func (u Unproved) Prove() (Host, hcl.Diagnostics) {
	diags := u.pending.proofs.prove(u.host)
	return u.host, diags
}

// Close ends the reading of files. Host must not be called after it.
func (p *Pending) Close() { p.compilation.source.Close() }
