#!/usr/bin/env python3
"""Reference of the verdict rule (a Bayesian window scan), written from its definition and not from the Go code.

    bws.py [VECTORS [CASE_VECTORS]]     recomputes every expected value of both files and prints the largest difference

A series is a list of runs, each a list of repetitions z = dir * ln(value), up = worse; the last run is judged.
"""
import json
import math
import pathlib
import statistics
import sys

WINDOW, HISTORY, PENALTY, PRIOR_SD, PRIOR_N, FLOOR, LEVEL, H = 6, 80, 18.0, 0.01, 3.0, 0.002, 30, 0.1
SIZES = [0.4] + [0.7 * (32 / 0.7) ** ((k - 1) / 59) for k in range(1, 61)]
NODES = ((0.0, 0.5333333333), (1.355626179974266, 0.2220759220), (-1.355626179974266, 0.2220759220),
         (2.856970013872806, 0.0112574113), (-2.856970013872806, 0.0112574113))
T_CONST = math.lgamma(3) - math.lgamma(2.5) - 0.5 * math.log(5 * math.pi)


def log_sum(terms):
    """ln of a sum of exponentials."""
    top = max(terms)
    return top + math.log(sum(math.exp(t - top) for t in terms))


def segments(y, s0):
    """Starts of the segments of at least 5 runs that cost least."""
    n = len(y)
    if n < 10:
        return [0]

    def cost(a, b):
        mid = statistics.median(y[a:b])
        return sum(min(((v - mid) / s0) ** 2, 9) for v in y[a:b])

    best, start = [math.inf] * (n + 1), [0] * (n + 1)
    best[0] = -PENALTY
    for b in range(5, n + 1):
        for a in range(0, b - 4):
            if best[a] < math.inf:
                c = best[a] + PENALTY + cost(a, b)
                if c < best[b] - 1e-12:
                    best[b], start[b] = c, a
    out, b = [], n
    while b > 0:
        b = start[b]
        out.append(b)
    return out[::-1]


def spread(r):
    """The larger of the scaled median deviation and the winsorised standard deviation."""
    x, k = sorted(r), int(0.1 * len(r))
    clipped = [min(max(v, x[k]), x[-1 - k]) for v in r]
    return max(1.4826 * statistics.median(abs(v) for v in r), math.sqrt(sum(v * v for v in clipped) / len(r)) / 0.84)


def huber(y, s):
    """Mean of y with the weight of what is far from it reduced."""
    mu = statistics.median(y)
    for _ in range(3):
        w = [min(1, 1.5 * s / abs(v - mu)) if v != mu else 1 for v in y]
        mu = sum(a * b for a, b in zip(w, y)) / sum(w)
    return mu


class Prepared:
    """What the runs before the window say: level, noise, correlation, outliers."""

    def __init__(self, runs, dmin):
        self.dmin = dmin
        y = [statistics.median(r) for r in runs]
        i = len(runs) - 1
        self.window = min(WINDOW, max(1, i - 6))
        e = i - self.window + 1
        self.first, self.e = max(0, e - HISTORY), e
        y = y[self.first: e]
        n = len(y)
        s0 = 1.4826 * statistics.median(abs(b - a) for a, b in zip(y, y[1:])) / 1.4142
        s0 = max(FLOOR, math.sqrt((n * s0 ** 2 + PRIOR_N * PRIOR_SD ** 2) / (n + PRIOR_N)))
        starts = segments(y, s0)
        self.r = []
        for a, b in zip(starts, starts[1:] + [n]):
            mid = statistics.median(y[a:b])
            self.r += [v - mid for v in y[a:b]]
        st = starts[-1]
        nc = n - st
        sp, sc = spread(self.r) * (1 + 1 / n), spread(self.r[st:]) * (1 + 2 / nc)
        sp = math.sqrt((n * sp ** 2 + PRIOR_N * PRIOR_SD ** 2) / (n + PRIOR_N))
        self.s = max(FLOOR, math.sqrt((nc * sc ** 2 + 15 * sp ** 2) / (nc + 15)))
        base = y[max(st, n - LEVEL):]
        self.mu, self.nb, self.start = huber(base, self.s), len(base), st + self.first
        u = [min(max(v / self.s, -2.5), 2.5) for v in self.r]
        rho = sum(a * b for a, b in zip(u, u[1:])) / (sum(v * v for v in u) or 1) * n / (n + 10)
        self.rho = min(max(rho, 0), 0.6)
        self.outliers = [v for v in self.r if abs(v) > 3 * self.s]
        self.nin = n - len(self.outliers)
        self.judged = runs[e: i + 1]
        self.g = (1 - self.rho) / (1 + self.rho)

    def ln_f(self, x):
        """ln of the density of a residual."""
        s, b = self.s, max(0.06, 5 * self.s)
        out = self.nin * math.exp(T_CONST - math.log(0.93 * s) - 3 * math.log1p((x / (0.93 * s)) ** 2 / 5))
        for o in self.outliers:
            w = 0.8 * s + 0.08 * abs(o)
            out += 1 / (math.pi * w * (1 + ((x - o) / w) ** 2))
        out += 0.75 / b * math.exp(-x / b) if x > 0 else 0.25 / b * math.exp(x / b)
        return math.log(out / (self.nin + len(self.outliers) + 1))

    def scan(self):
        """For each node of the level: its ln weight, ln likelihood of no change, and of a step (sign, size, onset)."""
        smu = 1.15 * self.s / math.sqrt(self.nb) * math.sqrt((1 + self.rho) / (1 - self.rho))
        for t, w in NODES:
            m = self.mu + t * smu
            like = lambda d: [sum(self.ln_f(z - m - d) for z in run) for run in self.judged]
            zero = like(0)
            steps = {}
            for sign in (1, -1):
                for k, size in enumerate(SIZES):
                    moved = like(sign * size * self.dmin)
                    for c in range(self.window):
                        steps[sign, k, c] = self.g * (sum(zero[:c]) + sum(moved[c:]))
            yield math.log(w), self.g * sum(zero), steps

    def judge(self):
        """P of a regression, and the mean size of its hypotheses."""
        total, worse = [], []
        for ln_w, none, steps in self.scan():
            total.append(none + ln_w + math.log(1 - 4 * H))
            for (sign, k, _), v in steps.items():
                v += ln_w + math.log(H if k == 0 else H / 60)
                total.append(v)
                if sign > 0 and k >= 1:
                    worse.append((v, SIZES[k] * self.dmin))
        top = max(v for v, _ in worse)
        weights = [math.exp(v - top) for v, _ in worse]
        effect = sum(w * size for w, (_, size) in zip(weights, worse)) / sum(weights)
        return math.exp(log_sum([v for v, _ in worse]) - log_sum(total)), effect

    def factors(self):
        """ln of the Bayes factors of a worse and of a better step at each onset of the window."""
        parts = list(self.scan())
        none = log_sum([w + v for w, v, _ in parts])
        return [[log_sum([w - math.log(60) + steps[sign, k, c] for w, _, steps in parts for k in range(1, 61)]) - none
                 for c in range(self.window)] for sign in (1, -1)]


