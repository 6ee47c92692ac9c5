package junit

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestEncodePlain holds the fast way of writing a case to what encoding/xml
// makes of the library's structure.
func TestEncodePlain(t *testing.T) {
	t.Parallel()
	texts := []string{"", "plain", "a]]>b", "]]>", "]]>]]>x", "<&\"'>\t\n\r\r\n", "\x1b[31mred\x1b[0m", "\x00\xff\ufffe\u2028é", "#x1B[31mred", strings.Repeat("x]]>y<", 2000)}
	for _, text := range texts {
		for _, s := range []Status{Passed, Skipped, Failed, Errored} {
			c := &Case{Name: text, Classname: "c." + text, Time: 1234567 * time.Microsecond}
			if s != Passed {
				c.Results = []Result{{Status: s, Message: text, Type: text, Text: text}, {Status: s}}
			}
			c.SystemOut, c.SystemErr = []string{text, "second"}, []string{text}
			for _, props := range [][]Property{nil, {{text, text}, {"b", text}}} {
				c.Properties = props
				require.True(t, plain(c))
				for _, o := range []WriteOptions{{}, {StrictXSD: true}} {
					require.Equal(t, encoded(t, c, o, (*CaseEncoder).encodeAny), encoded(t, c, o, (*CaseEncoder).encodePlain))
				}
			}
		}
	}
}

func encoded(t *testing.T, c *Case, o WriteOptions, encode func(*CaseEncoder, *Case) error) string {
	t.Helper()
	var b bytes.Buffer
	e := NewCaseEncoder(&b, o)
	require.NoError(t, encode(e, c))
	require.NoError(t, e.Flush())
	return b.String()
}
