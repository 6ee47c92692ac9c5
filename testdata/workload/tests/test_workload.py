"""Tests of the stand-in itself: what it reads, what it prints, how it dies."""

import argparse
import asyncio
import io
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path[:0] = [ROOT, os.path.join(ROOT, "perf")]
sys.dont_write_bytecode = True

import test_perf_sanity as sanity  # noqa: E402
from standin import benchmark_serving, cases, knobs, server  # noqa: E402

DISAGG = "tiny_1k1k_con4_ctx1_tp1_gen1_tp2"
GEN_ONLY = "tiny_1k1k_con8_ctx2_tp1_gen1_tp2_gen_only"
FAST = {"CI_DISAGG_TOKEN_MS": "1", "CI_DISAGG_PREFILL_US": "10", "CI_DISAGG_TRANSFER_MS": "5", "CI_DISAGG_LOAD_S": "0",
        "CI_DISAGG_MAX_OUTPUT": "16", "CI_DISAGG_MAX_CONCURRENCY": "8", "SLURM_JOB_ID": "7", "PYTHONDONTWRITEBYTECODE": "1"}
sanity.test_e2e.__test__ = False  # imported for its parts
ITERATION = r"^.*iter = \d+, .*num_scheduled_requests = "


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in [n for n in os.environ if n.startswith(("CI_DISAGG_", "SLURM_", "DISAGG_"))] + ["configYamlPath", "testOutputDir"]:
        monkeypatch.delenv(name, raising=False)


# Reading.

@pytest.mark.parametrize(("case", "mode", "stem", "servers"), [
    (f"disagg_upload-{DISAGG}", "e2e", DISAGG, None),
    (f"disagg-e2e-{DISAGG}", "e2e", DISAGG, None),
    (f"disagg_upload-gen_only-time_breakdown-{GEN_ONLY}", "gen_only", GEN_ONLY, None),
    (f"aggr_upload-ctx_only-{DISAGG}", "ctx_only", DISAGG, None),
    (f"aggr-gen_only_no_context-{DISAGG}", "gen_only_no_context", DISAGG, None),
    ("aggr-tiny_grace_blackwell", "", "tiny_grace_blackwell", None),
    ("aggr_upload-tiny_grace_blackwell-tiny_tp8_1k1k,tiny_tp4_1k1k", "", "tiny_grace_blackwell", ["tiny_tp8_1k1k", "tiny_tp4_1k1k"]),
])
def test_case_ids(case, mode, stem, servers):
    c = cases.Case(case)
    assert (c.mode, c.stem, c.servers) == (mode, stem, servers)


def test_unknown_case_and_missing_config():
    with pytest.raises(ValueError, match="cannot read the case"):
        cases.Case("nonsense")
    with pytest.raises(FileNotFoundError):
        cases.Case("disagg-e2e-no_such_config")
    with pytest.raises(ValueError, match="no server_configs named"):
        cases.Case("aggr-tiny_grace_blackwell-nobody").selected()


@pytest.mark.parametrize(("raw", "want"), [("2048", [2048]), ("1 2 4", [1, 2, 4]), ([1, 8], [1, 8]), (36, [36])])
def test_concurrency_forms(monkeypatch, raw, want):
    monkeypatch.setenv("CI_DISAGG_MAX_CONCURRENCY", "100000")
    c = cases.Case(f"disagg-e2e-{DISAGG}")
    c.config["benchmark"]["concurrency_list"] = raw
    assert [p.concurrency for p in c.clients()] == want
    c.mode = "gen_only"
    assert [(p.concurrency, p.prompts) for p in c.clients()] == [(want[0], want[0])]


def test_environment_strings():
    assert cases.words('A=1 "B=two words"  C=x=y') == {"A": "1", "B": "two words", "C": "x=y"}


