package mask

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf16"
)

const (
	// maxForm bounds the length of a form: of a longer value its lines are looked for, and
	// its first bytes.
	maxForm = 4 << 10
	// minLine is the shortest line of a value of several lines that is masked by itself.
	minLine = 16
)

// forms are what programs turn a value into.
func forms(value string) [][]byte {
	var out [][]byte
	for _, v := range parts(value) {
		for _, f := range spellings(v) {
			if len(f) > maxForm {
				f = f[:maxForm]
			}
			if len(f) >= MinLength {
				out = append(out, []byte(f))
			}
		}
	}
	return out
}

// parts are the value, and of one of several lines (a key) each long line: a log shows
// them one by one, with something before each.
func parts(value string) []string {
	out := []string{value}
	if trimmed := strings.TrimSpace(value); trimmed != value && len(trimmed) >= MinLength {
		out = append(out, trimmed)
	}
	if !strings.ContainsAny(value, "\r\n") {
		return out
	}
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); len(line) >= minLine && !strings.HasPrefix(line, "-----") {
			out = append(out, line)
		}
	}
	return out
}

// spellings are the promised forms of one text.
func spellings(v string) []string {
	out := []string{v}
	out = append(out, xmlForms(v)...)
	out = append(out, jsonForms(v)...)
	out = append(out, urlForms(v)...)
	return append(out, base64Forms(v)...)
}

// xmlForms are those of Python, of Go, and of what else is seen in XML and HTML.
func xmlForms(v string) []string {
	var out []string
	for _, quotes := range [][]string{
		nil,
		{`"`, "&quot;"},
		{`"`, "&quot;", "'", "&apos;"},
		{`"`, "&quot;", "'", "&#39;"},
		{`"`, "&#34;", "'", "&#39;"},
		{`"`, "&quot;", "'", "&#x27;"},
		{`"`, "&quot;", "'", "&#039;"},
	} {
		text := strings.NewReplacer(append([]string{"&", "&amp;", "<", "&lt;", ">", "&gt;"}, quotes...)...).Replace(v)
		out = append(out, text, strings.NewReplacer("\n", "&#10;", "\t", "&#9;", "\r", "&#13;").Replace(text),
			strings.NewReplacer("\n", "&#xA;", "\t", "&#x9;", "\r", "&#xD;").Replace(text))
	}
	return append(out, strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(v))
}

// jsonForms are those of Go, of Python (ASCII only), and of encoders that escape the
// slash. repr of Python, with which it logs strings, differs in the quotes alone.
func jsonForms(v string) []string {
	var out []string
	for _, html := range []bool{false, true} {
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(html)
		if enc.Encode(v) != nil {
			continue // unreachable: a string can always be encoded
		}
		text := strings.TrimSpace(b.String())
		text = text[1 : len(text)-1]
		out = append(out, text, ascii(text), strings.ReplaceAll(text, "/", `\/`), strings.ReplaceAll(ascii(text), "/", `\/`))
		once := text
		twice, err := json.Marshal(once) // a string in JSON in a string, as bodies of requests are logged
		if err == nil {
			out = append(out, string(twice[1:len(twice)-1]))
		}
	}
	repr := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(v)
	return append(out, repr, strings.ReplaceAll(repr, "'", `\'`))
}

// ascii writes what is no ASCII as \uXXXX.
func ascii(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		}
	}
	return b.String()
}

// urlForms are those of a query, of a path, of the part before the host, and of Python's
// quote, with digits in either case.
func urlForms(v string) []string {
	user := strings.TrimPrefix(url.UserPassword("", v).String(), ":")
	python := strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(v))
	var out []string
	for _, f := range []string{url.QueryEscape(v), strings.ReplaceAll(url.QueryEscape(v), "+", "%20"), url.PathEscape(v), user, python} {
		out = append(out, f, lowerDigits(f))
	}
	return out
}

// lowerDigits is a URL's text with its escapes in lower case.
func lowerDigits(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], strings.ToLower(s[i+1:i+3]))
		}
	}
	return string(b)
}

// base64Forms are the characters that are the value's alone when it begins at the
// first, second or third byte of a group of three, in both alphabets.
func base64Forms(v string) []string {
	var out []string
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			text := enc.EncodeToString(append(make([]byte, before), v...))
			// A character has six bits, and those of the first and last may be shared.
			first := (before*8 + 5) / 6
			last := (before + len(v)) * 8 / 6
			out = append(out, text[first:last])
		}
	}
	return out
}
