package parser

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"go4.org/netipx"
)

func fingerprintOf(t *testing.T, p *Policy) string {
	t.Helper()
	var b strings.Builder
	if err := p.Fingerprint(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// fill gives v and all below it values that are not zero: pointers that are not nil, lists
// and maps of one element.
func fill(v reflect.Value) {
	switch v := v.Addr().Interface().(type) {
	case *netip.Addr:
		*v = netip.MustParseAddr("192.0.2.1")
		return
	case *netipx.IPRange:
		*v = netipx.MustParseIPRange("192.0.2.1-192.0.2.9")
		return
	case *time.Time:
		*v = time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
		return
	case *hcl.Range:
		*v = hcl.Range{Filename: "policy.hcl", Start: hcl.Pos{Line: 3, Column: 1, Byte: 20}}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(settable(v.Field(i)))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		element := reflect.New(v.Type().Elem()).Elem()
		fill(element)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), element)
	default:
		changeLeaf(v)
	}
}

// settable is the field v, also if it is unexported.
func settable(v reflect.Value) reflect.Value {
	return reflect.NewAt(v.Type(), v.Addr().UnsafePointer()).Elem()
}

// changeLeaf gives v another value of its kind.
func changeLeaf(v reflect.Value) {
	switch leaf := v.Addr().Interface().(type) {
	case *netip.Addr:
		*leaf = leaf.Next()
		return
	case *netipx.IPRange:
		*leaf = netipx.IPRangeFrom(leaf.From().Next(), leaf.To())
		return
	case *time.Time:
		*leaf = leaf.Add(time.Nanosecond)
		return
	case *hcl.Range:
		leaf.Start.Line++
		return
	}
	switch {
	case v.Kind() == reflect.String:
		v.SetString(v.String() + "x")
	case v.Kind() == reflect.Bool:
		v.SetBool(!v.Bool())
	case v.CanInt():
		v.SetInt(v.Int() + 1)
	case v.CanUint():
		v.SetUint(v.Uint() + 1)
	default:
		panic("a leaf of type " + v.Type().String())
	}
}

// eachChange makes each change there is below v, one at a time, and calls f while it is
// made: another value, nil, one element more, none.
func eachChange(v reflect.Value, path string, f func(path string, leaf reflect.Type)) {
	old := reflect.New(v.Type()).Elem()
	old.Set(v)
	try := func(what string, value reflect.Value) {
		v.Set(value)
		f(path+what, v.Type())
		v.Set(old)
	}
	isLeaf := slices.Contains(positionTypes, v.Type()) || slices.Contains(textTypes, v.Type())
	switch {
	case v.Kind() == reflect.Struct && !isLeaf:
		for i := range v.NumField() {
			eachChange(settable(v.Field(i)), path+"."+v.Type().Field(i).Name, f)
		}
	case v.Kind() == reflect.Pointer:
		try("=nil", reflect.Zero(v.Type()))
		eachChange(v.Elem(), path, f)
	case v.Kind() == reflect.Slice:
		try("=[]", reflect.MakeSlice(v.Type(), 0, 0))
		try("+1", reflect.AppendSlice(reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, 2), v), v))
		eachChange(v.Index(0), path+"[0]", f)
	case v.Kind() == reflect.Map:
		try("={}", reflect.MakeMap(v.Type()))
		renamed := reflect.MakeMap(v.Type())
		renamed.SetMapIndex(reflect.ValueOf("other").Convert(v.Type().Key()), v.MapIndex(v.MapKeys()[0]))
		try(" key", renamed)
		element := reflect.New(v.Type().Elem()).Elem()
		element.Set(v.MapIndex(v.MapKeys()[0]))
		eachChange(element, path+"[key]", func(path string, leaf reflect.Type) {
			v.SetMapIndex(v.MapKeys()[0], element)
			f(path, leaf)
			v.Set(old)
		})
	default:
		changeLeaf(v)
		f(path, v.Type())
		v.Set(old)
	}
}

func TestEveryFieldOfThePolicyIsInItsFingerprint(t *testing.T) {
	p := &Policy{}
	fill(reflect.ValueOf(p).Elem())
	before := fingerprintOf(t, p)
	changes := map[string]string{"": before}
	positions := 0
	eachChange(reflect.ValueOf(p).Elem(), "", func(path string, leaf reflect.Type) {
		got := fingerprintOf(t, p)
		if slices.Contains(positionTypes, leaf) || path == ".Host.Name" {
			positions++
			if got != before {
				t.Errorf("%s changes the fingerprint", path)
			}
			return
		}
		for other, text := range changes {
			if text == got {
				t.Errorf("%s: the fingerprint is the same as for the change %q", path, other)
			}
		}
		changes[path] = got
	})
	if fingerprintOf(t, p) != before {
		t.Error("the test did not undo its changes")
	}
	if len(changes) < 200 || positions < 40 {
		t.Errorf("%d changes and %d positions were tried", len(changes), positions)
	}
}

func TestNoValueRunsIntoTheNextInFingerprints(t *testing.T) {
	seen := map[string]string{}
	for _, files := range [][]string{nil, {""}, {"", ""}, {"ab", "c"}, {"a", "bc"}, {`a" "b`}, {"a", "b"}, {"a b"}, {"\x00"}, {"�"}, {"\xff"}} {
		got := fingerprintOf(t, &Policy{Files: files})
		if other, ok := seen[got]; ok {
			t.Errorf("%q and %s have the same fingerprint", files, other)
		}
		seen[got] = fmt.Sprintf("%q", files)
	}
}

func TestTheSamePolicyOnTwoHostsHasOneFingerprint(t *testing.T) {
	host := "host %q {\n  external_interfaces = [\"eth0\"]\n}\n"
	one, diags := parse(t, fmt.Sprintf(host, "a"))
	two, more := parse(t, "\n\n"+fmt.Sprintf(host, "bee"))
	if diags.HasErrors() || more.HasErrors() {
		t.Fatal(diags, more)
	}
	if a, b := fingerprintOf(t, one), fingerprintOf(t, two); a != b {
		t.Errorf("%s\n%s", a, b)
	}
}

func TestTimesThatAreEqualHaveOneFingerprint(t *testing.T) {
	day := time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
	policy := func(d time.Time) *Policy {
		return &Policy{Rules: []*Rule{{Expires: &At[time.Time]{Value: d}}}}
	}
	if a, b := fingerprintOf(t, policy(day)), fingerprintOf(t, policy(day.In(time.FixedZone("UTC", 0)))); a != b {
		t.Errorf("%s\n%s", a, b)
	}
}
