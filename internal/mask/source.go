package mask

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// Source is where the value of a secret comes from: a variable of the environment (its
// own name inside of a job, From in the client's), or a file.
type Source struct {
	Name string
	From string
	File string
}

// maxFile bounds a secret's file.
const maxFile = 1 << 20

// Read gives the values of secrets as far as they are to be had here, and the names of
// those that are not.
func Read(env []string, sources []Source) (values, missing []string) {
	for _, s := range sources {
		found := false
		for _, v := range []string{variable(env, s.Name), variable(env, s.From), content(s.File)} {
			if v != "" {
				values, found = append(values, v), true
			}
		}
		if !found {
			missing = append(missing, s.Name)
		}
	}
	return values, missing
}

// TooShort names the secret whose value is too short to be masked, in a sentence; nil
// when there is none.
func TooShort(env []string, sources []Source) error {
	for _, s := range sources {
		values, _ := Read(env, []Source{s})
		for _, v := range values {
			if len(v) < MinLength {
				return fmt.Errorf("workload.secrets: %s: its value has %d characters; one of less than %d cannot be masked, because it would stand in too many other places: give it a longer one, or pass what is no secret in workload.env", s.Name, len(v), MinLength)
			}
		}
	}
	return nil
}

func variable(env []string, name string) string {
	if name == "" {
		return ""
	}
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// content is what a shell's $(cat file) gives; "" where it cannot be read. A pipe is not
// waited for.
func content(path string) string {
	if path == "" {
		return ""
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(data), "\n")
}
