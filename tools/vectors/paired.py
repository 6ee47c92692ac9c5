#!/usr/bin/env python3
"""Reference of the paired test, written from its definition and not from the Go code.

    paired.py [VECTORS]     recomputes every expected value of ab_vectors.jsonl and prints the largest difference

z = dir * ln(value), up = worse; d_i = z_head - z_base of pair i; dmin = ln(1 + min_effect).
"""
import json
import math
import pathlib
import statistics
import sys

ALPHA, BETA, NU, MIN_PAIRS, MAX_PAIRS = 0.01, 0.05, 4, 4, 10
FACTORS = (0.7, 1, 1.4, 2, 2.8, 4, 5.6, 8, 11, 16)
SCALES = [0.0005 * 2 ** (k / 2) for k in range(16)]


def log_sum(terms):
    """ln of a sum of exponentials."""
    top = max(terms)
    return top + math.log(sum(math.exp(t - top) for t in terms))


class Likelihood:
    """L(delta): Student's t with 4 degrees of freedom, its scale averaged over a prior around s0."""

    def __init__(self, d, s0):
        raw = [math.exp(-0.5 * ((math.log(s) - math.log(s0)) / 0.8) ** 2) for s in SCALES]
        self.d = d
        self.ln_w = [math.log(w / sum(raw)) for w in raw]
        self.const = math.lgamma((NU + 1) / 2) - math.lgamma(NU / 2) - 0.5 * math.log(NU * math.pi)

    def __call__(self, delta):
        terms = []
        for ln_w, s in zip(self.ln_w, SCALES):
            t = ln_w
            for x in self.d:
                t += self.const - math.log(s) - (NU + 1) / 2 * math.log1p(((x - delta) / s) ** 2 / NU)
            terms.append(t)
        return log_sum(terms)


def evidence(d, s0, dmin):
    """ln E of worse, better and pass after the pairs d."""
    like = Likelihood(d, s0)
    none, n = like(0), math.log(len(FACTORS))
    worse = log_sum([like(f * dmin) - none for f in FACTORS]) - n
    better = log_sum([like(-f * dmin) - none for f in FACTORS]) - n
    return worse, better, none - like(dmin)


def effect(d, s0, dmin):
    """Posterior mean of delta under a flat prior over -16..16 dmin in steps of 0.05, and its 5..95 % interval."""
    like = Likelihood(d, s0)
    grid = [k * 0.05 * dmin for k in range(-320, 321)]
    logs = [like(x) for x in grid]
    weights = [math.exp(v - max(logs)) for v in logs]
    total = sum(weights)
    mean = sum(x * w for x, w in zip(grid, weights)) / total

    def quantile(q):
        acc = 0.0
        for i, w in enumerate(weights):
            if acc + w >= q * total:
                return i
            acc += w
        return len(weights) - 1

    return mean, (grid[quantile(0.05)], grid[quantile(0.95)])


def decide(case, s0, dmin, cases):
    """Verdict, pairs used and the series blamed (-1: none) of a session, replayed in order."""
    threshold = math.log(max(1 / ALPHA, cases / 0.05))
    latched = [False] * len(case)
    for n in range(MIN_PAIRS, MAX_PAIRS + 1, 2):
        if any(len(d) < n for d in case):
            break
        seen = [evidence(d[:n], s0, dmin) for d in case]
        median = [statistics.median(d[:n]) for d in case]
        worst = max(range(len(case)), key=lambda q: seen[q][0])
        best = max(range(len(case)), key=lambda q: seen[q][1])
        for q, (_, _, passed) in enumerate(seen):
            latched[q] = latched[q] or passed >= math.log(1 / BETA)
        if log_sum([w for w, _, _ in seen]) - math.log(len(seen)) >= threshold and median[worst] >= 0.7 * dmin:
            return "R", n, worst
        if (log_sum([b for _, b, _ in seen]) - math.log(len(seen)) >= threshold and median[best] <= -0.7 * dmin
                and not any(w > 0 for w, _, _ in seen)):
            return "I", n, -1
        if all(latched):
            return "P", n, -1
    return "U", min(MAX_PAIRS, min(len(d) for d in case)), -1


def main():
    path = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "testdata/perfdata/ab_vectors.jsonl")
    worst, wrong, count = 0.0, 0, 0
    for line in path.read_text().splitlines():
        v = json.loads(line)
        dmin, count = math.log(1 + v["min_effect"]), count + 1
        if v["kind"] == "series":
            got = [evidence(v["d"][: n + 1], v["s0"], dmin) for n in range(len(v["d"]))]
            for i, key in enumerate(("ln_E_worse", "ln_E_better", "ln_E_pass")):
                worst = max([worst] + [abs(g[i] - want) for g, want in zip(got, v[key])])
            mean, interval = effect(v["d"], v["s0"], dmin)
            worst = max(worst, abs(mean - v["effect"]))
            worst = max([worst] + [abs(a - b) for a, b in zip(interval, v["interval"])])
        else:
            got = decide(v["d"], v["s0"], dmin, v["K"])
            want = (v["verdict"], v["pairs"], v["blamed"])
            if got != want:
                wrong += 1
                print(f"{v['name']}: {got}, expected {want}")
    print(f"{path}: {count} vectors, largest difference {worst:.2e}, {wrong} wrong")
    sys.exit(1 if wrong or worst > 1e-8 else 0)


if __name__ == "__main__":
    main()
