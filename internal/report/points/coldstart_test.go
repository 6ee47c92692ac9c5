package points

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// details is a client's JSON with the time to the first token of each request.
func details(concurrency int, first, others []float64) string {
	var times []string
	for _, v := range append(first, others...) {
		times = append(times, fmt.Sprint(v))
	}
	return fmt.Sprintf(`{"duration": 12.5, "completed": %[1]d, "num_prompts": %[1]d, "output_throughput": 2621.4, "user_throughput": 351.2, "max_concurrency": %d,
"itls": [[0.1, 0.2], [0.1]], "ttfts": [%s]}`, len(times), concurrency, strings.Join(times, ", "))
}

func repeated(v float64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = v + 0.001*float64(i%7)
	}
	return out
}

func TestColdStart(t *testing.T) {
	t.Parallel()
	queue := make([]float64, 64) // a wave of 64 that queues for one server: the first one is fast
	for i := range queue {
		queue[i] = 0.05 * float64(i+1)
	}
	for name, c := range map[string]struct {
		doc  string
		cold bool
	}{
		"the whole first wave waits":                   {details(8, repeated(14, 8), repeated(0.04, 56)), true},
		"it waits, and one of it failed":               {details(8, append(repeated(14, 7), 0), repeated(0.04, 56)), true},
		"the first wave queues":                        {details(64, queue, repeated(0.05, 128)), false},
		"one straggler in the first wave":              {details(8, append(repeated(0.04, 7), 14), repeated(0.04, 56)), false},
		"slower, but by less than half a second":       {details(8, repeated(0.4, 8), repeated(0.04, 56)), false},
		"all are slow":                                 {details(8, repeated(14, 8), repeated(12, 56)), false},
		"a tenth of the others is as slow":             {details(8, repeated(14, 8), append(repeated(0.04, 50), repeated(14, 6)...)), false},
		"too few requests to tell":                     {details(8, repeated(14, 8), repeated(0.04, 7)), false},
		"one wave only":                                {details(64, repeated(14, 64), nil), false},
		"all others failed":                            {details(8, repeated(14, 8), make([]float64, 56)), false},
		"a rate instead of a closed loop sends singly": {strings.Replace(details(8, repeated(14, 8), repeated(0.04, 56)), "{", `{"request_rate": 2.0, `, 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "result.json")
			require.NoError(t, os.WriteFile(path, []byte(c.doc), 0o600))
			for policy, want := range map[ColdStart][2]int{"": {0, 1}, ColdStartTell: {0, 1}, ColdStartInvalid: {1, 0}, ColdStartOff: {0, 0}} {
				found, err := Reader{ColdStart: policy}.Gather(path)
				require.NoError(t, err)
				require.Len(t, found.Results, 1)
				if !c.cold {
					want = [2]int{}
				}
				require.Len(t, found.Results[0].Problems, want[0], "%q", policy)
				require.Len(t, found.Warnings, want[1], "%q", policy)
				for _, p := range append(found.Warnings, found.Results[0].Problems...) {
					require.Contains(t, p.Text, "cold start: the fastest of the first 8 requests took 14 s to its first token, nine tenths of the others at most 0.046 s")
				}
			}
		})
	}
	var c ColdStart
	require.NoError(t, c.UnmarshalText([]byte("invalid")))
	require.ErrorContains(t, c.UnmarshalText([]byte("fail")), `"fail" is none of tell, invalid and off`)
}