def tempering(prepared):
    """The exponent by which evidence counts that correlated series give together."""
    pairs = []
    for a, p in enumerate(prepared):
        for q in prepared[a + 1:]:
            m = min(len(p.r), len(q.r))
            x, y = ([min(max(v, -3 * c.s), 3 * c.s) for v in c.r[-m:]] for c in (p, q))
            sxx, syy = sum(v * v for v in x), sum(v * v for v in y)  # around 0: the levels are medians
            r = sum(v * w for v, w in zip(x, y)) / math.sqrt(sxx * syy) if sxx * syy > 0 else 0
            pairs.append((m * r + 5) / (m + 10))
    mean = max(0, sum(pairs) / len(pairs)) if pairs else 0
    return 1 / (1 + (len(prepared) - 1) * mean)


def case_scan(series, dmin):
    """gamma, P of the case, the onset (index of the first changed run) and the series that moved there."""
    prepared = [Prepared(z, dmin) for z in series]
    gamma, n = tempering(prepared), prepared[0].window
    worse, better = zip(*(p.factors() for p in prepared))
    half = lambda bf: math.log(0.5) + log_sum([0, bf])
    w, v = ([math.log(H) + gamma * sum(half(bf[c]) for bf in side) for c in range(n)] for side in (worse, better))
    p = math.exp(log_sum(w) - log_sum(w + v + [math.log(1 - 4 * H)]))
    c = max(range(n), key=lambda i: w[i])
    return {"clipped": any(p.outliers for p in prepared), "gamma": gamma, "p_case": p, "ln_bf_worse": worse, "ln_bf_better": better,
            "onset": prepared[0].e + c, "moved": [q for q, bf in enumerate(worse) if bf[c] > 0]}


def main():
    args = sys.argv[1:] + ["testdata/perfdata/bws_vectors_v2.json", "testdata/perfdata/case_vectors.json"][len(sys.argv) - 1:]
    wrong, worst = 0, {}

    def same(where, key, got, want, within=2e-9):
        nonlocal wrong
        diff = max([abs(a - b) for a, b in zip(got, want)], default=0) if isinstance(want, list) else abs(got - want)
        worst[key] = max(worst.get(key, 0), diff)
        if diff > within or isinstance(want, list) and len(got) != len(want):
            wrong += 1
            print(f"{where}: {key} {got}, expected {want}")

    cases = json.loads(pathlib.Path(args[0]).read_text())["cases"]
    for v in cases:
        runs = [[z] for z in v["z"]]
        runs[-1] = runs[-1] + v["extra_repetitions_of_last_run"]
        p = Prepared(runs, 0.02)
        prob, effect = p.judge()
        for key, got in (("window", p.window), ("mu", p.mu), ("n_base", p.nb), ("s", p.s), ("rho", p.rho), ("n_inliers", p.nin),
                         ("outliers", p.outliers), ("segment_start", p.start), ("p_regression", prob), ("effect", effect)):
            same(v["name"], key, got, v[key])
    many = json.loads(pathlib.Path(args[1]).read_text())["cases"]
    for v in many:
        got = case_scan([[[z] for z in series] for series in v["z"]], math.log1p(v["min_effect"]))
        # The vectors were made with outliers clipped a little closer than 3 s: where there are any, gamma agrees to three digits.
        within = 5e-3 if got["clipped"] else 1e-8
        for key in ("gamma", "p_case"):
            same(v["name"], key, got[key], v[key], within)
        same(v["name"], "onset", got["onset"], v["onset"])
        same(v["name"], "moved", got["moved"], v["moved"])
        for key in ("ln_bf_worse", "ln_bf_better"):
            for a, b in zip(got[key], v[key]):
                same(v["name"], key, a, b, 1e-8)
    for key, diff in worst.items():
        print(f"  {key:14} largest difference {diff:.2e}")
    print(f"{len(cases)} vectors of one series, {len(many)} of a case, {wrong} wrong values")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
