package xmltext

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tokens are all tokens of what a scanner reads, and how that ends.
func tokens(s *Scanner) (out []string) {
	for {
		kind, err := s.Next()
		switch {
		case err != nil || kind == EOF:
			return append(out, fmt.Sprint(err))
		case kind == StartTag:
			out = append(out, fmt.Sprintf("<%s %q %t", s.QName, s.Attrs, s.SelfClose))
		case kind == EndTag:
			out = append(out, fmt.Sprintf("</%s", s.QName))
		default:
			out = append(out, fmt.Sprintf("%d %q at %d, %t", kind, s.Text, s.TokenStart, s.Skipped))
		}
	}
}

// TestWindow: whatever the size of the window, and wherever the input is cut off, the
// tokens are those of a text in memory.
func TestWindow(t *testing.T) {
	t.Parallel()
	const doc = "junk <1 & <\n<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b '>]'><!-- ]> -->]>\n<a b = 'c<d' e=\"f>g\" \n><!-- <x> - -- --->" +
		"text < 3 && <4<b/><![CDATA[ ]] ]> <x> ]]]]><![CDATA[]]></a ><n:b c=''/ >"
	for end := range len(doc) + 1 {
		whole := NewBytesScanner([]byte(doc[:end]))
		want := tokens(&whole)
		for _, size := range []int{1, 2, 3, 7, 16, 64} {
			s := NewScanner(strings.NewReader(doc[:end]), 0, 1000)
			s.buf = make([]byte, 0, size)
			require.Equal(t, want, tokens(&s), "%d bytes in windows of %d", end, size)
		}
	}
	s := NewScanner(strings.NewReader("<a "+strings.Repeat(" ", 2000)), 0, 1000)
	s.buf = make([]byte, 0, 16)
	require.Equal(t, []string{ErrTooLarge.Error()}, tokens(&s))
}
