"""Scale and fault knobs, all from the environment (README.md lists them)."""

import os
import random
import re

WHENS = ("before-ready", "after-ready", "while-serving", "after-benchmark")
# What happens at a point of the role's life, to its pytest or (SERVER) to the server that it runs.
SERVER = ("server-kill", "server-hang", "server-crash", "server-segv", "server-assert", "server-exit", "executor-500", "executor-silent",
          "cuda-oom", "cuda-assert", "cuda-illegal")
ACTS = ("crash", "kill", "exit", "hang", *SERVER)
# What is so all the time, or shows at the role's end.
WHATS = (*ACTS, "ignore-term", "fail-requests", "patient", "chatty", "address-only", "bars", "skip", "xfail", "deselect", "load-crash", "load-cuda-oom",
         "reaps", "assert",
         "xml-missing", "xml-empty", "xml-truncated", "xml-garbage", "xml-other", "exit-after-xml")
_FAULT = re.compile(
    r"(?P<role>[A-Z]+(?:_[A-Z]+)*(?:_\d+)?)(?:/(?P<rank>\d+))?:"
    r"(?P<what>" + "|".join(sorted(WHATS, key=len, reverse=True)) + r")"
    r"(?:=(?P<arg>\d+))?(?:-(?P<when>" + "|".join(WHENS) + r"))?"
)


def number(name, default):
    """A knob as a float; a value that is no number is an error, not the default."""
    text = os.environ.get(name, "")
    if not text:
        return float(default)
    try:
        return float(text)
    except ValueError:
        raise SystemExit(f"{name}={text!r} is not a number") from None


def role():
    return os.environ.get("DISAGG_SERVING_TYPE") or "AGG"


def slow_factor():
    """1.25 for CI_DISAGG_SLOW=25 or GEN_0:25; names of other roles do not count."""
    factor = 1.0
    for item in os.environ.get("CI_DISAGG_SLOW", "").split(","):
        if not item.strip():
            continue
        who, _, percent = item.strip().rpartition(":")
        try:
            value = float(percent)
        except ValueError:
            raise SystemExit(f"CI_DISAGG_SLOW: {item!r} is neither PERCENT nor ROLE:PERCENT") from None
        if who in ("", role()):
            factor *= 1 + value / 100
    return factor


def noise_factor():
    """What this run is off by, as a factor: CI_DISAGG_NOISE=0.7 is a standard deviation of 0.7 %, the same for all roles
    of a run, with an outlier in 3 of 100. CI_DISAGG_SEED and the run's directory decide."""
    percent = number("CI_DISAGG_NOISE", 0)
    if percent == 0:
        return 1.0
    run = os.path.basename(os.environ.get("CI_DISAGG_RUN", ""))
    dice = random.Random(f"{os.environ.get('CI_DISAGG_SEED', '')}/{run}")
    off = dice.gauss(0, percent / 100)
    if dice.random() < 0.03:
        off += 0.03 + dice.expovariate(20)
    return 1 + off


def fault_text():
    """Message of an injected crash."""
    return os.environ.get("CI_DISAGG_FAULT_TEXT") or "CUDA error: an illegal memory access was encountered"


class Fault:
    """One fault of this process: what happens, and at which point of the role's life."""

    def __init__(self, what, when, arg):
        self.what, self.when, self.arg = what, when, arg


def faults(rank=0):
    """The faults that CI_DISAGG_FAULT asks of this role and rank. An unknown one is an error: a fault that is
    silently not injected would make a test of it worthless."""
    mine = []
    for item in os.environ.get("CI_DISAGG_FAULT", "").split(","):
        item = item.strip()
        if not item:
            continue
        m = _FAULT.fullmatch(item)
        if not m:
            raise SystemExit(f"CI_DISAGG_FAULT: cannot read {item!r}: want ROLE[/RANK]:WHAT[=N][-WHEN]")
        if m["role"] == role() and int(m["rank"] or 0) == rank:
            mine.append(Fault(m["what"], m["when"] or "after-ready", int(m["arg"] or 1)))
    return mine
