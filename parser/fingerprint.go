package parser

import (
	"bufio"
	"cmp"
	"encoding"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/hcl/v2"
	"go4.org/netipx"
)

// Fingerprint writes an encoding of the policy that two policies share only if they are
// equal except for positions in source files and the name of the host. It covers every
// field of every node by reflection, so that a field that is added to the AST is in it.
//
// Address lists in files are not part of a policy, and only the names of the files are in
// the encoding.
func (p *Policy) Fingerprint(w io.Writer) error {
	f := fingerprint{bufio.NewWriter(w)}
	f.value(reflect.ValueOf(p))
	return f.w.Flush()
}

// positionTypes hold positions in source files and nothing else.
var positionTypes = []reflect.Type{reflect.TypeFor[hcl.Range]()}

// textTypes are encoded as the text they marshal to, which differs for each value: their
// fields hold pointers that are not part of the value.
var textTypes = []reflect.Type{reflect.TypeFor[time.Time](), reflect.TypeFor[netip.Addr](), reflect.TypeFor[netipx.IPRange]()}

type fingerprint struct {
	// A bufio.Writer keeps the first error for Flush.
	w *bufio.Writer
}

func (f fingerprint) write(text string) { f.w.WriteString(text) }

// value encodes v so that no value is the beginning of another one: strings are quoted,
// and lists begin with their length.
func (f fingerprint) value(v reflect.Value) {
	switch {
	case slices.Contains(positionTypes, v.Type()):
		return
	case slices.Contains(textTypes, v.Type()):
		f.text(v)
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		f.write(strconv.FormatBool(v.Bool()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		f.write(strconv.FormatInt(v.Int(), 10))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		f.write(strconv.FormatUint(v.Uint(), 10))
	case reflect.String:
		f.write(strconv.Quote(v.String()))
	case reflect.Pointer:
		if v.IsNil() {
			f.write("nil")
			return
		}
		f.write("&")
		f.value(v.Elem())
	case reflect.Slice, reflect.Array:
		f.write(fmt.Sprintf("[%d", v.Len()))
		for i := range v.Len() {
			f.write(" ")
			f.value(v.Index(i))
		}
		f.write("]")
	case reflect.Map:
		f.mapping(v)
	case reflect.Struct:
		f.write("{")
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if v.Type() == reflect.TypeFor[Host]() && field.Name == "Name" {
				continue
			}
			f.write(field.Name + ":")
			f.value(v.Field(i))
			f.write(" ")
		}
		f.write("}")
	default:
		panic(fmt.Sprintf("parser: a policy with a %s has no fingerprint", v.Type()))
	}
}

// mapping encodes a map with string keys in the order of its keys.
func (f fingerprint) mapping(v reflect.Value) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
	f.write(fmt.Sprintf("map[%d", len(keys)))
	for _, key := range keys {
		if key.Kind() != reflect.String {
			panic(fmt.Sprintf("parser: a policy with a %s has no fingerprint", v.Type()))
		}
		f.write(" " + strconv.Quote(key.String()) + ":")
		f.value(v.MapIndex(key))
	}
	f.write("]")
}

// text encodes a value of textTypes, which cannot be in an unexported field: reflection
// does not call methods of those.
func (f fingerprint) text(v reflect.Value) {
	text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
	if err != nil {
		panic(fmt.Sprintf("parser: %s in a policy: %v", v.Type(), err))
	}
	f.write(strconv.Quote(string(text)))
}
