package parser

// Type is the type of an attribute.
type Type uint8

// The types. Every value may be an expression.
const (
	TypeBool Type = iota
	TypeString
	TypeNumber
	TypeStrings
	TypeAddress
	TypeClients
	TypeAddresses
	TypeAddressesAndSets
	TypeSets
	TypePorts
	TypeProxyPorts
	TypeProtocol
	TypeProtocols
	TypeICMPTypes
	TypeObject
	TypeElements
	TypeConstraint
	TypeConstant
)

// String describes the type for people.
func (t Type) String() string { return types[t] }

var types = [...]string{
	TypeBool:             "bool",
	TypeString:           "string",
	TypeNumber:           "number",
	TypeStrings:          "list of string",
	TypeAddress:          "address",
	TypeClients:          "address, list of address or set, or `\"anyone\"`",
	TypeAddresses:        "list of address",
	TypeAddressesAndSets: "list of address or set",
	TypeSets:             "list of set",
	TypePorts:            "list of port or range",
	TypeProxyPorts:       "list of port or range, with protocol",
	TypeProtocol:         "string or number",
	TypeProtocols:        "string, number, or list of them",
	TypeICMPTypes:        "list of name, number or `\"type/code\"`",
	TypeObject:           "object",
	TypeElements:         "map, or list or set of strings",
	TypeConstraint:       "type",
	TypeConstant:         "constant",
}