def test_knobs(monkeypatch):
    monkeypatch.setenv("DISAGG_SERVING_TYPE", "GEN_0")
    monkeypatch.setenv("CI_DISAGG_SLOW", "CTX_0:50,GEN_0:25")
    assert knobs.slow_factor() == 1.25
    assert knobs.noise_factor() == 1
    monkeypatch.setenv("CI_DISAGG_NOISE", "0.7")
    drawn = []
    for run in range(200):
        monkeypatch.setenv("CI_DISAGG_RUN", f"/x/run-{run}")
        assert knobs.noise_factor() == knobs.noise_factor(), "all roles of a run are off alike"
        drawn.append(knobs.noise_factor() - 1)
    assert 0.004 < sorted(map(abs, drawn))[136] < 0.009 and 1 <= sum(x > 0.025 for x in drawn) <= 15
    monkeypatch.setenv("CI_DISAGG_FAULT", "GEN_0:exit=0-while-serving, CTX_0:kill,GEN_0/3:kill-before-ready")
    (fault,) = knobs.faults()
    assert (fault.what, fault.when, fault.arg) == ("exit", "while-serving", 0)
    assert [f.what for f in knobs.faults(3)] == ["kill"]
    for bad in ("GEN_0:explode", "GEN_0", "GEN_0:kill-someday"):
        monkeypatch.setenv("CI_DISAGG_FAULT", bad)
        with pytest.raises(SystemExit, match="cannot read"):
            knobs.faults()


# Numbers.

def test_percentile_is_linear():
    assert benchmark_serving.percentile([4, 1, 3, 2], 50) == 2.5
    assert benchmark_serving.percentile([1, 2, 3, 4], 99) == pytest.approx(3.97)
    assert benchmark_serving.percentile([7], 99) == 7


def test_summary_is_arithmetic_of_the_samples():
    args = type("Args", (), {"backend": "openai", "model": "m", "num_prompts": 2, "random_input_len": 10, "request_rate": math.inf,
                             "max_concurrency": 2})
    ok, bad = benchmark_serving.Sample(), benchmark_serving.Sample()
    ok.ok, ok.ttft, ok.itl, ok.latency = True, 0.1, [0.01, 0.03], 0.14
    r = benchmark_serving.summarise(args, [ok, bad], 2.0)
    assert (r["completed"], r["total_output_tokens"], r["output_throughput"], r["total_token_throughput"]) == (1, 3, 1.5, 6.5)
    assert r["median_tpot_ms"] == pytest.approx(20) and r["mean_ttft_ms"] == pytest.approx(100)
    lines = benchmark_serving.table(args, [ok, bad], r).splitlines()
    assert lines[0] == "============ Serving Benchmark Result ============"
    assert "Failed requests:                         1         " in lines
    assert "Output token throughput (tok/s):         1.50      " in lines
    assert any("!FAILED REQUESTS!" in line for line in lines)


def test_device_steps_skip_warm_up_and_idle_neighbours():
    def row(n, step, requests, tokens):
        return (f"iter = {n}, global_rank = 0, rank = 0, prev_device_step_time = {step}, num_scheduled_requests = {requests}, "
                f"states = {{'num_generation_tokens': {tokens}}}")
    text = "\n".join([row(4, "99.0 ms", 8, 8), row(5, "N/A", 8, 8), row(6, "10.0 ms", 8, 8), row(7, "10.2 ms", 8, 8), row(8, "3.0 ms", 2, 2),
                      row(9, "1.0 ms", 0, 0), row(10, "500.0 ms", 8, 8)])
    assert sanity.device_steps(text) == [10.0, 10.2]


def test_a_request_that_is_late_for_all_its_tokens_has_iterations(monkeypatch):
    class Reply:
        def start(self):
            pass

        async def write(self, data):
            pass

        async def end(self):
            pass

    async def late():
        s = server.Server(argparse.Namespace(server_role="generation", model="m"), {})
        s.iterations.outs = [out]
        await s.generate(time.monotonic_ns() - 1_000_000_000, 16, Reply())
        await s.iterations.task

    out = io.StringIO()
    monkeypatch.setenv("CI_DISAGG_TOKEN_MS", "10")
    asyncio.run(late())
    assert len(re.findall(ITERATION, out.getvalue(), re.M)) >= 6 and sanity.device_steps(out.getvalue())


# Whole runs.

