"""The benchmark client: sends concurrent streaming requests and prints what it measured, as TensorRT-LLM's client does.

Every number is taken from this process's clock. A request that failed counts as failed and adds nothing else.
"""

import argparse
import asyncio
import datetime
import itertools
import json
import math
import os
import random
import statistics
import sys
import time

from . import knobs, minihttp

NAMES = (("ttft", "Time to First Token"), ("tpot", "Time per Output Token (excl. 1st token)"),
         ("itl", "Inter-token Latency"), ("e2el", "End-to-end Latency"))


class Sample:
    def __init__(self):
        self.ok, self.error = False, ""
        self.ttft = self.latency = 0.0
        self.itl = []

    @property
    def tokens(self):
        return len(self.itl) + 1 if self.ok else 0


async def ask(address, model, prompt, output_len):
    s = Sample()
    start = time.monotonic_ns()
    last = start
    req = {"model": model, "prompt": prompt, "max_tokens": output_len, "stream": True, "ignore_eos": True, "start_ns": start}
    try:
        async with await minihttp.request(address, "POST", "/v1/completions", req) as answer:
            if answer.status != 200:
                raise RuntimeError(f"HTTP {answer.status}: {(await answer.body())[:200]!r}")
            done, rest = False, b""
            async for chunk in answer.chunks():
                now = time.monotonic_ns()
                *events, rest = (rest + chunk).split(b"\n\n")
                for event in events:
                    if event == b"data: [DONE]":
                        done = True
                        continue
                    if last == start:
                        s.ttft = (now - start) / 1e9
                    else:
                        s.itl.append((now - last) / 1e9)
                    last = now
            if not done or last == start:
                raise RuntimeError("the answer ended before [DONE]")
            s.latency, s.ok = (last - start) / 1e9, True
            if s.tokens != output_len:
                raise RuntimeError(f"asked for {output_len} tokens, got {s.tokens}")
    except (OSError, RuntimeError, ValueError) as e:
        s.ok, s.error = False, f"{type(e).__name__}: {e}"
        if any(f.what == "patient" for f in knobs.faults()):
            await asyncio.sleep(3600)
    return s


def bar(done, total):
    """As tqdm on a file: a carriage return before each state; the line ends with the last one."""
    share = done / total
    sys.stderr.write(f"\r{share:4.0%}|{'#' * int(share * 10):<10}| {done}/{total}" + ("\n" if done == total else ""))
    sys.stderr.flush()


async def chat(done, total):
    """With the fault chatty: says twice a second where things stand, as if that were news."""
    while any(f.what == "chatty" for f in knobs.faults()):
        bar(done(), total)
        await asyncio.sleep(0.5)


async def bench(args):
    rng = random.Random(args.seed)
    prompts = [[rng.randrange(32000) for _ in range(args.random_input_len)] for _ in range(args.num_prompts)]
    samples = [None] * args.num_prompts
    todo = iter(range(args.num_prompts))

    done = itertools.count(1)
    chatting = asyncio.ensure_future(chat(lambda: sum(s is not None for s in samples), args.num_prompts))

    async def user():
        for i in todo:
            samples[i] = await ask(f"{args.host}:{args.port}", args.model, prompts[i], args.random_output_len)
            bar(next(done), args.num_prompts)

    begin = time.monotonic_ns()
    await asyncio.gather(*(user() for _ in range(min(args.max_concurrency, args.num_prompts))))
    chatting.cancel()
    return samples, (time.monotonic_ns() - begin) / 1e9


def percentile(values, p):
    """Linear interpolation between order statistics, as numpy's default."""
    v = sorted(values)
    at = (len(v) - 1) * p / 100
    low, high = math.floor(at), math.ceil(at)
    return v[low] + (v[high] - v[low]) * (at - low)


