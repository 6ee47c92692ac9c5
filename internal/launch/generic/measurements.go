package generic

import (
	"fmt"
	"strconv"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// expect adds what a role is to measure.
func (b *building) expect(r Role) {
	s := &scope{combination: b.combination}
	e := r.Expect
	b.metrics = append(b.metrics, b.texts(s, "metrics", e.Metrics)...)
	names := b.texts(s, "name", e.Name)
	cons, rates, requests := b.counts(s, "concurrency", e.Concurrency), b.rates(s, e.Rate), b.counts(s, "requests", e.Requests)
	in, out := b.counts(s, "input_len", e.InputLen), b.counts(s, "output_len", e.OutputLen)
	n := max(len(names), len(cons), len(rates), len(requests), len(in), len(out))
	for key, have := range map[string]int{"name": len(names), "concurrency": len(cons), "rate": len(rates), "requests": len(requests), "input_len": len(in), "output_len": len(out)} {
		if have > 1 && have != n {
			b.bad("expect."+key, "has %d values, another key %d: give one for all points, or one for each", have, n)
			return
		}
	}
	for i := range n {
		p := rundir.Point{
			Name: pick(names, i), Concurrency: pick(cons, i), Rate: pick(rates, i), Requests: pick(requests, i),
			InputLen: pick(in, i), OutputLen: pick(out, i),
		}
		if p.Name == "" {
			if p.Name = p.Load(); p.Name == "" && n > 1 {
				b.bad("expect", "points %d and others differ in no load: give concurrency, rate or name a value each", i+1)
				return
			}
		}
		b.points = append(b.points, p)
	}
}

// pick is the i-th value, or the one that holds for all.
func pick[T any](list []T, i int) (v T) {
	switch {
	case len(list) == 1:
		return list[0]
	case i < len(list):
		return list[i]
	}
	return v
}

func (b *building) texts(s *scope, key string, list Texts) []string {
	var out []string
	for _, text := range list {
		v, err := plain(text, s, asItIs)
		if err != nil {
			b.bad("expect."+key, "%v", err)
		}
		out = append(out, v)
	}
	return out
}

func (b *building) counts(s *scope, key string, list Texts) []int {
	var out []int
	for _, text := range list {
		out = append(out, b.number(s, "expect."+key, text, 1))
	}
	return out
}

func (b *building) rates(s *scope, list Texts) []float64 {
	var out []float64
	for _, text := range b.texts(s, "rate", list) {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || v <= 0 || v > 1e12 {
			b.bad("expect.rate", "%s", fmt.Sprintf("expects requests per second, more than 0, got %q", text))
		}
		out = append(out, v)
	}
	return out
}
