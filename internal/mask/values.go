package mask

import (
	"io"
	"reflect"
)

// Values masks every string, and every slice of bytes, that is reached from a pointer:
// in structs, slices, maps and behind pointers. Unexported fields are left alone. What it
// walks must not be in use elsewhere.
func (m *Masker) Values(pointer any) {
	if m == nil {
		return
	}
	w := walk{m: m, seen: map[any]bool{}}
	w.value(reflect.ValueOf(pointer))
}

type walk struct {
	m    *Masker
	seen map[any]bool // pointers that have been followed
}

func (w walk) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		w.behind(v)
	case reflect.String:
		if v.CanSet() {
			v.SetString(w.m.String(v.String()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			w.value(v.Field(i))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if v.CanSet() {
				v.SetBytes(w.m.Bytes(v.Bytes()))
			}
			return
		}
		for i := range v.Len() {
			w.value(v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			w.value(v.Index(i))
		}
	case reflect.Map:
		w.entries(v)
	case reflect.Interface:
		if !v.IsNil() && v.CanSet() {
			v.Set(w.changed(v.Elem()))
		}
	default:
	}
}

// behind masks what a pointer leads to, once.
func (w walk) behind(v reflect.Value) {
	if v.IsNil() || !v.CanInterface() || w.seen[v.Interface()] {
		return
	}
	w.seen[v.Interface()] = true
	w.value(v.Elem())
}

// entries masks a map's keys and values. Keys that become the same lose all but one.
func (w walk) entries(v reflect.Value) {
	if !v.CanInterface() {
		return
	}
	for _, key := range v.MapKeys() {
		k, e := w.changed(key), w.changed(v.MapIndex(key))
		if !k.Equal(key) {
			v.SetMapIndex(key, reflect.Value{})
		}
		v.SetMapIndex(k, e)
	}
}

// changed is a masked copy of what cannot be changed in its place.
func (w walk) changed(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	w.value(c)
	return c
}

// Each masks each single Write to another writer, which holds whole lines, by itself:
// nothing is held back.
func (m *Masker) Each(to io.Writer) io.Writer {
	if m == nil || to == nil {
		return to
	}
	return each{m, to}
}

type each struct {
	m  *Masker
	to io.Writer
}

func (e each) Write(b []byte) (int, error) {
	if _, err := e.to.Write(e.m.Bytes(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// FindIn reports whether what r gives holds a value. It stops reading at the first.
func (m *Masker) FindIn(r io.Reader) (bool, error) {
	if m == nil {
		return false, nil
	}
	buf := make([]byte, 256<<10)
	row, found := uint32(0), false
	for {
		n, err := r.Read(buf)
		if row, found = m.auto.scan(row, buf[:n], nil); found {
			return true, nil
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}
