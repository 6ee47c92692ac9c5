"""What the sampler costs: the mean of the pairs' differences with its 95 % interval, of pairs.tsv."""

import csv
import math
import statistics
import sys

# Student's t, 97.5 %, by degrees of freedom.
T = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
     2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042]

with open(sys.argv[1], encoding="utf-8") as f:
    pairs = list(csv.DictReader(f, delimiter="\t"))
for name, with_it, without in (("throughput", "on", "off"), ("TPOT", "on_tpot_ms", "off_tpot_ms")):
    d = [100 * math.log(float(p[with_it]) / float(p[without])) for p in pairs]
    if len(d) < 2:
        print(f"{name}: {len(d)} pairs")
        continue
    mean, sd = statistics.mean(d), statistics.stdev(d)
    half = T[min(len(d) - 2, len(T) - 1)] * sd / math.sqrt(len(d))
    print(f"{name} with the sampler against without: {mean:.3f} % (95 %: {mean - half:.3f} to {mean + half:.3f} %), {len(d)} pairs, "
          f"sd of a pair {sd:.3f} %, least {min(d):.3f}, most {max(d):.3f}, "
          f"median of {without} {statistics.median(float(p[without]) for p in pairs):.3f}")
