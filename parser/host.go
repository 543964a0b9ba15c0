package parser

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

var hostSchema = &hcl.BodySchema{Attributes: append(
	attributes("container_interfaces", "families", "chain", "install", "verdict", "variables"),
	hcl.AttributeSchema{Name: "external_interfaces", Required: true},
)}

// Chains that Docker sends forwarded packets through.
const (
	ChainDockerUser = "DOCKER-USER"
	ChainDocker     = "DOCKER"
)

// hostVariables reads the host's values for variables. They are constants.
func (e *evaluator) hostVariables(decl *hcl.Block) map[string]given {
	content, _, _ := decl.Body.PartialContent(&hcl.BodySchema{Attributes: attributes("variables")})
	a, ok := content.Attributes["variables"]
	if !ok {
		return nil
	}
	v, ok := e.value(a.Expr, e.ctx)
	if !ok {
		return nil
	}
	if v.IsNull() || !v.Type().IsObjectType() && !v.Type().IsMapType() {
		e.error(codeType, a.Expr.Range(), "variables is no object", "variables takes an object, such as { friends = [\"192.0.2.10\"] }, and this is %s.", describe(v))
		return nil
	}
	places := map[string]hcl.Range{}
	if written, diags := hcl.ExprMap(a.Expr); !diags.HasErrors() {
		for _, pair := range written {
			if key, diags := pair.Key.Value(e.ctx); !diags.HasErrors() && key.Type() == cty.String {
				places[key.AsString()] = hcl.RangeBetween(pair.Key.Range(), pair.Value.Range())
			}
		}
	}
	out := map[string]given{}
	for it := v.ElementIterator(); it.Next(); {
		key, value := it.Element()
		rng, ok := places[key.AsString()]
		if !ok {
			rng = a.Expr.Range()
		}
		out[key.AsString()] = given{value: value, rng: rng}
	}
	return out
}

// hostBlock decodes a host block.
func (e *evaluator) hostBlock(decl *hcl.Block) *Host {
	b := e.open(decl, hostSchema, e.ctx)
	h := &Host{DeclRange: decl.DefRange}
	if len(decl.Labels) > 0 {
		h.Name = decl.Labels[0]
	}
	h.ExternalInterfaces = b.interfaces("external_interfaces")
	if b.isEmptyList("external_interfaces") {
		b.error(codeInterface, b.rng("external_interfaces"), "no external interface", "Name at least one interface the outside arrives on, such as [\"eth0\"].")
	}
	h.ContainerInterfaces = b.interfaces("container_interfaces")
	h.IPv4, h.IPv6 = b.families()

	h.Chain = b.choice("chain", ChainDockerUser, ChainDockerUser, ChainDocker)
	install := InstallReplace
	if h.Chain.Value == ChainDocker {
		install = InstallInsert
	}
	written := b.choice("install", string(install), string(InstallReplace), string(InstallJump), string(InstallInsert))
	h.Install = At[Install]{Install(written.Value), written.Range}
	if h.Chain.Value == ChainDocker {
		b.warn(codeChainDocker, h.Chain.Range, "rules in chain DOCKER",
			"Engines since 17.06 have DOCKER-USER for this. Current ones put the ACCEPT of each port published later ahead of what stands in DOCKER, so that it is open to everyone. Leave chain out unless the engine is older.")
		if h.Install.Value != InstallInsert {
			b.error(codeConflict, h.Install.Range, fmt.Sprintf("install = %q in chain DOCKER", h.Install.Value),
				"The other rules of DOCKER belong to Docker. Only install = \"insert\" leaves them in place.")
		}
	}
	fallback := VerdictAccept
	if h.Install.Value == InstallJump {
		fallback = VerdictReturn
	}
	h.Verdict = Verdict(b.choice("verdict", string(fallback), string(VerdictAccept), string(VerdictReturn)).Value)
	return h
}

// families reads which address families are compiled; both when not written.
func (b *block) families() (v4, v6 bool) {
	if !b.has("families") {
		return true, true
	}
	allowed := []string{"ipv4", "ipv6"}
	listed := b.texts("families", `["ipv4", "ipv6"]`)
	for _, f := range listed {
		switch f.Value {
		case "ipv4":
			v4 = true
		case "ipv6":
			v6 = true
		default:
			b.error(codeValue, f.Range, fmt.Sprintf("bad family %q", f.Value), "A family is %s.%s", oneOf(allowed), didYouMean(f.Value, allowed))
		}
	}
	if len(listed) == 0 {
		b.error(codeValue, b.rng("families"), "no family", "Name at least one of %s.", oneOf(allowed))
	}
	return v4, v6
}

// interfaces reads a list of interface names, in which none covers another.
func (b *block) interfaces(name string) []At[string] {
	var out []At[string]
	for _, i := range b.texts(name, `["eth0"]`) {
		if problem := checkInterface(i.Value); problem != "" {
			b.error(codeInterface, i.Range, fmt.Sprintf("bad interface %q", i.Value), "%s", problem)
			continue
		}
		if other := coveredBy(out, i.Value); other != nil {
			b.error(codeDuplicate, i.Range, fmt.Sprintf("interface %q twice", i.Value), "%q in the same list covers it already. Take one of them out.", other.Value)
			continue
		}
		out = append(out, i)
	}
	return out
}

func coveredBy(list []At[string], name string) *At[string] {
	for i := range list {
		if Covers(list[i].Value, name) || Covers(name, list[i].Value) {
			return &list[i]
		}
	}
	return nil
}
