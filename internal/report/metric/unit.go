package metric

import (
	"fmt"
	"strings"
)

// Convert expresses value, given in unit from, in unit to. Both may be any
// spelling that a client uses (sec, tokens/sec, requests/s, ratio, …). Units of
// different quantities are an error, as is an unknown unit that is not equal
// to the other.
func Convert(value float64, from, to string) (float64, error) {
	if from == to {
		return value, nil
	}
	f, fok := parseUnit(from)
	t, tok := parseUnit(to)
	if fok && tok && f.quantity == t.quantity {
		if f.scale == t.scale {
			return value, nil
		}
		// Multiplied first and divided last: 0.25 s is exactly 250 ms.
		if f.scale > t.scale {
			return value * (f.scale / t.scale), nil
		}
		return value / (t.scale / f.scale), nil
	}
	return 0, fmt.Errorf("cannot express %q in %q", from, to)
}

type unit struct {
	quantity string
	scale    float64 // in the smallest unit of the quantity that is listed here
}

// parseUnit knows the spellings of the benchmark clients.
func parseUnit(s string) (unit, bool) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "ns", "nanosecond", "nanoseconds":
		return unit{"time", 1}, true
	case "us", "µs", "μs", "microsecond", "microseconds":
		return unit{"time", 1e3}, true
	case "ms", "msec", "millisecond", "milliseconds":
		return unit{"time", 1e6}, true
	case "s", "sec", "secs", "second", "seconds":
		return unit{"time", 1e9}, true
	case "min", "m", "minute", "minutes":
		return unit{"time", 60e9}, true
	case "h", "hour", "hours":
		return unit{"time", 3600e9}, true
	case "tok/s", "token/s", "tokens/s", "tokens/sec", "tokens/second", "toks/s", "tps":
		return unit{"token rate", 1}, true
	case "ktok/s", "ktokens/s":
		return unit{"token rate", 1e3}, true
	// Per user is a different quantity: it must never be compared with the sum.
	case "tok/s/user", "tokens/sec/user", "tokens/s/user", "tokens/second/user":
		return unit{"token rate per user", 1}, true
	case "req/s", "request/s", "requests/s", "requests/sec", "requests/second", "rps", "qps":
		return unit{"request rate", 60}, true
	case "req/min", "requests/min":
		return unit{"request rate", 1}, true
	case "tok/s/gpu", "tokens/s/gpu", "tokens/sec/gpu", "tps/gpu":
		return unit{"token rate per GPU", 1}, true
	case "gb/s":
		return unit{"bandwidth", 1e3}, true
	case "mb/s":
		return unit{"bandwidth", 1}, true
	case "%", "percent":
		return unit{"ratio", 1}, true
	case "1", "ratio", "fraction":
		return unit{"ratio", 100}, true
	case "j", "joule", "joules":
		return unit{"energy", 1}, true
	case "kj":
		return unit{"energy", 1e3}, true
	case "w", "watt", "watts":
		return unit{"power", 1}, true
	case "kw":
		return unit{"power", 1e3}, true
	case "tok/j", "tok/s/w", "tps/w", "tokens/sec/w", "tokens/j":
		return unit{"tokens per energy", 1}, true
	default:
		return unit{}, false
	}
}
