package rundir

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxSlug keeps a slug plus suffixes below the 255 bytes of a file name.
const maxSlug = 100

// Slug is id as a safe directory name. When making it safe changes or shortens
// the id, a hash of the id is appended, so that ids which differ only in awkward
// characters (or only in case, for file systems that fold it) stay apart.
func Slug(id string) string {
	var b strings.Builder
	for _, r := range id {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	s := strings.Trim(b.String(), "._-")
	if s != "" && s == id && len(s) <= maxSlug && s == strings.ToLower(s) && !endsLikeHash(s) {
		return s
	}
	if len(s) > maxSlug {
		s = s[:maxSlug]
	}
	sum := sha256.Sum256([]byte(id))
	return strings.TrimLeft(strings.TrimRight(s, "._-")+"-"+hex.EncodeToString(sum[:4]), "-")
}

// endsLikeHash reports whether a plain id could be mistaken for the slug of another.
func endsLikeHash(s string) bool {
	i := strings.LastIndexByte(s, '-')
	_, err := hex.DecodeString(s[i+1:])
	return len(s)-i-1 == 2*4 && err == nil
}

// ShortID is what tells a case from its neighbours: the text in the brackets of a pytest id, and any other id whole.
func ShortID(id string) string {
	test, param, ok := strings.Cut(id, "[")
	if param = strings.TrimSuffix(param, "]"); !ok || param == "" || !strings.Contains(test, "::") {
		return id
	}
	return param
}
