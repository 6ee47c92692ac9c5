"""The loop that a Python script would use on a generation server's log: the
yardstick of `make bench-steplog`. Same rule as the Go reader, binary lines, one
compiled expression, lines without "iter =" skipped before it."""

import re
import statistics
import sys
import time

ROW = re.compile(
    rb"iter = (\d+), global_rank = (\d+).*?num_scheduled_requests = (\d+).*?"
    rb"prev_device_step_time = ([0-9.]+|N/A)(?:ms)?.*?'num_generation_tokens': (\d+)"
)


def main(path):
    start = time.perf_counter()
    before, buckets, rows, size = {}, {}, 0, 0
    search = ROW.search
    with open(path, "rb") as log:
        for line in log:
            size += len(line)
            if b"iter =" not in line:
                continue
            found = search(line)
            if found is None:
                continue
            number, rank, scheduled, value, tokens = found.groups()
            number = int(number)
            last = before.get(rank)
            before[rank] = (number, scheduled)
            if number < 5 or value == b"N/A" or last == (number - 1, b"0"):
                continue
            rows += 1
            bucket = buckets.get(tokens)
            if bucket is None:
                bucket = buckets[tokens] = []
            bucket.append(float(value))
    tokens = max(buckets, key=lambda t: (len(buckets[t]), int(t)))
    used = buckets[tokens]
    mean, median = sum(used) / len(used), statistics.median(used)
    seconds = time.perf_counter() - start
    print(
        f"rows={rows} used={len(used)} tokens={int(tokens)} mean={mean:.9f} median={median:.9f} "
        f"seconds={seconds:.3f} mb_per_s={size / 1e6 / seconds:.0f}"
    )


main(sys.argv[1])
