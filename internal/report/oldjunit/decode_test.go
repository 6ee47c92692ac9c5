package junit

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOrdinary: a byte that is not ordinary is seen at every place and beside
// every other byte.
func TestOrdinary(t *testing.T) {
	t.Parallel()
	good := func(b int) bool { return b >= 0x20 && b < 0x7F && b != '&' }
	for at := range 8 {
		for b := range 256 {
			for _, fill := range []byte{' ', 'a', '~', '\'', '%'} {
				s := []byte{fill, fill, fill, fill, fill, fill, fill, fill}
				s[at] = byte(b)
				if !good(b) {
					require.False(t, ordinary(word(string(s)), '&'), "%x at %d beside %c", b, at, fill)
				}
			}
		}
	}
	require.True(t, ordinary(word("ordinary"), '&'))
	require.True(t, ordinary(word("{|}~ !09"), '&'))
}