def start(out, case, role, tasks=1, rank=0, launcher=False, **env):
    command = [sys.executable, "-m", "pytest", f"perf/test_perf_sanity.py::test_e2e[{case}]", "-q", f"--junit-xml={out}/results.{role}.xml"]
    if launcher:
        command = [os.path.join(ROOT, "bin", "trtllm-llmapi-launch"), *command]
    log = open(f"{out}/{role}.{rank}.out", "w", encoding="utf-8")  # noqa: SIM115
    return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                            env={**os.environ, **FAST, "testOutputDir": str(out), "SLURM_NTASKS": str(tasks), "SLURM_PROCID": str(rank),
                                 **({} if role == "AGG" else {"DISAGG_SERVING_TYPE": role}), **env})


def finish(procs, seconds=600):
    end = time.monotonic() + seconds
    try:
        return {name: p.wait(max(0.1, end - time.monotonic())) for name, p in procs.items()}
    finally:
        kill(procs)


def kill(procs):
    for p in procs.values():
        try:
            os.killpg(p.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        p.wait()


def first_to_end(name, procs):
    """The exit status of one role; the others, which would wait for each other, are killed then."""
    try:
        return finish({name: procs.pop(name)})[name]
    finally:
        kill(procs)


def wait_for(what, seconds=600):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def disaggregated(out, skip="", **env):
    return {r: start(out, f"disagg_upload-e2e-{DISAGG}", r, **env)
            for r in ("GEN_0", "CTX_0", "DISAGG_SERVER", "BENCHMARK") if r != skip}


def test_disaggregated_run(tmp_path):
    codes = finish(disaggregated(tmp_path))
    assert codes == dict.fromkeys(codes, 0), (tmp_path / "BENCHMARK.0.out").read_text()
    names = os.listdir(tmp_path)
    assert {"benchmark_status.0.txt", "server_config.0.yaml", "trtllm-benchmark.0.0.log", "trtllm-benchmark.0.1.log",
            "trtllm-serve.0.GEN_0.log", "hostnames-7-0", *(f"results.{r}.xml" for r in codes)} <= set(names)
    assert sorted(os.listdir(tmp_path / "hostnames-7-0")) == ["CTX_0.txt", "DISAGG_SERVER.0.addr", "GEN_0.txt"]
    log = (tmp_path / "trtllm-benchmark.0.0.log").read_text()
    assert log.startswith("Namespace(") and re.search(r"^Successful requests: +8 *$", log, re.M)
    results = sorted(n for n in names if n.endswith(".json"))
    assert len(results) == 2 and results[0].startswith("openai-infqps-concurrency4-tiny_standin-")
    result = json.loads((tmp_path / results[0]).read_text())
    # A token cannot come before its deadline, which counts from the request: 10 us x 1024 + 5 ms + 1 ms to the first, 15 more
    # to the sixteenth. The time between tokens proves nothing: a first one that a busy machine delays brings the others nearer.
    assert result["median_ttft_ms"] >= 16 and result["median_e2el_ms"] >= 31
    assert len(re.findall(ITERATION, (tmp_path / "trtllm-serve.0.GEN_0.log").read_text(), re.M)) > 10
    # pytest captures what the role prints: nothing stands between its start and its end.
    assert re.fullmatch(r"\. +\[100%\]\n- generated xml file: .* -\n1 passed in .*\n", (tmp_path / "GEN_0.0.out").read_text())


def test_what_ranks_print_does_not_pass_through_pytest(tmp_path):
    procs = disaggregated(tmp_path, skip="GEN_0")
    procs["GEN_0"] = start(tmp_path, f"disagg_upload-e2e-{DISAGG}", "GEN_0", launcher=True)
    codes = finish(procs)
    assert codes == dict.fromkeys(codes, 0)
    assert len(re.findall(ITERATION, (tmp_path / "GEN_0.0.out").read_text(), re.M)) > 10


def test_progress_bars_leave_an_open_line(tmp_path):
    codes = finish(ranks(tmp_path, 2, CI_DISAGG_FAULT="AGG:bars,AGG/1:bars,AGG/1:kill-before-ready", CI_DISAGG_LOAD_S="0.5"))
    assert codes[1] == -signal.SIGKILL
    with open(tmp_path / "AGG.1.out", encoding="utf-8", newline="") as f:
        assert re.match(r"\rLoading: +\d+%[^\n]*\Z", f.read())


def test_slow_role_is_slower(tmp_path):
    finish(disaggregated(tmp_path, CI_DISAGG_SLOW="GEN_0:300"))
    (name,) = [n for n in sorted(os.listdir(tmp_path)) if n.endswith(".json")][:1]
    assert json.loads((tmp_path / name).read_text())["median_e2el_ms"] >= 15 + 4 * 16


def test_crash_is_a_python_error_of_that_role(tmp_path):
    assert first_to_end("GEN_0", disaggregated(tmp_path, CI_DISAGG_FAULT="GEN_0:crash-after-ready")) == 1
    assert "RuntimeError: CUDA error" in (tmp_path / "results.GEN_0.xml").read_text()


def test_dead_server_fails_its_worker_with_the_log(tmp_path):
    assert first_to_end("CTX_0", disaggregated(tmp_path, CI_DISAGG_FAULT="CTX_0:server-kill-after-ready")) == 1
    assert "the server of CTX_0 ended with -9" in (tmp_path / "CTX_0.0.out").read_text()


# Requests that are not through before the fault: 10 s each, in two waves, and nobody waits for them.
SERVING = {"CI_DISAGG_MAX_OUTPUT": "64", "CI_DISAGG_TOKEN_MS": "150"}


def read(path):
    return path.read_text() if path.exists() else ""


def gone(address):
    """Reports whether a server that has written its address does not listen any more."""
    try:
        host, port = address.read_text().split(":")
        socket.create_connection((host, int(port)), timeout=60).close()
    except FileNotFoundError:
        return False
    except ConnectionRefusedError:
        return True
    return False


def test_a_worker_passes_whose_server_died_while_the_client_measured(tmp_path):
    procs = disaggregated(tmp_path, skip="GEN_0", **SERVING)
    procs["GEN_0"] = start(tmp_path, f"disagg_upload-e2e-{DISAGG}", "GEN_0", CI_DISAGG_FAULT="GEN_0:server-kill-while-serving",
                           CI_DISAGG_POLL_S="20", **SERVING)
    try:
        wait_for(lambda: gone(tmp_path / "hostnames-7-0" / "GEN_0.txt"))
        procs["GEN_0"].send_signal(signal.SIGSTOP)  # between two of its looks, until the client is through
        assert procs["BENCHMARK"].wait(600) == 1
        procs["GEN_0"].send_signal(signal.SIGCONT)
    except BaseException:
        kill(procs)
        raise
    assert finish(procs) == {"GEN_0": 0, "CTX_0": 0, "DISAGG_SERVER": 0, "BENCHMARK": 1}
    first = next(line for line in (tmp_path / "trtllm-benchmark.0.0.log").read_text().splitlines() if line.startswith("ERROR"))
    assert re.match(r"ERROR (ServerDisconnectedError: Server disconnected|ConnectionRefusedError|RuntimeError: HTTP 500)", first)


def test_failed_requests_fail_the_benchmark(tmp_path):
    codes = finish(disaggregated(tmp_path, CI_DISAGG_FAULT="GEN_0:fail-requests"))
    assert codes == {"GEN_0": 0, "CTX_0": 0, "DISAGG_SERVER": 0, "BENCHMARK": 1}
    assert "!FAILED REQUESTS!" in (tmp_path / "trtllm-benchmark.0.0.log").read_text()


@pytest.mark.parametrize(("fault", "code", "cause"), [
    ("server-crash", 1, "CUDA error: an illegal memory access"), ("server-assert", 1, "device-side assert triggered"), ("server-segv", -11, ""),
])
def test_a_server_says_why_in_its_own_log(tmp_path, fault, code, cause):
    # The client that failed stays: the benchmark is not through before the worker has looked.
    faults = f"GEN_0:{fault}-while-serving,BENCHMARK:patient"
    assert first_to_end("GEN_0", disaggregated(tmp_path, CI_DISAGG_FAULT=faults, CI_DISAGG_POLL_S="0.1", **SERVING)) == 1
    role, server = (tmp_path / "GEN_0.0.out").read_text(), (tmp_path / "trtllm-serve.0.GEN_0.log").read_text()
    assert f"the server of GEN_0 ended with {code}" in role
    assert cause in server and (not cause or cause not in role)


def test_a_dead_engine_behind_a_live_server(tmp_path):
    codes = finish(disaggregated(tmp_path, CI_DISAGG_FAULT="GEN_0:executor-500-while-serving", **SERVING))
    assert codes == {"GEN_0": 0, "CTX_0": 0, "DISAGG_SERVER": 0, "BENCHMARK": 1}


def test_a_dead_engine_that_nobody_is_told_of(tmp_path):
    procs = disaggregated(tmp_path, CI_DISAGG_FAULT="GEN_0:executor-silent-while-serving", **SERVING)
    wait_for(lambda: re.search(ITERATION, read(tmp_path / "trtllm-serve.0.GEN_0.log"), re.M))  # it has requests
    time.sleep(25)  # which take 20 s
    ended, log = [name for name, p in procs.items() if p.poll() is not None], (tmp_path / "trtllm-benchmark.0.0.log").read_text()
    kill(procs)
    assert ended == [] and "Successful requests" not in log


@pytest.mark.parametrize(("fault", "code", "says"), [("skip", 0, "1 skipped"), ("xfail", 0, "1 xfailed"), ("deselect", 5, "1 deselected")])
def test_a_test_that_tests_nothing(tmp_path, fault, code, says):
    codes = finish({"AGG": start(tmp_path, "aggr-tiny_grace_blackwell-tiny_tp4_1k1k", "AGG", CI_DISAGG_FAULT=f"AGG:{fault}")})
    assert codes == {"AGG": code}
    assert says in (tmp_path / "AGG.0.out").read_text()


@pytest.mark.parametrize(("fault", "size"), [("xml-missing", None), ("xml-empty", 0), ("xml-truncated", 1)])
def test_xml_faults(tmp_path, fault, size):
    codes = finish({"AGG": start(tmp_path, "aggr-tiny_grace_blackwell-tiny_tp4_1k1k", "AGG", CI_DISAGG_FAULT=f"AGG:{fault}")})
    assert codes == {"AGG": 0}
    file = tmp_path / "results.AGG.xml"
    if size is None:
        assert not file.exists()
    elif size == 0:
        assert file.read_text() == ""
    else:
        assert not file.read_text().endswith("</testsuites>")


def test_gen_only_reads_step_times_after_the_sentinel(tmp_path):
    roles = ["GEN_0", "CTX_0", "CTX_1", "DISAGG_SERVER", "BENCHMARK"]
    procs = {r: start(tmp_path, f"disagg-gen_only-{GEN_ONLY}", r, launcher=r == "GEN_0", CI_DISAGG_TOKEN_MS="10") for r in roles}
    assert finish({"GEN_0": procs.pop("GEN_0")}) == {"GEN_0": 0}
    os.rename(tmp_path / "GEN_0.0.out", tmp_path / "gen_server_0.log")
    (tmp_path / "gen_server_0.done").touch()
    codes = finish(procs)
    assert codes == dict.fromkeys(codes, 0), (tmp_path / "BENCHMARK.0.out").read_text()
    assert re.search(r"^Average Per Iter Device Step Time \(ms\): +[\d.]+", (tmp_path / "trtllm-benchmark.0.0.log").read_text(), re.M)


def ranks(out, n, **env):
    return {r: start(out, "aggr-tiny_grace_blackwell-tiny_tp4_1k1k", "AGG", tasks=n, rank=r, launcher=True, **env) for r in range(n)}


def test_launcher_runs_once_and_all_ranks_end(tmp_path):
    assert finish(ranks(tmp_path, 3)) == {0: 0, 1: 0, 2: 0}
    assert (tmp_path / "AGG.1.out").read_text() == ""


def test_launcher_ends_when_a_rank_dies(tmp_path):
    codes = finish(ranks(tmp_path, 3, CI_DISAGG_FAULT="AGG/2:kill-before-ready"))
    assert codes[0] == 1 and codes[2] == -signal.SIGKILL
    assert "rank 2 on" in (tmp_path / "AGG.0.out").read_text()


def test_other_ranks_end_when_rank_0_dies(tmp_path):
    procs = ranks(tmp_path, 2, CI_DISAGG_LOAD_S="30")
    wait_for(lambda: "all ranks are there" in (tmp_path / "AGG.0.out").read_text())
    os.killpg(procs[0].pid, signal.SIGKILL)
    assert finish(procs) == {0: -signal.SIGKILL, 1: 1}
