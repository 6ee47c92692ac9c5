package host

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A directory that cannot be made is told of in mkdir's own words: no permission, no quota, a name that is too long.
func TestIntoSaysWhyADirectoryCannotBeMade(t *testing.T) {
	t.Parallel()
	dir, long := t.TempDir(), strings.Repeat("x", 300)
	into := func(rel, makes string) string {
		out, err := exec.Command("sh", "-c", into+`into "$1" "$2" $3`, "sh", dir, rel, makes).CombinedOutput()
		if err == nil {
			return ""
		}
		return string(out)
	}
	require.Contains(t, into("a/"+long, "make"), "File name too long")
	require.Contains(t, into("b", ""), "b: No such file or directory")
	require.Empty(t, into("a/b", "make"))
	require.DirExists(t, filepath.Join(dir, "a/b"))
}
