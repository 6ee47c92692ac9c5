"""Stand-in for TensorRT-LLM's test_perf_sanity.py: the same roles, files and endings, around a stand-in server.

A process learns its role from DISAGG_SERVING_TYPE. Workers and router serve until BENCHMARK has written its status file.
Every CI_DISAGG_POLL_S they look for that file first and at their server second, and never again at the server once the
file is there: a worker whose server died while the client was measuring may well pass. That is upstream's order.
pytest captures what a role prints, so its output shows nothing between its start and its end; servers write logs of
their own.
"""

import contextlib
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest
import yaml

from standin import cases, knobs
from standin.benchmark_serving import percentile
from standin.files import publish

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
SERVE = [sys.executable, os.path.join(ROOT, "bin", "trtllm-serve")]
CLIENT = [sys.executable, "-m", "standin.benchmark_serving"]
HOST = os.environ.get("CI_DISAGG_HOST") or "127.0.0.1"
SIGNALS = {"server-kill": signal.SIGKILL, "server-hang": signal.SIGSTOP}  # to the client; a server is told to do it itself (server.Doom)
TICK_S = 0.1  # how soon a fault happens after its time has come; nobody but the stand-in looks so often


def test_e2e(case, request):
    for fault in knobs.faults():
        if fault.what == "skip":
            time.sleep(fault.arg - 1)  # what the original imports takes each role its own time
            pytest.skip("injected: this machine cannot run it")
    role = Role(cases.Case(case), os.environ.get("testOutputDir") or os.path.join(request.config.option.output_dir, case))
    role.run()
    if any(f.what == "assert" for f in knobs.faults()):
        for i in range(200):
            print(f"[accuracy] question {i}: ERROR: ConnectionResetError: [Errno 104] Connection reset by peer, asked again")
        assert 0.41 >= 0.6
    if any(f.what == "xfail" for f in knobs.faults()):
        pytest.xfail("injected: known to fail")


