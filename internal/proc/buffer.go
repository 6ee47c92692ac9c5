package proc

import (
	"strings"
	"sync"
)

// limited keeps the first max bytes and remembers that there were more. It
// swallows the rest, so that the child does not die of a full pipe.
type limited struct {
	mu  sync.Mutex
	max int
	buf []byte
	cut bool
}

func (l *limited) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(b)
	if room := l.max - len(l.buf); len(b) > room {
		b, l.cut = b[:room], true
	}
	l.buf = append(l.buf, b...)
	return n, nil
}

func (l *limited) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf
}

// tail keeps the last max bytes.
type tail struct {
	mu  sync.Mutex
	max int
	buf []byte
	cut bool
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(b)
	if len(b) > t.max {
		b, t.cut = b[len(b)-t.max:], true
		t.buf = t.buf[:0]
	}
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - t.max; over > 0 {
		t.cut = true
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return n, nil
}

// String is the tail; if something was cut, from the first whole line on.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := string(t.buf)
	if t.cut {
		if _, rest, ok := strings.Cut(s, "\n"); ok && rest != "" {
			s = rest
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
