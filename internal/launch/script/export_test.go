package script

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func TestPullRequestExport(t *testing.T) {
	t.Parallel()
	passed, dropped := PullRequestExport([]string{
		"PATH=/bin", "NCCL_DEBUG=INFO", "HF_HOME=/x", "HF_TOKEN=hf_123456", "AWS_SECRET_ACCESS_KEY=x", "SSH_AUTH_SOCK=/s",
		"http_proxy=http://proxy:3128", "https_proxy=http://me:pw@proxy:3128", "NCCL_X(y)=z", "FOO=1",
	})
	require.Equal(t, []string{"HF_HOME", "NCCL_DEBUG", "PATH", "http_proxy"}, passed)
	require.Equal(t, []string{"AWS_SECRET_ACCESS_KEY", "FOO", "HF_TOKEN", "NCCL_X(y)", "SSH_AUTH_SOCK", "https_proxy"}, dropped)

	secrets := rundir.Plan{}
	secrets.Secrets = []rundir.Secret{{Name: "HF_TOKEN", From: "MY_TOKEN"}}
	for _, tt := range []struct {
		prof Profile
		want string
		here []string
	}{
		{Profile{}, "ALL", nil},
		{Profile{Passed: []string{"PATH", "HOME"}}, "PATH,HOME,MY_TOKEN", []string{"PATH", "HOME", "MY_TOKEN"}},
		{Profile{Passed: []string{"PATH"}, ExportEnv: []string{"FOO"}}, "FOO,MY_TOKEN", []string{"FOO", "MY_TOKEN"}},
		{Profile{Passed: []string{"PATH"}, ExportEnv: []string{"ALL"}}, "ALL", nil},
	} {
		require.Contains(t, sbatchOptions(secrets, tt.prof, Attempt{Dir: "/d"}), "--export="+tt.want)
		here := tt.prof.Local([]rundir.Plan{secrets})
		require.Subset(t, here, tt.here)
		if tt.here == nil {
			require.Nil(t, here)
		} else {
			require.Contains(t, here, "PATH", "a list leaves a job its programs, as Slurm does")
			require.NotContains(t, here, "AWS_SECRET_ACCESS_KEY")
		}
	}
}

// The list is documented as it is.
func TestPullRequestExportIsDocumented(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../../docs/security.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(doc), "<!-- export -->")
	require.True(t, ok)
	list, _, ok := strings.Cut(rest, "<!-- /export -->")
	require.True(t, ok)
	var named []string
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(list, -1) {
		named = append(named, m[1])
	}
	require.Equal(t, PassedOn(), named)
}
