package scan

import "strings"

// HealthCheck is the path under which a server is asked for its health. "" = unknown.
type HealthCheck string

// Logged reports whether a line is one of an access log about a health check. The node
// helper makes one each second, and whoever answers it need not do any work.
func (path HealthCheck) Logged(line string) bool {
	if path == "" || !strings.Contains(line, "GET") && !strings.Contains(line, "HEAD") {
		return false
	}
	for {
		_, after, found := strings.Cut(line, string(path))
		if !found {
			return false
		}
		if after == "" || !strings.ContainsRune("/-_.", rune(after[0])) && !letterOrDigit(after[0]) {
			return true
		}
		line = after
	}
}

func letterOrDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// Only reports whether a piece of a log holds nothing else than such lines.
func (path HealthCheck) Only(piece string) bool {
	for line := range strings.FieldsFuncSeq(piece, func(c rune) bool { return c == '\n' || c == '\r' }) {
		if !path.Logged(line) {
			return false
		}
	}
	return true
}
