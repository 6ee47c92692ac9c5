package rundir

import (
	"bytes"
	"encoding/json"
)

// maskTexts is a JSON document with its texts masked, each decoded: what a mask makes of the encoded document may be
// none, as where the value of a secret is also a number, or a field's name. Names of fields stay; other keys are data.
func maskTexts(doc []byte, mask func([]byte) []byte) []byte {
	var out bytes.Buffer
	for at := 0; at < len(doc); {
		if doc[at] != '"' {
			out.WriteByte(doc[at])
			at++
			continue
		}
		end := textEnd(doc, at)
		out.Write(maskText(doc[at:end], isKey(doc[end:]), mask))
		at = end
	}
	return out.Bytes()
}

// textEnd is where the text ends that begins with the quote at at.
func textEnd(doc []byte, at int) int {
	for at++; at < len(doc); at++ {
		switch doc[at] {
		case '\\':
			at++
		case '"':
			return at + 1
		}
	}
	return len(doc)
}

// isKey reports whether what follows a text makes it a key.
func isKey(rest []byte) bool {
	rest = bytes.TrimLeft(rest, " \t\r\n")
	return len(rest) > 0 && rest[0] == ':'
}

// maskText masks one quoted text.
func maskText(quoted []byte, key bool, mask func([]byte) []byte) []byte {
	var text string
	if json.Unmarshal(quoted, &text) != nil {
		return mask(quoted) // none of ours
	}
	if key && bytes.Trim([]byte(text), "abcdefghijklmnopqrstuvwxyz_0123456789") == nil {
		return quoted
	}
	masked := mask([]byte(text))
	if string(masked) == text {
		return quoted
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(string(masked)) != nil {
		return mask(quoted)
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
