package agent

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"
)

// What reaches the console cannot act on a terminal or on Jenkins, and a slow
// reader stops nobody.
func TestConsole(t *testing.T) {
	t.Parallel()
	require.Equal(t, "[8mha:x[0m red", printable("\x1b[8mha:x\x1b[0m red\x00\x07\r"))
	require.Len(t, printable(strings.Repeat("x", 5000)), consoleLine)
	stuck := make(chan struct{})
	c := newConsole(writerFunc(func(p []byte) (int, error) { <-stuck; return len(p), nil }), time.Now)
	for range 3 * consoleQueue {
		c.line("GEN_0", "x")
		c.say("y")
	}
	close(stuck)
	c.close()
	c.line("GEN_0", "after the end")
	broken := newConsole(writerFunc(func([]byte) (int, error) { return 0, errors.New("closed") }), time.Now)
	broken.say("x")
	broken.close()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func FuzzPrintable(f *testing.F) {
	f.Add("\x1b[8mha:x\x1b[0m red\x00\x07\r")
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range printable(text) {
			require.True(t, r == '\t' || !unicode.IsControl(r))
		}
	})
}
