package pipeline

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNamesOfTensorRT holds that nothing but its producer, and the one file that calls
// it, knows the roles of TensorRT-LLM's tests by name: kinds decide everywhere.
func TestNamesOfTensorRT(t *testing.T) {
	names := regexp.MustCompile(`\b(GEN|CTX|AGG|GEN_\d+|CTX_\d+|DISAGG_SERVER|BENCHMARK|DISAGG_SERVING_TYPE)\b`)
	root := filepath.Join("..", "..", "..")
	seen := 0
	for _, below := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, below), func(path string, d fs.DirEntry, err error) error {
			slash := filepath.ToSlash(path)
			switch {
			case err != nil:
				return err
			case d.IsDir() && (strings.HasSuffix(slash, "internal/launch/trtllm") || strings.HasSuffix(slash, "internal/testkit") || d.Name() == "testdata"):
				return fs.SkipDir
			case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(slash, "internal/launch/pipeline/workload.go"):
				return nil
			}
			text, err := os.ReadFile(path)
			seen++
			for i, line := range strings.Split(string(text), "\n") {
				require.Empty(t, names.FindString(line), "%s:%d: a kind decides, and an example has names of its own", path, i+1)
			}
			return err
		})
		require.NoError(t, err)
	}
	require.Greater(t, seen, 300)
}
