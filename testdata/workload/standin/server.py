"""trtllm-serve MODEL: answers completion requests at a set pace.

Every token has an absolute deadline on the monotonic clock, counted from the moment at which the client sent the request:
    prefill ends  start + prompt tokens x prefill time
    cache arrives prefill end + transfer time           (not in an aggregated server)
    token k       cache arrival + k x token time
so that a busy machine delays single tokens but never shifts the schedule. A context server answers at the end of prefill
and hands the deadline on; a generation server goes on from there; an aggregated one does both.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
import traceback

import yaml

from . import cuda, files, knobs, minihttp


async def until(deadline_ns):
    delay = (deadline_ns - time.monotonic_ns()) / 1e9
    if delay > 0:
        await asyncio.sleep(delay)


async def terminated():
    """Returns at SIGTERM, never if the role was told to ignore it."""
    stop = asyncio.Event()
    if any(f.what == "ignore-term" for f in knobs.faults()):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    print("terminated", flush=True)


FLOOD = "/src/aten/native/cuda/Indexing.cu:1568: indexSelectLargeIndex: block: [{0},0,0], thread: [{1},0,0] Assertion `srcIndex < srcSelectDimSize` failed."
TRACE = """Traceback (most recent call last):
  File "/src/pyexecutor/py_executor.py", line 1, in _event_loop_wrapper
    self.event_loop()
RuntimeError: {}"""
TORN_DOWN = """Exception ignored in: <coroutine object serve.<locals>.connection at 0x7f07eed195a{}>
Traceback (most recent call last):
  File "/usr/lib/python3.12/asyncio/base_events.py", line 541, in _check_closed
    raise RuntimeError('Event loop is closed')
