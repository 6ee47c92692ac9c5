"""A closed loop of requests to serve.py; leaves its result as `vllm bench serve --save-result` does."""

import argparse
import http.client
import json
import statistics
import threading
import time
from urllib.parse import urlparse


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--warmup", type=int, default=8)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    address = urlparse(options.url).netloc
    lock, left, results = threading.Lock(), [0], []

    def work():
        connection = http.client.HTTPConnection(address, timeout=120)
        while True:
            with lock:
                if left[0] == 0:
                    return
                left[0] -= 1
            began = time.perf_counter()
            connection.request("POST", "/generate", json.dumps({"tokens": options.tokens}))
            answer = json.load(connection.getresponse())
            took = time.perf_counter() - began
            with lock:
                results.append((answer["tokens"], answer["ttft"], took))

    def run(requests):
        left[0] = requests
        results.clear()
        threads = [threading.Thread(target=work) for _ in range(options.concurrency)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - began

    run(options.warmup)
    duration = run(options.requests)
    if len(results) != options.requests:
        raise SystemExit(f"{len(results)} of {options.requests} requests were answered")
    made = sum(tokens for tokens, _, _ in results)
    ttft = [1000 * first for _, first, _ in results]
    tpot = [1000 * (took - first) / (tokens - 1) for tokens, first, took in results]
    quantile = lambda values: statistics.quantiles(values, n=100)[98]
    report = {
        "backend": "vllm", "model_id": "random", "num_prompts": options.requests, "request_rate": "inf",
        "max_concurrency": options.concurrency, "duration": duration, "completed": len(results), "failed": 0,
        "total_input_tokens": len(results), "total_output_tokens": made, "request_throughput": len(results) / duration,
        "output_throughput": made / duration, "total_token_throughput": (made + len(results)) / duration,
        "mean_ttft_ms": statistics.mean(ttft), "median_ttft_ms": statistics.median(ttft), "p99_ttft_ms": quantile(ttft),
        "mean_tpot_ms": statistics.mean(tpot), "median_tpot_ms": statistics.median(tpot), "p99_tpot_ms": quantile(tpot),
    }
    with open(options.out, "w", encoding="utf-8") as f:
        json.dump(report, f)
    print(f"{report['output_throughput']:.1f} tokens/s, TPOT {report['median_tpot_ms']:.3f} ms")


if __name__ == "__main__":
    main()
