package curate

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// ParseMatch reads key=value pairs.
func ParseMatch(pairs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range pairs {
		k, v, ok := strings.Cut(p, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("--match %q: give key=value, such as gpu_type=GB200", p)
		}
		out[k] = v
	}
	return out, nil
}

// ParseValues reads METRIC=NUMBER[,NUMBER…].
func ParseValues(pairs []string, point string, metrics metric.Table) ([]baseline.Measurement, error) {
	var out []baseline.Measurement
	for _, p := range pairs {
		name, list, ok := strings.Cut(p, "=")
		def, known := metrics.Resolve(name)
		if !ok || !known {
			return nil, fmt.Errorf("--value %q: give METRIC=NUMBER with a metric of `ci-disagg baseline show --metrics`", p)
		}
		m := baseline.Measurement{Point: point, Metric: def.Name, Unit: def.Unit}
		for text := range strings.SplitSeq(list, ",") {
			v, err := parseAmount(text)
			if err != nil {
				return nil, fmt.Errorf("--value %s: %w", name, err)
			}
			m.Values = append(m.Values, v)
		}
		out = append(out, m)
	}
	return out, nil
}

// parseAmount reads a number that can be judged: all rules compare ratios.
func parseAmount(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(v > 0) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is not a number above 0", s)
	}
	return v, nil
}

// parseShare reads 5% or 0.05; "" is 0.
func parseShare(s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	text, percent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(text, 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v < 1) {
		return 0, fmt.Errorf("--tolerance %q: write 5%% or 0.05", s)
	}
	return v, nil
}
