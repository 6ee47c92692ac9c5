package prpolicy_test

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/prpolicy"
	"github.com/ci-disagg/ci-disagg/internal/report/builder"
)

// What a pull request has no say in is what the docs say.
func TestRulesOfAPullRequest(t *testing.T) {
	t.Parallel()
	documented := documentedRules(t)
	have := map[string]bool{}
	for _, key := range prpolicy.Keys(reflect.TypeFor[configfile.File]()) {
		key, _, _ = strings.Cut(key, "[]")
		section, _, _ := strings.Cut(key, ".")
		if section == "perf" && !documented[key] {
			key = section
		}
		have[key] = true
	}
	require.Equal(t, documented, have)
}

// The docs promise all of perf: a key without the tag would be the pull request's unnoticed, since others stand for
// perf.
func TestEveryKeyOfPerfIsARule(t *testing.T) {
	t.Parallel()
	documented := documentedRules(t)
	perf := reflect.TypeFor[builder.Perf]()
	for i := range perf.NumField() {
		f := perf.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		want := "base"
		if documented["perf."+name] {
			want = "named"
		}
		require.Equal(t, want, f.Tag.Get("policy"), "perf.%s", name)
	}
}

// The driver goes to a login node with keys that no job has, and copies the agent's file from the machine that it is
// on: neither is a pull request's to choose, for a cluster that was there or for a new one.
func TestAPullRequestGoesToNoOtherMachine(t *testing.T) {
	t.Parallel()
	theirs := script.Profile{Login: "root@controller", AgentDir: "/srv", Agent: map[string]string{"amd64": "/etc/shadow"}}
	var own, base configfile.File
	own.Clusters = map[string]script.Profile{"old": theirs, "new": theirs}
	base.Clusters = map[string]script.Profile{"old": {Login: "ci@login", AgentDir: "/scratch/ci"}}
	changes := prpolicy.Take(&own, base)
	require.Equal(t, map[string]script.Profile{"old": base.Clusters["old"], "new": {}}, own.Clusters)
	require.Len(t, changes, 6)
}

func documentedRules(t *testing.T) map[string]bool {
	t.Helper()
	doc, err := os.ReadFile("../../docs/security.md")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(doc), "<!-- rules -->")
	list, _, ok := strings.Cut(rest, "<!-- /rules -->")
	require.True(t, ok)
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(list, -1) {
		documented[m[1]] = true
	}
	return documented
}
