package junit

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"1.5": "1.500000", "12": "12.000000", "0.1234567": "0.123457", "7.": "7.000000", "1.2.3": "0.000000", "0.000001": "0.000001", "1,234.567": "1234.567000", "1,234,567": "1234567.000000", "0,5": "0.500000", " 3 ": "3.000000", "1m30s": "90.000000",
		"1e3": "1000.000000", "-5": "0.000000", "NaN": "0.000000", "Inf": "0.000000", "": "0.000000", "00:01:02": "62.000000", "1:02": "62.000000",
		"99999999999": "31536000.000000", "abc": "0.000000", "<<computed>>": "0.000000", "0.0005": "0.000500",
	} {
		require.Equal(t, want, Seconds(ParseTime(in)), in)
		if d, ok := simpleTime([]byte(in)); ok {
			require.Equal(t, ParseTime(in), d, in)
		}
	}
}

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
		"#x#x1B[0m1B[0mx":                  "x",
		"\x1b[" + strings.Repeat("1", 999): "\uFFFD[" + strings.Repeat("1", 999),
	} {
		require.Equal(t, want, Clean(in), "%q", in)
		require.Equal(t, want, Clean(want))
	}
}
