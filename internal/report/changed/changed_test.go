package changed_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/changed"
)

func run(commit string, facts map[string]string, nodes ...string) changed.Run {
	r := changed.Run{Commit: commit, Image: "img:1", Nodes: nodes}
	if facts != nil {
		r.Facts = []map[string]string{facts}
	}
	return r
}

func facts(pairs ...string) map[string]string {
	out := map[string]string{"kernel": "6.1", "driver": "580.95.05", "cuda": "13.0", "env.NCCL_DEBUG": "WARN", "image": "img:1"}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

func TestBetween(t *testing.T) {
	t.Parallel()
	usual := []changed.Run{run("aaa", facts(), "n1"), run("bbb", facts(), "n2")}
	for _, tt := range []struct {
		name          string
		before, since []changed.Run
		want          string
	}{
		{"nothing but the commit", usual, []changed.Run{run("ccc", facts(), "n1")}, "Nothing but the commit changed: 6 other facts are as in the 2 runs before."},
		{"the driver", usual, []changed.Run{run("ccc", facts("driver", "580.126.09"), "n1")}, "Together with the commit changed: driver 580.95.05 → 580.126.09."},
		{"of some nodes only", usual, []changed.Run{run("ccc", facts("driver", "580.95.05 (n1), 580.126.09 (n2)"), "n1", "n2")}, "Together with the commit changed: driver 580.95.05 → 580.126.09, 580.95.05."},
		{"nodes that differ in what they differed in before", []changed.Run{run("aaa", facts("driver", "1 (n1), 2 (n2)"), "n1", "n2")}, []changed.Run{run("bbb", facts("driver", "2"), "n2")}, "Nothing but the commit changed: 6 other facts are as in the run before."},
		{"the same commit again", usual, []changed.Run{run("bbb", facts("cuda", "13.1"), "n1")}, "The commit is the same, but changed: CUDA 13.0 → 13.1."},
		{"nothing at all", usual, []changed.Run{run("bbb", facts(), "n1")}, "Nothing changed, not even the commit: 6 other facts are as in the 2 runs before."},
		{"nodes that none had before", usual, []changed.Run{run("ccc", facts(), "n7")}, "Together with the commit changed: nodes n1, n2 → n7."},
		{"a variable that was not set", usual, []changed.Run{run("ccc", facts("env.UCX_TLS", "rc"), "n1")}, "Together with the commit changed: UCX_TLS not set → rc."},
		{"a variable that is not set any more", usual, []changed.Run{run("ccc", map[string]string{"kernel": "6.1"}, "n1")}, "Together with the commit changed: NCCL_DEBUG WARN → not set."},
		{"a version that nobody asked for before", usual, []changed.Run{run("ccc", facts("version.torch", "2.9"), "n1")}, "Nothing but the commit changed: 6 other facts are as in the 2 runs before."},
		{"several, what matters first", usual, []changed.Run{run("ccc", facts("kernel", "6.2", "driver", "590", "image_digest", "x", "image", "img:2"), "n1")}, "Together with the commit changed: image img:1 → img:2; driver 580.95.05 → 590; kernel 6.1 → 6.2."},
		{"nobody looked before", []changed.Run{run("aaa", nil, "n1")}, []changed.Run{run("bbb", facts(), "n1")}, "Nothing but the commit changed: 2 other facts are as in the run before. What the machines were is not known."},
		{"no commit", []changed.Run{run("", nil, "n1")}, []changed.Run{run("", nil, "n1")}, "The commit is not known; nothing else changed: 2 other facts are as in the run before. What the machines were is not known."},
		{"no commit, another node", []changed.Run{run("", nil, "n1")}, []changed.Run{run("", nil, "n2")}, "With it changed: nodes n1 → n2. What the machines were is not known."},
		{"the first run", nil, []changed.Run{run("bbb", facts(), "n1")}, "There is no run to compare with."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, changed.Between(tt.before, tt.since).Text)
		})
	}
}

func TestCards(t *testing.T) {
	t.Parallel()
	before := []changed.Run{{Commit: "a", Nodes: []string{"n1"}, Cards: []string{"GPU-1", "GPU-2"}}}
	d := changed.Between(before, []changed.Run{{Commit: "b", Nodes: []string{"n1"}, Cards: []string{"GPU-3"}}})
	require.Equal(t, []changed.Item{{Fact: changed.Cards, Before: "GPU-1, GPU-2", After: "GPU-3"}}, d.Items)
	require.Empty(t, changed.Between(before, []changed.Run{{Commit: "b", Nodes: []string{"n1"}, Cards: []string{"GPU-2"}}}).Items)
}

// Of a pipeline's roles the commands are not known: nobody may be told that nothing else changed.
func TestCommandsAreNotCompared(t *testing.T) {
	t.Parallel()
	const end = " The commands of its roles are not compared."
	of := func(commit, driver string) []changed.Run {
		r := run(commit, facts("driver", driver), "n1")
		r.Commands = true
		return []changed.Run{r}
	}
	for _, tt := range []struct{ name, before, since, driver, want string }{
		{"no commit", "", "", "580", "The commit is not known; 6 other facts are as in the run before."},
		{"another commit", "aaa", "bbb", "580", "The commit changed; 6 other facts are as in the run before."},
		{"the same commit", "aaa", "aaa", "580", "The commit is the same; 6 other facts are as in the run before."},
		{"something changed", "aaa", "bbb", "590", "Together with the commit changed: driver 580 → 590."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want+end, changed.Between(of(tt.before, "580"), of(tt.since, tt.driver)).Text)
		})
	}
	require.Equal(t, "The commit is not known; no other fact is known."+end+" What the machines were is not known.",
		changed.Between([]changed.Run{{Commands: true}}, []changed.Run{{Commands: true}}).Text)
}
