package question

import (
	"fmt"
	"strconv"
	"strings"
)

// The fields of a question, by their names in test blocks. FromPort and ICMPType are only
// flags of explain.
const (
	From           = "from"
	FromPort       = "from_port"
	ToPort         = "to_port"
	ToAddress      = "to_address"
	Container      = "container"
	ContainerPort  = "container_port"
	Protocol       = "protocol"
	ICMPType       = "icmp_type"
	InterfaceField = "interface"
	OutInterface   = "out_interface"
	State          = "state"
	Proxy          = "proxy"
	ToHost         = "to_host"
)

// Words is how a user writes the fields of a question.
type Words int

// The two spellings: attributes of a test block (out_interface = "eth0"), and flags of
// explain (--out-interface eth0).
const (
	Attributes Words = iota
	Flags
)

// Name is the name of a field.
func (w Words) Name(field string) string {
	if w == Attributes {
		return field
	}
	return "--" + strings.ReplaceAll(field, "_", "-")
}

// With is a field with a value, as a user writes it.
func (w Words) With(field, value string) string {
	_, notNumber := strconv.Atoi(value)
	switch {
	case w == Flags && value == "true":
		return w.Name(field)
	case w == Flags:
		return w.Name(field) + " " + value
	case value == "true" || notNumber == nil:
		return fmt.Sprintf("%s = %s", field, value)
	}
	return fmt.Sprintf("%s = %q", field, value)
}
