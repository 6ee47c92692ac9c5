package mask

import (
	"os"
	"strings"
)

// names are the words by which a variable's name tells of a secret. TOKEN is one at the
// end only: MAX_TOKENS and TOKENIZERS_PARALLELISM are none.
var names = []string{"SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "API_KEY", "APIKEY", "ACCESS_KEY", "PRIVATE_KEY", "CREDENTIAL"} //nolint:gochecknoglobals // a constant

// Named reports whether a variable's name looks like that of a secret: *TOKEN, and
// *SECRET*, *PASSWORD*, *PASSWD*, *PASSPHRASE*, *API_KEY*, *APIKEY*, *ACCESS_KEY*,
// *PRIVATE_KEY*, *CREDENTIAL*, in either case.
func Named(name string) bool {
	name = strings.ToUpper(name)
	if strings.HasSuffix(name, "TOKEN") || strings.HasSuffix(name, "_PAT") {
		return true
	}
	for _, n := range names {
		if strings.Contains(name, n) {
			return true
		}
	}
	return false
}

// FromEnv are the values of those variables of an environment (NAME=value) whose names
// look like secrets, but those that except names. What is the path of something on this
// machine is where a secret is kept, and short numbers are settings: neither is masked.
func FromEnv(env []string, except func(name string) bool) []string {
	var out []string
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		if !Named(name) || except != nil && except(name) || len(value) < MinLength || number(value) || place(value) {
			continue
		}
		out = append(out, value)
	}
	return out
}

// number reports whether a value is a number that figures could be mistaken for.
func number(v string) bool {
	const longest = 16
	return len(v) < longest && strings.Trim(v, "0123456789.eE+-") == ""
}

func place(v string) bool {
	if !strings.HasPrefix(v, "/") {
		return false
	}
	_, err := os.Stat(v)
	return err == nil
}