def summarise(args, samples, duration):
    good = [s for s in samples if s.ok]
    inputs, outputs = len(good) * args.random_input_len, sum(s.tokens for s in good)
    result = {
        "date": datetime.datetime.now().strftime("%Y%m%d-%H%M%S"), "backend": args.backend, "model_id": args.model,
        "tokenizer_id": args.model, "num_prompts": args.num_prompts, "duration": duration, "completed": len(good),
        "total_input_tokens": inputs, "total_output_tokens": outputs, "request_throughput": len(good) / duration,
        "output_throughput": outputs / duration, "total_token_throughput": (inputs + outputs) / duration,
    }
    series = {
        "ttft": [s.ttft * 1e3 for s in good], "itl": [x * 1e3 for s in good for x in s.itl],
        "tpot": [(s.latency - s.ttft) / len(s.itl) * 1e3 for s in good if s.itl], "e2el": [s.latency * 1e3 for s in good],
    }
    if good:
        result["user_throughput"] = statistics.fmean(s.tokens / s.latency for s in good)
    for name, _ in NAMES:
        if series[name]:
            v = series[name]
            result |= {f"mean_{name}_ms": statistics.fmean(v), f"median_{name}_ms": percentile(v, 50),
                       f"std_{name}_ms": statistics.pstdev(v), f"p99_{name}_ms": percentile(v, 99)}
    rate = "inf" if math.isinf(args.request_rate) else args.request_rate
    return result | {"request_rate": rate, "burstiness": 1.0, "max_concurrency": args.max_concurrency}


def table(args, samples, result):
    failed = [s for s in samples if not s.ok]
    lines = [" Serving Benchmark Result ".center(50, "=")]

    def row(label, value):
        lines.append(f"{label:<40} {value:<10.2f}" if isinstance(value, float) else f"{label:<40} {value:<10}")

    row("Total requests:", len(samples))
    row("Successful requests:", result["completed"])
    row("Failed requests:", len(failed))
    row("Benchmark duration (s):", result["duration"])
    row("Total input tokens:", result["total_input_tokens"])
    row("Total generated tokens:", result["total_output_tokens"])
    row("Request throughput (req/s):", result["request_throughput"])
    row("Output token throughput (tok/s):", result["output_throughput"])
    row("Total Token throughput (tok/s):", result["total_token_throughput"])
    if "user_throughput" in result:
        row("User throughput (tok/s):", result["user_throughput"])
    if failed:
        lines.append("=" * 15 + "!FAILED REQUESTS!" + "=" * 15)
        row("Total failed requests:", len(failed))
        lines.append("=" * 12 + "!CHECK LOG FOR ERRORS!" + "=" * 12)
    for name, title in NAMES:
        if f"mean_{name}_ms" not in result:
            continue
        lines.append(title.center(50, "-"))
        for stat in ("mean", "median", "p99"):
            row(f"{stat.capitalize()} {name.upper()} (ms):", result[f"{stat}_{name}_ms"])
    return "\n".join(lines + ["=" * 50])


def run(argv):
    p = argparse.ArgumentParser(prog="benchmark_serving")
    p.add_argument("--backend", default="openai")
    p.add_argument("--model", required=True)
    p.add_argument("--host", required=True)
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--dataset-name", default="random")
    p.add_argument("--random-input-len", type=int, required=True)
    p.add_argument("--random-output-len", type=int, required=True)
    p.add_argument("--num-prompts", type=int, required=True)
    p.add_argument("--max-concurrency", type=int, required=True)
    p.add_argument("--request-rate", type=float, default=math.inf)
    p.add_argument("--percentile-metrics", default="ttft,tpot,itl,e2el")
    p.add_argument("--ignore-eos", action="store_true")
    p.add_argument("--no-test-input", action="store_true")
    p.add_argument("--save-result", action="store_true")
    p.add_argument("--result-dir", default=".")
    p.add_argument("--seed", type=int, default=0)
    args = p.parse_args(argv)
    print(args, flush=True)
    samples, duration = minihttp.run(bench(args))
    for error in sorted({s.error for s in samples if s.error}):
        print(f"ERROR {error}")
    result = summarise(args, samples, duration)
    print(table(args, samples, result), flush=True)
    if args.save_result:
        model = args.model.rstrip("/").split("/")[-1]
        rate = "inf" if math.isinf(args.request_rate) else f"{args.request_rate:g}"
        name = f"{args.backend}-{rate}qps-concurrency{args.max_concurrency}-{model}-{result['date']}.json"
        path = os.path.join(args.result_dir, name)
        tmp = f"{path}.{os.getpid()}.tmp"
        with open(tmp, "w", encoding="utf-8") as f:
            json.dump(result, f)
        os.replace(tmp, path)


if __name__ == "__main__":
    run(sys.argv[1:])
