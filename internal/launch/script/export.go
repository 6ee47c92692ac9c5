package script

import (
	"net/url"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/mask"
)

// PassedOn are the variables, and prefixes of them with a *, that the jobs of a pull request see of the caller's where
// the cluster's export names none: how a machine is set up, and what the build is.
func PassedOn() []string {
	return []string{
		"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM", "TMPDIR", "XDG_*",
		"LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "CONDA_*",
		"MODULEPATH", "MODULESHOME", "LOADEDMODULES", "_LMFILES_", "LMOD_*", "BASH_ENV",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
		"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HF_*", "LLM_*", "TRTLLM_*", "TLLM_*",
		"CUDA_*", "NVIDIA_*", "NCCL_*", "UCX_*", "NIXL_*", "NVSHMEM_*", "OMP_*", "OMPI_*", "PMIX_*", "FI_*", "IBV_*",
		"BUILD_TAG", "BUILD_NUMBER", "BUILD_URL", "JOB_NAME", "JOB_URL", "WORKSPACE", "NODE_NAME", "STAGE_NAME", "stageName",
		"CI", "CHANGE_ID", "CHANGE_TARGET", "BRANCH_NAME", "GIT_COMMIT", "GIT_BRANCH", "gitlabCommit",
	}
}

// PullRequestExport are the variables of env that the jobs of a pull request see without being asked for, and those
// that they do not see. None whose name, or whose address, says that it holds a secret is among the first.
func PullRequestExport(env []string) (passed, dropped []string) {
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		if harmless(name, value) {
			passed = append(passed, name)
		} else {
			dropped = append(dropped, name)
		}
	}
	slices.Sort(passed)
	slices.Sort(dropped)
	return slices.Compact(passed), slices.Compact(dropped)
}

func harmless(name, value string) bool {
	if u, err := url.Parse(value); mask.Named(name) || !validName(name) || err == nil && u.User != nil {
		return false
	}
	return slices.ContainsFunc(PassedOn(), func(known string) bool {
		prefix, star := strings.CutSuffix(known, "*")
		return name == known || star && strings.HasPrefix(name, prefix)
	})
}
