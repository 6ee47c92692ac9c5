package xmltext

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNextOdd: a byte that is not ordinary is seen at every place and beside every
// other byte, and an ordinary one is not.
func TestNextOdd(t *testing.T) {
	t.Parallel()
	for at := range 11 {
		for b := range 256 {
			for _, fill := range []byte{' ', 'a', '~', '\'', '%', '"', '$'} {
				s := bytes.Repeat([]byte{fill}, 11)
				s[at] = byte(b)
				want := 11
				if b < 0x20 || b >= 0x7F || b == '&' || b == '#' {
					want = at
				}
				require.Equal(t, want, nextOdd(s, 0, '&', '#'), "%x at %d beside %c", b, at, fill)
			}
		}
	}
}
