"""Test ids and the two YAML schemas, as far as the stand-in test needs them."""

import os
import re
import shlex

import yaml

from . import knobs

HERE = os.path.dirname(os.path.abspath(__file__))


class Case:
    """What one test id names: kind (disagg or aggr), mode, config file and selected servers."""

    def __init__(self, case):
        prefix, _, rest = case.partition("-")
        self.kind = prefix.split("_")[0]
        if self.kind not in ("disagg", "aggr") or not rest:
            raise ValueError(f"cannot read the case {case!r}")
        self.servers, self.mode = None, ""
        words = "e2e|gen_only" if self.kind == "disagg" else "ctx_only|gen_only_no_context"
        m = re.fullmatch(rf"({words})(?:-time_breakdown)?-(.+)", rest)
        if m:
            self.mode, self.stem = m[1], m[2]
        elif self.kind == "disagg":
            self.stem = rest
        else:
            self.stem, _, servers = rest.partition("-")
            self.servers = servers.split(",") if servers else None
        self.aggregated = self.kind == "aggr" and not self.mode
        with open(self._path(), encoding="utf-8") as f:
            self.config = yaml.safe_load(f)
        if self.kind == "disagg" and not self.mode:
            self.mode = self.config.get("benchmark", {}).get("mode") or "e2e"
        elif self.kind == "disagg" and "no_context" in str(self.config.get("benchmark", {}).get("mode")):
            self.mode = "gen_only_no_context"

    def _path(self):
        given = os.environ.get("configYamlPath")
        if given:
            return given
        if self.aggregated:
            folder = os.environ.get("AGG_CONFIG_FOLDER") or os.path.join(HERE, "..", "configs", "aggregated")
        else:
            folder = os.environ.get("DISAGG_CONFIG_FOLDER") or os.path.join(HERE, "..", "configs", "disaggregated")
        return os.path.join(folder, self.stem + ".yaml")

    @property
    def model(self):
        return self.config["metadata"]["model_name"]

    @property
    def no_context(self):
        return self.mode == "gen_only_no_context" or os.environ.get("TRTLLM_DISAGG_BENCHMARK_GEN_ONLY") == "1"

    def workers(self):
        """Names of the worker roles of a disaggregated case."""
        hardware = self.config["hardware"]
        ctx = 0 if self.no_context else int(hardware["num_ctx_servers"])
        return [f"CTX_{i}" for i in range(ctx)], [f"GEN_{i}" for i in range(int(hardware["num_gen_servers"]))]

    def clients(self):
        """The benchmark points of a disaggregated (or ctx_only) config."""
        b = self.config["benchmark"]
        raw = b.get("concurrency_list", 1)
        values = raw if isinstance(raw, list) else str(raw).replace(",", " ").split()
        rounds = int(b.get("multi_round") or 1)
        if self.mode.startswith("gen_only"):
            values, rounds = values[:1], 1
        output = 1 if self.mode == "ctx_only" else int(b.get("output_length") or 1024)
        env = words(self.config.get("environment", {}).get("client_env_var"))
        return [Client(int(c), rounds, int(b.get("input_length") or 1024), output, env) for c in values]

    def selected(self):
        """The server_configs of an aggregated case that its id names."""
        servers = self.config["server_configs"]
        if self.servers is None:
            return servers
        unknown = set(self.servers) - {s["name"] for s in servers}
        if unknown:
            raise ValueError(f"no server_configs named {sorted(unknown)}")
        return [s for s in servers if s["name"] in self.servers]


class Client:
    """One benchmark point, scaled down to what the knobs allow."""

    def __init__(self, concurrency, iterations, isl, osl, env=None):
        self.asked = (concurrency, isl, osl)
        self.concurrency = min(concurrency, int(knobs.number("CI_DISAGG_MAX_CONCURRENCY", 16)))
        self.isl = min(isl, int(knobs.number("CI_DISAGG_MAX_INPUT", 2048)))
        self.osl = min(osl, int(knobs.number("CI_DISAGG_MAX_OUTPUT", 64)))
        self.prompts = self.concurrency * iterations
        self.env = env or {}

    @classmethod
    def of(cls, c):
        return cls(int(c["concurrency"]), int(c.get("iterations") or 1), int(c["isl"]), int(c["osl"]),
                   words(c.get("client_env_var")))

    @property
    def scaled(self):
        return self.asked != (self.concurrency, self.isl, self.osl)


def words(env):
    """KEY=VAL items of an environment string, quotes understood."""
    return dict(item.split("=", 1) for item in shlex.split(env or ""))
