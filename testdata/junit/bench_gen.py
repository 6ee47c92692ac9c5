#!/usr/bin/python3
"""Write the inputs of `make bench-merge` into a directory, always the same bytes.

one-mb.xml    1 MB, about 5,000 small cases
many.xml      100 MB of small cases: 2 % failing, 10 % with system-out
props.xml     100 MB of small cases with two <properties> each
text.xml      100 MB of cases with 20 lines of failure and 20 of output each
output.xml    100 MB of passing cases with 330 bytes of output each
suite.xml     12 MB: one case, and 320,000 properties of its suite, at any size
few.xml       100 MB in 20 cases with 5 MB of escaped system-out each
small/*.xml   1,000 files with 20 cases each
broken/*.xml  a good file, one cut in the middle, one with a raw escape, an empty one
one.xml       one case with 100 MB of system-out
deep.xml      300 KB of suites inside each other
expected.json the number of complete test cases in each of them

BENCH_MB in the environment gives another size than 100 MB.
"""
import json
import os
import random
import sys

HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'
LINE = "2026-11-21 10:00:%02d INFO worker %d: step %d done, loss=%.4f, queue &lt;%d&gt; &amp; ready\n"


MB = int(os.environ.get("BENCH_MB", "100")) * 1_000_000
TRACE = "    def test_forward(self, batch, step):\n&gt;       assert out[%d].allclose(ref, atol=1e-%d), f&quot;step {step}&quot;\n"


def texts(rng, i, kind):
    if kind == "output":
        lines = "".join("2026-11-21 10:00:%02d INFO step %d of 1000 done in %.4f s, loss %.6f\n" % (k, i, rng.random(), rng.random()) for k in range(5))
        return f"<system-out>{lines[:330]}</system-out>"
    trace = "".join(TRACE % (i + k, k) for k in range(10))
    lines = "".join(LINE % (k, i % 4, i, rng.random(), k) for k in range(20))
    return f'<failure message="AssertionError: step {i}" type="AssertionError">{trace}</failure><system-out>{lines}</system-out>'


def case(rng, i, props):
    name = f"test_forward_matches_reference[batch{rng.randrange(64)}-seq{rng.randrange(4096)}-tp{1 << i % 4}-bf16-{i}]"
    head = f'<testcase classname="tests.unit.attention.test_module_{i % 97}.TestGroupedQueryLayer" name="{name}" time="{rng.random():.3f}"'
    body = ""
    if props is True:
        body += f'<properties><property name="nodeid" value="tests/unit/attention/test_module_{i % 97}.py::TestGroupedQueryLayer::{name}"/>'
        body += f'<property name="gpu" value="{rng.randrange(8)}"/></properties>'
    if props in ("text", "output"):
        return head + ">" + texts(rng, i, props) + "</testcase>"
    if i % 50 == 7:
        body += f'<failure message="AssertionError: assert {i} == {i + 1}">def test_forward():\n&gt;   assert {i} == {i + 1}\nE   AssertionError</failure>'
    if i % 10 == 3:
        body += f"<system-out>step {i} of 1000: ok\nqueue &lt;{i}&gt; drained\n</system-out>"
    return head + (f">{body}</testcase>" if body else " />")


def many(path, size, props=False, start=0, count=None):
    rng = random.Random(5 + start)
    with open(path, "w", encoding="utf-8") as f:
        f.write(HEAD + '<testsuites name="pytest tests">')
        f.write('<testsuite name="pytest" errors="0" failures="0" skipped="0" tests="0" time="1.5" '
                'timestamp="2026-11-21T10:00:00.000000+00:00" hostname="node01">')
        written, i = 0, start
        while (count is None and written < size) or (count is not None and i < start + count):
            c = case(rng, i, props) + "\n"
            f.write(c)
            written += len(c)
            i += 1
        f.write("</testsuite></testsuites>\n")
    return i - start


def few(path, cases=20, size=MB // 20):
    rng = random.Random(7)
    with open(path, "w", encoding="utf-8") as f:
        f.write(HEAD + '<testsuites><testsuite name="pytest" errors="0" failures="0" skipped="0" tests="20" time="20.0">')
        for i in range(cases):
            f.write(f'<testcase classname="tests.long" name="test_log[{i}]" time="1.000"><system-out>')
            n = 0
            while n < size:
                line = LINE % (i, i % 4, n, rng.random(), n % 977)
                f.write(line)
                n += len(line)
            f.write("</system-out></testcase>\n")
        f.write("</testsuite></testsuites>\n")


def suite(path, properties=320_000):
    with open(path, "w", encoding="utf-8") as f:
        f.write(HEAD + '<testsuites><testsuite name="s" tests="0"><properties>')
        f.writelines(f'<property name="p{i}" value="v{i}"/>' for i in range(properties))
        f.write('</properties><testcase classname="c" name="n" time="1"/></testsuite></testsuites>')


def broken(out):
    os.makedirs(out, exist_ok=True)
    path = os.path.join(out, "good.xml")
    many(path, 0, start=0, count=100)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for name, start in (("cut", 1000), ("escape", 2000)):
        many(os.path.join(out, name + ".xml"), 0, start=start, count=100)
    with open(os.path.join(out, "cut.xml"), "r+", encoding="utf-8") as f:
        text = f.read()
        cut = len(text) // 2
        f.truncate(cut)
    whole = text[:cut].count("</testcase>") + text[:cut].count(" />")
    with open(os.path.join(out, "escape.xml"), "r+", encoding="utf-8") as f:
        text = f.read().replace("AssertionError:", "\x1b[31mAssertionError\x1b[0m:")
        f.seek(0)
        f.write(text)
    open(os.path.join(out, "empty.xml"), "w", encoding="utf-8").close()
    return 200 + whole


def main(out):
    os.makedirs(os.path.join(out, "small"), exist_ok=True)
    n = {}
    n["one-mb.xml"] = many(os.path.join(out, "one-mb.xml"), 1_000_000)
    n["many.xml"] = many(os.path.join(out, "many.xml"), MB)
    n["props.xml"] = many(os.path.join(out, "props.xml"), MB, props=True)
    n["text.xml"] = many(os.path.join(out, "text.xml"), MB, props="text")
    n["output.xml"] = many(os.path.join(out, "output.xml"), MB, props="output")
    suite(os.path.join(out, "suite.xml"))
    n["suite.xml"] = 1
    few(os.path.join(out, "few.xml"))
    n["few.xml"] = 20
    n["small"] = sum(many(os.path.join(out, "small", f"results.{k}.xml"), 0, start=k * 20, count=20) for k in range(1000))
    n["broken"] = broken(os.path.join(out, "broken"))
    few(os.path.join(out, "one.xml"), 1, MB)
    with open(os.path.join(out, "deep.xml"), "w", encoding="utf-8") as f:
        f.write('<testsuites><testsuite name="s"><testcase name="t"/>' + '<testsuite name="s">' * 9000 + "</testsuite>" * 9001 + "</testsuites>")
    with open(os.path.join(out, "expected.json"), "w", encoding="utf-8") as f:
        json.dump(n, f)


main(sys.argv[1])
