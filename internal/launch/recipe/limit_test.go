package recipe

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Slurm's time limits in their forms, as durations of ours; another text is named and left out.
func TestTimeLimit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"04:00:00": "4h00m00s", "00:30:00": "0h30m00s", "12:5:0": "12h5m0s", "1-02:00:00": "26h00m00s", "90": "90m", "20:30": "20m30s",
		"": "", "soon": "", "1:2:3:4": "", "1-": "", "0x1:00:00": "",
	} {
		r := &reading{}
		require.Equal(t, want, r.limit(text), text)
		require.Equal(t, want == "" && text != "", len(r.notes) == 1, text)
	}
}
