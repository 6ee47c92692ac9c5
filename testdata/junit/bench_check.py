#!/usr/bin/python3
"""What became of the test cases: bench_check.py DIR INPUT OUTPUT

Prints what is wrong with it: the number of lost cases, of suites (and roots) whose
totals are not the number of their cases, that the output is malformed, or that it
does not hold every byte of text of the input (in any order of suites). INPUT is a
file or a directory below DIR. Parsed with lxml; nothing of the tools that are compared.
"""
import json
import os
import sys
import zlib

from lxml import etree

TEXTS = ("failure", "error", "skipped", "system-out", "system-err")


def parse(path):
    """cases, sum of the checksums of all texts, wrong totals; None if malformed."""
    cases, checksum, wrong = 0, 0, 0
    counts = []  # per open suite: tests, failures, errors, skipped
    try:
        for event, e in etree.iterparse(path, events=("start", "end"), huge_tree=True):
            if event == "start":
                if e.tag in ("testsuite", "testsuites"):
                    counts.append([0, 0, 0, 0])
                continue
            if e.tag == "testcase":
                cases += 1
                kinds = {c.tag for c in e}
                one = [1, int("failure" in kinds and "error" not in kinds), int("error" in kinds), int("skipped" in kinds)]
                for total in counts:
                    for i in range(4):
                        total[i] += one[i]
                for c in e.iter(*TEXTS):
                    checksum += zlib.crc32((e.get("name", "") + c.tag + "".join(c.itertext())).encode())
                e.clear()
                while e.getprevious() is not None:
                    del e.getparent()[0]
            elif e.tag in ("testsuite", "testsuites"):
                total = counts.pop()
                declared = [e.get(a) for a in ("tests", "failures", "errors", "skipped")]
                if any(d is not None and d != str(t) for d, t in zip(declared, total)) or declared[0] is None:
                    wrong += 1
    except (etree.XMLSyntaxError, OSError):
        return None
    return cases, checksum, wrong


def main(directory, name, output):
    with open(os.path.join(directory, "expected.json"), encoding="utf-8") as f:
        expected = json.load(f)[name]
    if not os.path.exists(output) or not os.path.getsize(output):
        return [f"no output: {expected} cases lost"]
    got = parse(output)
    if got is None:
        return [f"malformed: {expected} cases lost"]
    cases, checksum, wrong = got
    source = os.path.join(directory, name)
    paths = [source] if os.path.isfile(source) else [os.path.join(source, p) for p in sorted(os.listdir(source))]
    parsed = [parse(p) for p in paths]
    faults = []
    if cases < expected:
        faults.append(f"{expected - cases} cases lost")
    if wrong:
        faults.append(f"{wrong} wrong totals")
    if all(parsed) and checksum != sum(p[1] for p in parsed):
        faults.append("text changed")
    return faults


print("".join("; " + fault for fault in main(*sys.argv[1:])))
