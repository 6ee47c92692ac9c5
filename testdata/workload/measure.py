#!/usr/bin/python3
"""How steady the stand-in is: runs the unchanged stack several times, each with fresh processes, and prints the coefficient
of variation of what a verdict is made of. Usage: measure.py [--runs 10] [--busy 1]   (--busy: so many spinning processes)"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SERVE = [sys.executable, os.path.join(HERE, "bin", "trtllm-serve")]


def spin():
    while True:
        pass


def wait(path):
    end = time.monotonic() + 30
    while not os.path.exists(path):
        if time.monotonic() > end:
            raise TimeoutError(path)
        time.sleep(0.02)
    with open(path, encoding="utf-8") as f:
        return f.read().strip()


def once(args):
    with tempfile.TemporaryDirectory() as tmp:
        procs = []

        def start(name, command):
            env = {**os.environ, "DISAGG_SERVING_TYPE": name}
            procs.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, env=env))

        try:
            for name, role in (("CTX_0", "context"), ("GEN_0", "generation")):
                start(name, [*SERVE, "m", "--server-role", role, "--address-file", f"{tmp}/{name}"])
            urls = {name: [wait(f"{tmp}/{name}")] for name in ("CTX_0", "GEN_0")}
            with open(f"{tmp}/c.yaml", "w", encoding="utf-8") as f:
                json.dump({"context_servers": {"urls": urls["CTX_0"]}, "generation_servers": {"urls": urls["GEN_0"]}}, f)
            start("DISAGG_SERVER", [*SERVE, "disaggregated", "-c", f"{tmp}/c.yaml", "--address-file", f"{tmp}/router"])
            host, port = wait(f"{tmp}/router").split(":")
            subprocess.run(
                [sys.executable, "-m", "standin.benchmark_serving", "--model", "m", "--host", host, "--port", port,
                 "--random-input-len", "1024", "--random-output-len", "64", "--num-prompts", str(2 * args.concurrency),
                 "--max-concurrency", str(args.concurrency), "--save-result", "--result-dir", tmp],
                check=True, stdout=subprocess.DEVNULL, cwd=HERE, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        finally:
            for p in procs:
                p.terminate()
                p.wait()
        (name,) = [n for n in os.listdir(tmp) if n.endswith(".json")]
        with open(os.path.join(tmp, name), encoding="utf-8") as f:
            return json.load(f)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--runs", type=int, default=10)
    p.add_argument("--busy", type=int, default=0)
    p.add_argument("--concurrency", type=int, default=8)
    args = p.parse_args()
    spinners = [multiprocessing.Process(target=spin, daemon=True) for _ in range(args.busy)]
    for s in spinners:
        s.start()
    results = [once(args) for _ in range(args.runs)]
    for s in spinners:
        s.kill()
    print(f"{args.runs} runs, {args.busy} spinning, load average {os.getloadavg()[0]:.1f}")
    for key in ("output_throughput", "total_token_throughput", "median_tpot_ms", "median_ttft_ms", "mean_ttft_ms", "p99_itl_ms", "median_e2el_ms"):
        v = [r[key] for r in results]
        print(f"{key:<24} mean {statistics.fmean(v):10.3f}  cv {100 * statistics.stdev(v) / statistics.fmean(v):6.3f} %"
              f"  min {min(v):10.3f}  max {max(v):10.3f}")


if __name__ == "__main__":
    main()
