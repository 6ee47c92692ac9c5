package blame_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
)

// timeline is one made-up failure with known answers.
type timeline struct {
	ev          blame.Evidence
	root        string          // who caused it
	independent map[string]bool // who failed by itself as well
}

// setting is how well the world can be seen.
type setting struct {
	noise float64 // s, standard deviation of each observed time
	words float64 // chance that a failing role says why
}

// draw makes a timeline: a role fails in one of the ways that occur; those that
// talk to it notice after a while and fail too, saying so or not; the agent stops
// the rest half a second after the first end it sees; now and then another role
// fails by itself at about the same time.
func draw(rng *rand.Rand, c blame.Classes, set setting) timeline {
	roles := []blame.Role{}
	for i := range 1 + rng.IntN(3) {
		roles = append(roles, blame.Role{Name: fmt.Sprintf("GEN_%d", i), Kind: "server"})
	}
	for i := range 1 + rng.IntN(3) {
		roles = append(roles, blame.Role{Name: fmt.Sprintf("CTX_%d", i), Kind: "server"})
	}
	roles = append(roles, blame.Role{Name: "DISAGG_SERVER", Kind: "router"}, blame.Role{Name: "BENCHMARK", Kind: "client"})
	tl := timeline{ev: blame.Evidence{Classes: c, Roles: roles}, independent: map[string]bool{}}
	root := rng.IntN(len(roles))
	tl.root = roles[root].Name
	died := make([]float64, len(roles)) // true times, 0 = never by itself
	died[root] = 100
	tl.fail(rng, set, root, 100, true)
	for i, r := range roles {
		if i == root {
			continue
		}
		if rng.Float64() < 0.05 {
			died[i] = 100 + rng.Float64()*0.4
			tl.independent[r.Name] = true
			tl.fail(rng, set, i, died[i], true)
			continue
		}
		notices := map[string]float64{"server": 0.15, "router": 0.3, "client": 0.7}[r.Kind]
		if roles[root].Kind == "client" {
			notices = 0 // nobody depends on the client
		}
		if at := 100.01 + rng.ExpFloat64()*0.3; rng.Float64() < notices && at < 100.5 {
			died[i] = at
			tl.fail(rng, set, i, at, false)
		}
	}
	first := 1e9
	for _, e := range tl.ev.Events {
		first = min(first, e.At.Sub(start).Seconds())
	}
	for i, r := range roles {
		if died[i] == 0 {
			stop := at(first + 0.5)
			e := blame.Event{
				Role: r.Name, Kind: blame.RoleEnd, Stopped: stop, At: stop.Add(time.Duration(rng.Float64() * float64(time.Second))), Exit: []int{0, 1, 143, 137}[rng.IntN(4)], ByUs: true,
			}
			if e.Exit == 137 {
				e.Killed = e.At
			}
			tl.ev.Events = append(tl.ev.Events, e)
		}
	}
	rng.Shuffle(len(tl.ev.Events), func(i, j int) { tl.ev.Events[i], tl.ev.Events[j] = tl.ev.Events[j], tl.ev.Events[i] })
	return tl
}

// fail adds the end of a role and, if it speaks, its line.
func (tl *timeline) fail(rng *rand.Rand, set setting, i int, when float64, own bool) {
	r := tl.ev.Roles[i]
	e := blame.Event{Role: r.Name, Kind: blame.RoleEnd, At: at(when + rng.NormFloat64()*set.noise), Exit: 1, Expected: r.Kind == "client"}
	text := refused
	if own {
		switch rng.IntN(6) {
		case 0:
			e.Exit, text = 137, ""
		case 1:
			e.Exit, text = 139, ""
		case 2:
			text = "Traceback (most recent call last):"
		case 3:
			text = "RuntimeError: CUDA error: uncorrectable ECC error encountered"
		case 4:
			text = "E   torch.OutOfMemoryError: CUDA out of memory"
		case 5:
			if text = ""; r.Kind != "client" {
				e.Exit = 0
			}
		}
	}
	tl.ev.Events = append(tl.ev.Events, e)
	if text != "" && rng.Float64() < set.words {
		tl.ev.Lines = append(tl.ev.Lines, blame.Line{Role: r.Name, File: "roles/" + r.Name + "/output.log", Number: 10, Text: text, First: true})
	}
}

// Over seeded timelines the wrong roots are counted, and held under a bound for
// the settings that occur; a failure of its own is never called collateral by
// name of somebody else without evidence, in any setting.
func TestAttribution(t *testing.T) {
	t.Parallel()
	const n = 600 // 2000, which the figures of docs/blame.md are from, takes a minute under the race detector
	c := classes(t)
	// noise: one host's clock; slow reaping of steps; clocks of different hosts.
	for _, tt := range []struct {
		set   setting
		wrong float64 // bound, share of all
	}{
		{setting{0, 1}, 0.01},
		{setting{0.05, 1}, 0.01},
		{setting{0.5, 1}, 0.02},
		{setting{2, 1}, 0.03},
		{setting{0, 0.5}, 0.08},
		{setting{0.05, 0.5}, 0.09},
		{setting{0.5, 0.5}, 0.12},
		{setting{2, 0.5}, 0.14},
	} {
		t.Run(fmt.Sprintf("noise %gs words %g", tt.set.noise, tt.set.words), func(t *testing.T) {
			t.Parallel()
			wrong, red, hidden := 0, 0, 0
			for seed := range uint64(n) {
				tl := draw(rand.New(rand.NewPCG(seed, 7)), c, tt.set)
				f := blame.Judge(tl.ev)
				require.NotEmpty(t, f.Root, "seed %d", seed)
				if f.Root != tl.root && !tl.independent[f.Root] {
					wrong++
					if !contains(f.MoreRoots, tl.root) {
						hidden++
					}
				}
				for _, more := range f.MoreRoots {
					if more != tl.root && !tl.independent[more] {
						red++
					}
				}
				checkCollateral(t, seed, tl, f)
			}
			t.Logf("wrong root %.2f %% (true one not red at all: %.2f %%), collateral left red for lack of evidence %.2f %%", pct(wrong, n), pct(hidden, n), pct(red, n))
			require.Zero(t, hidden, "the true root is green")
			require.LessOrEqual(t, pct(wrong, n), 100*tt.wrong)
		})
	}
}

func pct(k, n int) float64 { return 100 * float64(k) / float64(n) }

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// checkCollateral: every claim names its evidence, and the evidence is there: the
// role was stopped, or said that a peer had gone, or is the client and came later
// than the root as observed.
func checkCollateral(t *testing.T, seed uint64, tl timeline, f blame.Finding) {
	t.Helper()
	rootAt := time.Time{}
	for _, e := range tl.ev.Events {
		if e.Role == f.Root {
			rootAt = e.At
		}
	}
	for role, words := range f.Collateral {
		require.NotEmpty(t, words)
		proven := false
		for _, e := range tl.ev.Events {
			proven = proven || e.Role == role && (e.ByUs || role == "BENCHMARK" && !e.At.Before(rootAt))
		}
		for _, l := range tl.ev.Lines {
			proven = proven || l.Role == role && blame.PeerLine(l.Text)
		}
		require.True(t, proven, "seed %d: %s is called collateral of %s without evidence: %s", seed, role, f.Root, words)
		if tl.independent[role] {
			require.True(t, strings.HasPrefix(role, "BENCHMARK"), "seed %d: %s failed by itself and is called collateral: %s", seed, role, words)
		}
	}
}