RuntimeError: Event loop is closed
Task was destroyed but it is pending!"""
FAREWELL = 24  # lines of shutting down between the cause and the end: more than a worker quotes of its server's log


def crash(text, vanish=lambda: None):
    """An error of CUDA, a page of shutting down, exit 1."""
    print(TRACE.format(text))
    farewell()
    vanish()
    os._exit(1)


def farewell():
    """What follows a cause: of each connection that Python tears down it tells as of an error."""
    for i in range(FAREWELL):
        print(f"[TRT-LLM] [I] worker shutting down, step {i}")
    for i in range(2):
        print(TORN_DOWN.format(i))
    sys.stdout.flush()


def fail_on_gpu(what):
    """A real error of CUDA, its traceback, a page of shutting down; then the interpreter and the driver clean up as they
    do, which may end with 1 or by SIGABRT."""
    try:
        cuda.fail(what)
    except Exception:
        traceback.print_exc(file=sys.stdout)
        farewell()
        raise SystemExit(1) from None


class Doom:
    """What SIGUSR1 does to a server: the end that CI_DISAGG_FAULT asks of it.

    server-kill      its sockets close at once; the process itself goes 150 ms later, as one does whose GPU context the
                     driver has to free first
    server-crash     an error of CUDA, a page of shutting down, exit 1
    server-assert    a device-side assert: 2,900 lines, then as server-crash
    server-segv      SIGSEGV
    server-exit=N    it leaves with N and does not say a word
    executor-500     the engine is dead and the HTTP server is not: open requests break, new ones get 500
    executor-silent  the engine is dead and nobody is told: /health says 200, no request is ever answered
    cuda-...         a real error of CUDA: out of memory, a device-side assert, an illegal access
    """

    def __init__(self, vanish, server=None):
        self.vanish, self.server = vanish, server

    def arm(self):
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.strike)

    def strike(self):
        loop = asyncio.get_running_loop()
        for fault in knobs.faults():
            if fault.what == "server-kill":
                loop.remove_signal_handler(signal.SIGTERM)
                signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what has been killed takes no other signal
                self.vanish()
                loop.call_later(0.15, os.kill, os.getpid(), signal.SIGKILL)
            elif fault.what == "server-segv":
                os.kill(os.getpid(), signal.SIGSEGV)
            elif fault.what == "server-exit":
                self.vanish()
                os._exit(fault.arg)
            elif fault.what == "server-crash":
                self.crash(knobs.fault_text())
            elif fault.what == "server-assert":
                for i in range(2900):
                    print(FLOOD.format(i // 128, i % 128))
                self.crash("CUDA error: device-side assert triggered")
            elif fault.what.startswith("cuda-"):
                fail_on_gpu(fault.what)
            elif fault.what.startswith("executor-"):
                self.server.executor = fault.what
                if fault.what == "executor-500":
                    self.vanish_requests()

    def vanish_requests(self):
        for task in self.server.running:
            task.cancel()

    def crash(self, text):
        crash(text, self.vanish)


class Iterations:
    """The engine loop: while requests are active, one iteration per token time, and one log line for each."""

    def __init__(self, token_ns, rank, outs, alive, overlap):
        self.token_ns, self.rank, self.outs, self.alive, self.overlap = token_ns, rank, outs, alive, overlap
        self.active = 0
        self.number = 0
        self.task = None

    def enter(self):
        self.active += 1
        if self.task is None:
            self.task = asyncio.ensure_future(self._loop())

    def leave(self):
        self.active -= 1

    async def _loop(self):
        # The device step of iteration N is known in N+1: from waking up in N to waking up in N+1, as measured.
        previous, deadline = None, time.monotonic_ns()
        while self.alive():
            now = time.monotonic_ns()
            step = "N/A" if previous is None else f"{(now - previous) / 1e6:.3f} ms"
            if self.active > 0 or self.overlap:  # else an idle engine's last word is that it worked on a request
                self._log(step)
            if self.active == 0:
                self.task = None
                return
            previous, deadline = now, deadline + self.token_ns
            await until(deadline)

    def _log(self, step):
        self.number += 1
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        line = (
            f"[{stamp}] [TRT-LLM] [I] iter = {self.number}, global_rank = {self.rank}, rank = {self.rank}, "
            f"currank_total_requests = {self.active}/{self.active}, "
            f"prev_device_step_time = {step}, timestamp = {stamp}, num_scheduled_requests = {self.active}, "
            f"states = {{'num_ctx_requests': 0, 'num_ctx_tokens': 0, 'num_generation_tokens': {self.active}}}\n")
        for out in self.outs:
            out.write(line)
            out.flush()


class Gate:
    """TLLM_BENCHMARK_REQ_QUEUES_SIZE: nothing is generated before so many requests have arrived, once."""

    def __init__(self, size):
        self.missing = size
        self.open = asyncio.Event()
        if size <= 0:
            self.open.set()

    async def arrive(self):
        """Returns how long the request had to wait for others, in ns."""
        self.missing -= 1
        if self.missing <= 0:
            self.open.set()
        before = time.monotonic_ns()
        await self.open.wait()
        return time.monotonic_ns() - before


class Server:
    def __init__(self, options, config):
        slow = knobs.slow_factor() * knobs.noise_factor()
        self.role = options.server_role
        self.model = options.model
        self.token_ns = int(knobs.number("CI_DISAGG_TOKEN_MS", 10) * 1e6 * slow)
        self.prefill_ns = int(knobs.number("CI_DISAGG_PREFILL_US", 100) * 1e3 * slow)
        self.transfer_ns = int(knobs.number("CI_DISAGG_TRANSFER_MS", 30) * 1e6 * slow)
        capacity = int(config.get("max_batch_size") or 1024)
        if config.get("enable_attention_dp"):
            capacity *= int(config.get("tensor_parallel_size") or 1)
        self.slots = asyncio.Semaphore(capacity)
        self.requests = 0
        self.fail = any(f.what == "fail-requests" for f in knobs.faults())
        gate = int(os.environ.get("TLLM_BENCHMARK_REQ_QUEUES_SIZE") or 0) if self.role == "generation" else 0
        self.gate = Gate(min(gate, int(knobs.number("CI_DISAGG_MAX_CONCURRENCY", 16))))
        outs = [sys.stdout]
        if os.environ.get("STANDIN_RANK_FD") and self.role != "context":
            outs.append(os.fdopen(int(os.environ["STANDIN_RANK_FD"]), "w"))
        self.executor, self.running = "", set()
        self.iterations = Iterations(self.token_ns, int(os.environ.get("SLURM_PROCID") or 0), outs, lambda: not self.executor, self.role != "context")

    async def handle(self, method, path, body, reply):
        if path == "/health":
            await reply.send(500 if self.executor == "executor-500" else 200)
        elif path == "/stats":
            await reply.send(200, {"requests": self.requests})
        elif method == "POST" and path == "/v1/completions":
            task = asyncio.ensure_future(self.complete(json.loads(body), reply))
            self.running.add(task)
            try:
                await task
            except asyncio.CancelledError:
                raise ConnectionError("the engine is dead") from None
            finally:
                self.running.discard(task)
        else:
            await reply.send(404, text=f"no {path}")

    async def complete(self, req, reply):
        self.requests += 1
        if self.fail and self.requests % 3 == 0 or self.executor == "executor-500":
            await reply.send(500, {"error": "injected"})
            return
        await self.silence()
        now = time.monotonic_ns()
        start = int(req.get("start_ns") or now)
        if not 0 <= now - start < 5_000_000_000:
            start = now  # a clock of another machine
        disagg = req.get("disaggregated_params") or {}
        prefilled = start + len(req["prompt"]) * self.prefill_ns
        if disagg.get("request_type") == "context_only":
            self.iterations.enter()
            try:
                await until(prefilled)
            finally:
                self.iterations.leave()
            await reply.send(200, {"disaggregated_params": {"request_type": "generation_only", "prefilled_ns": prefilled}})
            return
        if disagg.get("request_type") == "generation_only":
            prefilled = int(disagg.get("prefilled_ns") or now)
            if not -5_000_000_000 < now - prefilled < 5_000_000_000:
                prefilled = now
            prefilled += self.transfer_ns
        prefilled += await self.gate.arrive()
        before = time.monotonic_ns()
        async with self.slots:
            queued = time.monotonic_ns() - before
            if queued > 1_000_000:
                prefilled += queued
            await self.generate(prefilled, int(req["max_tokens"]), reply)

    async def silence(self):
        if self.executor == "executor-silent":
            await asyncio.Event().wait()

    async def generate(self, prefilled, count, reply):
        await until(prefilled)
        reply.start()
        self.iterations.enter()
        try:
            for k in range(1, count + 1):
                # A late request catches up, at twice the pace: an engine makes no token without an iteration.
                await until(max(prefilled + k * self.token_ns, time.monotonic_ns() + self.token_ns // 2))
                await self.silence()
                await reply.write(b'data: {"choices":[{"index":0,"text":" tok"}]}\n\n')
        finally:
            self.iterations.leave()
        await reply.write(b"data: [DONE]\n\n")
        await reply.end()


async def load():
    """Draws a progress bar with the fault bars, on the step's output under the launcher: its line is never ended."""
    end = time.monotonic() + knobs.number("CI_DISAGG_LOAD_S", 0.2)
    bars = any(f.what == "bars" for f in knobs.faults())
    out = int(os.environ.get("STANDIN_RANK_FD") or 1)
    for step in range(101):
        if bars:
            os.write(out, f"\rLoading weights: {step:3d}%|{'#' * (step // 10):<10}| {step}/100 [00:01<00:02,  3.12it/s]".encode())
        await asyncio.sleep(max(0.0, (end - time.monotonic()) / (101 - step)))
    if any(f.what == "load-crash" for f in knobs.faults()):
        crash(knobs.fault_text())
    if os.environ.get("CI_DISAGG_CUDA"):
        cuda.hold()
    if any(f.what == "load-cuda-oom" for f in knobs.faults()):
        fail_on_gpu("cuda-oom")


async def main(options):
    config = {}
    if options.config:
        with open(options.config, encoding="utf-8") as f:
            config = yaml.safe_load(f) or {}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests run under nohup, as in Jenkins
    print(f"{options.server_role} server of {options.model}: loading", flush=True)
    if any(f.what == "address-only" for f in knobs.faults()) and options.address_file:
        files.publish(options.address_file, f"{options.host}:1\n")
        await asyncio.Event().wait()
    await load()
    server = Server(options, config)
    listening, vanish = await minihttp.serve(server.handle, options.host, options.port)
    Doom(vanish, server).arm()
    address = "%s:%d" % listening.sockets[0].getsockname()[:2]
    print(f"listening on {address}", flush=True)
    if options.address_file:
        files.publish(options.address_file, address + "\n")
    await terminated()


def parse(argv):
    p = argparse.ArgumentParser(prog="trtllm-serve")
    p.add_argument("model")
    p.add_argument("--backend", default="pytorch")
    p.add_argument("--config", default="")
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--address-file", default="")
    p.add_argument("--server-role", choices=("context", "generation", "aggregated"), default="aggregated")
    return p.parse_args(argv)


def run(argv):
    minihttp.run(main(parse(argv)))