class Role:
    def __init__(self, case, out):
        self.case, self.out, self.name = case, out, knobs.role()
        self.faults = knobs.faults()
        self.server = None  # the one that runs now
        os.makedirs(out, exist_ok=True)
        self.addresses = os.path.join(out, f"hostnames-{os.environ.get('SLURM_JOB_ID') or 0}-0")
        self.router_address = os.path.join(self.addresses, "DISAGG_SERVER.0.addr")
        self.status = os.path.join(out, "benchmark_status.0.txt")
        self.timeout = float((case.config.get("slurm") or {}).get("timeout") or 10800)

    def run(self):
        if any(f.what == "ignore-term" for f in self.faults):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.inject("before-ready")
        if self.name.startswith(("CTX_", "GEN_")):
            self.worker()
        elif self.name == "DISAGG_SERVER":
            self.router()
        elif self.name == "BENCHMARK":
            self.benchmark()
        elif self.name == "AGG":
            self.aggregated()
        else:
            raise ValueError(f"unknown DISAGG_SERVING_TYPE {self.name!r}")

    # Roles.

    def worker(self):
        kind, _, _ = self.name.lower().partition("_")
        config = self.engine_config(kind, self.name.endswith("_0"), self.case.config["worker_config"][kind])
        server_role = {"ctx": "context", "gen": "generation"}[kind]
        address = os.path.join(self.addresses, f"{self.name}.txt")
        command = [*SERVE, self.case.model, "--backend", "pytorch", "--config", config, "--host", HOST,
                   "--port", "0", "--server-role", server_role, "--address-file", address]
        with self.child(command, f"trtllm-serve.0.{self.name}.log") as server:
            self.wait_for(f"the address of {self.name}", lambda: os.path.exists(address), server)
            self.serve(server, read(address))

    def router(self):
        ctx, gen = self.case.workers()
        files = {role: os.path.join(self.addresses, f"{role}.txt") for role in ctx + gen}
        self.wait_for(f"the addresses of {', '.join(files)}", lambda: all(map(os.path.exists, files.values())))
        config = os.path.join(self.out, "server_config.0.yaml")
        urls = {role: read(file) for role, file in files.items()}
        publish(config, yaml.safe_dump({
            "hostname": HOST, "port": 0, "backend": "pytorch",
            "context_servers": {"num_instances": len(ctx), "urls": [urls[r] for r in ctx]},
            "generation_servers": {"num_instances": len(gen), "urls": [urls[r] for r in gen]},
        }))
        command = [*SERVE, "disaggregated", "-c", config, "--address-file", self.router_address]
        with self.child(command, "trtllm-serve.0.DISAGG_SERVER.log") as server:
            self.wait_for("the router's address", lambda: os.path.exists(self.router_address), server)
            self.serve(server, read(self.router_address))

    def serve(self, server, address):
        """Until the client is through; a server that dies before it is this role's failure."""
        say(f"{self.name} is ready on {address}")
        self.inject("after-ready", server)
        serving = any(f.when == "while-serving" for f in self.faults)
        poll, look = knobs.number("CI_DISAGG_POLL_S", 1), 0.0
        while True:
            if time.monotonic() >= look:
                if os.path.exists(self.status):
                    break
                self.alive(server)
                look = time.monotonic() + poll
            if serving and b'"requests": 0' not in fetch(address, "/stats"):
                serving = False
                self.inject("while-serving", server)
                look = time.monotonic() + poll
            time.sleep(TICK_S)
        self.inject("after-benchmark", server)
        say(f"{self.name} stops: the benchmark is through")

    def benchmark(self):
        try:
            ready = min(self.timeout, ready_timeout("DISAGG"))
            self.wait_for("the router's address", lambda: os.path.exists(self.router_address), timeout=ready)
            address = read(self.router_address)
            self.wait_for(f"http://{address}/health", lambda: healthy(address), timeout=ready)
            self.inject("after-ready")
            outputs = [self.client(address, 0, i, c) for i, c in enumerate(self.case.clients())]
        finally:
            publish(self.status, "Done\n")  # on failure too: the others must not wait
        self.inject("after-benchmark")
        for log in outputs:
            check(log)
        if self.case.mode.startswith("gen_only"):
            self.device_step(outputs)

    def aggregated(self):
        if self.case.aggregated:
            servers = self.case.selected()
        else:  # ctx_only: a context worker of a disaggregated config as an aggregated server
            kind = "ctx" if self.case.mode == "ctx_only" else "gen"
            servers = [{"name": self.case.mode, **self.case.config["worker_config"][kind]}]
        for s, server_config in enumerate(servers):
            name = server_config["name"]
            config = os.path.join(self.out, f"extra-llm-api-config.aggr.{name}.yml")
            publish(config, yaml.safe_dump({k: v for k, v in server_config.items() if k != "client_configs"}))
            address = os.path.join(self.addresses, f"AGG.{s}.addr")
            os.makedirs(self.addresses, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                os.remove(address)
            command = [*SERVE, server_config.get("model_name") or self.case.model, "--backend", "pytorch", "--config", config,
                       "--host", HOST, "--port", "0", "--address-file", address]
            env = cases.words(server_config.get("server_env_var"))
            with self.child(command, f"trtllm-serve.{s}.log", env) as server:
                self.wait_for("the server's address", lambda: os.path.exists(address), server, ready_timeout("AGG"))
                self.wait_for("/health", lambda: healthy(read(address)), server, ready_timeout("AGG"))
                self.inject("after-ready", server)
                if self.case.aggregated:
                    clients = [cases.Client.of(c) for c in server_config["client_configs"]]
                else:
                    clients = self.case.clients()
                for log in [self.client(read(address), s, i, c) for i, c in enumerate(clients)]:
                    check(log)
        self.inject("after-benchmark")

    # Parts of roles.

    def engine_config(self, kind, writes, config):
        path = os.path.join(self.out, f"extra-llm-api-config.{kind}.{self.case.stem}.yml")
        os.makedirs(self.addresses, exist_ok=True)
        if writes:
            publish(path, yaml.safe_dump(config))
        else:
            self.wait_for(path, lambda: os.path.exists(path), timeout=600)
        return path

    @contextlib.contextmanager
    def child(self, command, log, env=None):
        """Runs a server with its output in a log of its own. Under the launcher, what its ranks print also goes to the
        step's output, past pytest's capture."""
        self.log = os.path.join(self.out, log)
        live = os.environ.get("STANDIN_RANK_FD")
        with open(self.log, "w", encoding="utf-8") as f:
            process = subprocess.Popen(command, stdout=f, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                       pass_fds=[int(live)] if live else [], env={**os.environ, **(env or {})})
        self.server = process
        if any(f.what == "reaps" for f in self.faults):
            threading.Thread(target=process.wait, daemon=True).start()
        try:
            yield process
        finally:
            process.terminate()
            process.wait()

    def client(self, address, s, c, point):
        if point.scaled:
            say(f"scaled down from concurrency, isl, osl {point.asked}: this is no measurement of that config")
        host, port = address.rsplit(":", 1)
        command = [*CLIENT, "--backend", "openai", "--model", self.case.model, "--host", host, "--port", port,
                   "--dataset-name", "random", "--random-input-len", str(point.isl), "--random-output-len", str(point.osl),
                   "--num-prompts", str(point.prompts), "--max-concurrency", str(point.concurrency),
                   "--percentile-metrics", "ttft,tpot,itl,e2el", "--ignore-eos", "--no-test-input",
                   "--save-result", "--result-dir", self.out]
        log = os.path.join(self.out, f"trtllm-benchmark.{s}.{c}.log")
        env = {**os.environ, **point.env, "PYTHONPATH": ROOT, "PYTHONDONTWRITEBYTECODE": "1"}
        with open(log, "w", encoding="utf-8") as f:
            process = subprocess.Popen(command, stdout=f, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env)
        try:
            if any(f.when == "while-serving" for f in self.faults):
                self.wait_for("the client's first word", lambda: process.poll() is not None or os.path.getsize(log) > 0)
                self.inject("while-serving", self.server or process)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        print(read(log), flush=True)
        if code != 0:
            raise RuntimeError(f"the benchmark client ended with {code}:\n{tail(log)}")
        return log

    def device_step(self, logs):
        """gen_only is judged by the generation workers' own step time, read from the output of their steps."""
        _, gen = self.case.workers()
        done = [os.path.join(self.out, f"gen_server_{i}.done") for i in range(len(gen))]
        end = time.monotonic() + knobs.number("CI_DISAGG_DONE_S", 120)
        while not all(map(os.path.exists, done)) and time.monotonic() < end:
            time.sleep(TICK_S)
        values = []
        for i in range(len(gen)):
            values += device_steps(read(os.path.join(self.out, f"gen_server_{i}.log")))
        if not values:
            raise RuntimeError("no per-iteration device step time in any gen_server log")
        rows = {"Average": statistics.fmean(values), "Median": percentile(values, 50),
                "Stdev": statistics.stdev(values) if len(values) > 1 else 0.0,
                "P75": percentile(values, 75), "P99": percentile(values, 99)}
        if knobs.number("CI_DISAGG_MEAN_ONLY", 0):  # as releases of spring 2026 did
            rows = {"Average": rows["Average"]}
        text = "".join(f"{k + ' Per Iter Device Step Time (ms):':<40} {v:<10.2f}\n" for k, v in rows.items())
        with open(logs[-1], "a", encoding="utf-8") as f:
            f.write(text)
        print(text, flush=True)

    def alive(self, server):
        if server is not None and server.poll() is not None:
            raise RuntimeError(f"the server of {self.name} ended with {server.returncode}:\n{tail(self.log)}")

    def wait_for(self, what, ready, server=None, timeout=None):
        end = time.monotonic() + (timeout or self.timeout)
        while not ready():
            self.alive(server)
            if time.monotonic() > end:
                raise TimeoutError(f"{self.name} waited {timeout or self.timeout:.0f} s for {what}")
            time.sleep(TICK_S)

    def inject(self, when, child=None):
        for fault in self.faults:
            if fault.when != when or fault.what not in knobs.ACTS:
                continue
            say(f"injected fault: {fault.what} {when}")
            if fault.what == "crash":
                raise RuntimeError(knobs.fault_text())
            if fault.what == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if fault.what == "exit":
                os._exit(fault.arg)
            if fault.what == "hang":
                while True:
                    time.sleep(1)
            if child is None:
                raise RuntimeError(f"fault {fault.what} has no server to act on {when}")
            own = self.name != "BENCHMARK" and fault.what != "server-hang"
            child.send_signal(signal.SIGUSR1 if own else SIGNALS[fault.what])


def check(log):
    """What makes a finished client a failed test."""
    text = read(log)
    failed = re.search(r"^Failed requests: +(\d+)", text, re.M)
    if failed and int(failed[1]) or "!FAILED REQUESTS!" in text or "!CHECK LOG FOR ERRORS!" in text:
        raise RuntimeError(f"requests failed:\n{tail(log)}")
    # A context server alone generates one token: no time between tokens.
    wanted = ["Request throughput (req/s):", "Output token throughput (tok/s):", "Total Token throughput (tok/s):", "Median TTFT (ms):"]
    missing = [label for label in wanted if label not in text]
    if missing:
        raise RuntimeError(f"{log} lacks {missing}")


def device_steps(text):
    """Step times of the iterations that count, in ms: from iteration 5 on, without those that follow an idle one,
    of the most frequent batch size. The value printed in iteration N belongs to iteration N-1."""
    row = re.compile(r"\biter = (\d+), .*?prev_device_step_time = ([\d.]+|N/A)(?: ms)?, .*?num_scheduled_requests = (\d+), .*?"
                     r"'num_generation_tokens': (\d+)")
    rows = {int(m[1]): (m[2], int(m[3]), int(m[4])) for m in map(row.search, text.splitlines()) if m}
    buckets = {}
    for n, (step, _, tokens) in rows.items():
        if n >= 5 and step != "N/A" and rows.get(n - 1, (0, 1, 0))[1] > 0:
            buckets.setdefault(tokens, []).append(float(step))
    return max(buckets.items(), key=lambda kv: (len(kv[1]), kv[0]))[1] if buckets else []


def ready_timeout(kind):
    text = os.environ.get(f"TRTLLM_TEST_{kind}_SERVER_READY_TIMEOUT") or os.environ.get("TRTLLM_TEST_SERVER_READY_TIMEOUT")
    return float(text or 3600)


def fetch(address, path):
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return answer.read()
    except OSError:
        return b'"requests": 0'


def healthy(address):
    try:
        with urllib.request.urlopen(f"http://{address}/health", timeout=5) as answer:
            return answer.status == 200
    except (OSError, urllib.error.HTTPError):
        return False


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read().strip()


def tail(path, lines=20):
    return "\n".join(read(path).splitlines()[-lines:])


def say(text):
    print(time.strftime("[%H:%M:%S] ") + text, flush=True)
