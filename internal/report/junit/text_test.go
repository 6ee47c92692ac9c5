package junit

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"1.5": "1.500000", "12": "12.000000", "0.1234567": "0.123457", "7.": "7.000000", "1.2.3": "0.000000", "0.000001": "0.000001", "1,234.567": "1234.567000", "1,234,567": "1234567.000000", "0,5": "0.500000", " 3 ": "3.000000", "1m30s": "90.000000",
		"1e3": "1000.000000", "-5": "0.000000", "NaN": "0.000000", "Inf": "0.000000", "": "0.000000", "00:01:02": "62.000000", "1:02": "62.000000",
		"99999999999": "31536000.000000", "abc": "0.000000", "<<computed>>": "0.000000", "0.0005": "0.000500",
	} {
		require.Equal(t, want, Seconds(ParseTime(in)), in)
		took, plain := plainTime(in)
		require.Equal(t, ParseTime(in), took, in)
		if f, err := strconv.ParseFloat(in, 64); plain && in != "" {
			require.NoError(t, err)
			require.InDelta(t, f, ParseTime(in).Seconds(), 1e11, in)
		}
	}
}
