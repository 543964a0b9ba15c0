// Package structs changes the fields of a struct one by one for tests, so that code which
// copies or prints a struct by hand cannot forget a field that is new.
//
// In: a struct, and samples by type. Out: the struct with another value in one of its fields.
package structs

import (
	"reflect"
	"testing"
)

// EachField calls visit with each field's name and a copy of base in which that field alone has
// another value: the first of the samples that has its type and differs from base, or for
// booleans, numbers and texts any other value. It reports fields without a sample.
func EachField[T any](t testing.TB, base T, samples []any, visit func(field string, changed T)) {
	t.Helper()
	old := reflect.ValueOf(base)
	for i := range old.NumField() {
		field := old.Type().Field(i)
		changed := base
		to := reflect.ValueOf(&changed).Elem().Field(i)
		if !sample(to, samples) && !other(to) {
			t.Errorf("%T.%s: add a sample of type %s that differs from %v", base, field.Name, field.Type, old.Field(i))
			continue
		}
		visit(field.Name, changed)
	}
}

// sample sets v to a sample of its type that differs from it.
func sample(v reflect.Value, samples []any) bool {
	for _, s := range samples {
		if s := reflect.ValueOf(s); s.Type() == v.Type() && !reflect.DeepEqual(s.Interface(), v.Interface()) {
			v.Set(s)
			return true
		}
	}
	return false
}

// other sets v to another value, if its kind is simple and its type is not a name for a few
// values.
func other(v reflect.Value) bool {
	switch {
	case v.Type().PkgPath() != "":
		return false
	case v.Kind() == reflect.Bool:
		v.SetBool(!v.Bool())
	case v.CanUint():
		v.SetUint(v.Uint() ^ 1)
	case v.CanInt():
		v.SetInt(v.Int() ^ 1)
	case v.Kind() == reflect.String:
		v.SetString(v.String() + "x")
	default:
		return false
	}
	return true
}
