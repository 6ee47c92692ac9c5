package xmltext

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                            "plain",
		"\x1b[1;31mred\x1b[0m":             "red",
		"#x1B[1;31mred#x1B[0m":             "red",
		"\x1b]0;title\x07text":             "text",
		"\x1b]8;;http://x\x1b\\link":       "link",
		"#x1B]0;title#x07text":             "text",
		"a\x1bZb":                          "a\uFFFDZb",
		"a\x00\x7f\ufffe\xffb":             "a\uFFFD\uFFFD\uFFFD\uFFFDb",
		"a\r\nb\rc":                        "a\nb\nc",
		"#x1B is what pytest writes":       "#x1B is what pytest writes",
		"\x1b(B\x1b[mx":                    "x",
		"\u009b31mx":                       "x",
		"#x#x1B[0m1B[0mx":                  "\uFFFDx1B[0mx",
		"\x1b[" + strings.Repeat("1", 999): "\uFFFD[" + strings.Repeat("1", 999),
	} {
		require.Equal(t, want, Clean(in), "%q", in)
		require.Equal(t, want, Clean(want))
	}
}

// FuzzClean: what Clean gives is clean, and stays as it is.
func FuzzClean(f *testing.F) {
	f.Add("a\x1b[31mb#x1B[0m\x00\xff\u009b1m")
	f.Add(strings.Repeat("#x1B", 3) + "[0m")
	f.Add(strings.Repeat("#x1B", 4) + strings.Repeat("[m", 4))
	f.Add("#x1B#x1B[m]0;a#x1B]0;b#x1B[m#x07")
	f.Fuzz(func(t *testing.T, s string) {
		out := Clean(s)
		require.Equal(t, out, Clean(out))
		for _, r := range out {
			require.True(t, legal(r) && r != 0x7F && r != '\r', "%q", r)
		}
	})
}

// TestCleanIsLinear: a text takes as long as it is, however its sequences are nested.
func TestCleanIsLinear(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		strings.Repeat("#x1B", 100_000) + strings.Repeat("[m", 100_000), strings.Repeat("#x1B]", 100_000), strings.Repeat("\x1b]", 200_000),
	} {
		began := time.Now()
		out := Clean(s)
		require.Equal(t, out, Clean(out))
		require.Less(t, time.Since(began), 20*time.Second)
		t.Log(time.Since(began))
	}
}

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
				if b < 0x20 || b >= 0x7F || b == '&' || b == '#' || b == '<' || b == ']' {
					want = at
				}
				require.Equal(t, want, nextOdd(s, 0, '&', '#', '<', ']'), "%x at %d beside %c", b, at, fill)
			}
		}
	}
}

// TestHiddenIsMarked: a name that turns the direction of text, or hides a part of itself, shows that it does; one with
// the joiners of scripts and emoji stays as it is.
func TestHiddenIsMarked(t *testing.T) {
	t.Parallel()
	for _, r := range "\u00ad\u061c\u115f\u180e\u200b\u200e\u200f\u2028\u2029\u202a\u202e\u2060\u2066\u2069\u206f\u3164\ufeff\ufff9\U000e0001\U000e007f" {
		text := "a" + string(r) + "b"
		require.Equal(t, "a\ufffdb", Clean(text), "%U", r)
		require.Equal(t, "a\ufffdb", new(Decoder).Clean(fmt.Appendf(nil, "a&#x%X;b", r), InAttribute), "%U", r)
		for _, where := range []Context{InText, InCDATA, InAttribute} {
			require.False(t, Plain([]byte(text), where), "%U", r)
		}
		require.False(t, Plain([]byte(fmt.Sprintf("a&#%d;b", r)), InText), "%U", r)
	}
	for _, text := range []string{"नमस्ते\u200d", "می\u200cخواهم", "👨\u200d👩\u200d👧", "ℹ\ufe0f", "é", "日本語", "\u00a0"} {
		require.Equal(t, text, Clean(text))
		require.True(t, Plain([]byte(text), InText), text)
	}
}
