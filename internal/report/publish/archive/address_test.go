package archive

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	const build, workspace = "https://ci.example.org/job/perf/7/", "/w/perf gate"
	for given, want := range map[string]string{
		"ci-disagg-report": build + "artifact/ci-disagg-report/", "./a b/c": build + "artifact/a%20b/c/", "/w/perf gate/out": build + "artifact/out/",
		"../other": "", "/elsewhere": "",
	} {
		require.Equal(t, want, Address(build, workspace, given, given), given)
		require.Empty(t, Address("", workspace, given, given), given)
		require.Empty(t, Address("javascript:alert(1)", workspace, given, given), given)
	}
}
