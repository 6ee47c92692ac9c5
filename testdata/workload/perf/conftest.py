"""Makes test_e2e accept whatever case the command line names, and injects the faults that concern the JUnit file."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from standin import knobs  # noqa: E402


def requested(args):
    for arg in args:
        head, bracket, rest = str(arg).partition("::test_e2e[")
        if bracket and rest.endswith("]"):
            yield rest[:-1]


def pytest_addoption(parser):
    parser.addoption("--output-dir", default="", help="where a case's files go, in a directory of its own; $testOutputDir wins")


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        cases = list(dict.fromkeys(requested(metafunc.config.args)))
        metafunc.parametrize("case", cases, ids=cases)


def pytest_collection_modifyitems(config, items):
    if any(f.what == "deselect" for f in knobs.faults()):
        config.hook.pytest_deselected(items=list(items))
        items.clear()


def pytest_unconfigure(config):
    path = getattr(config.option, "xmlpath", None)
    for fault in knobs.faults():
        if fault.what == "exit-after-xml":
            sys.stdout.flush()
            os._exit(fault.arg)
        if not fault.what.startswith("xml-") or not path or not os.path.exists(path):
            continue
        if fault.what == "xml-missing":
            os.remove(path)
        elif fault.what == "xml-truncated":
            os.truncate(path, os.path.getsize(path) * 2 // 3)
        elif fault.what == "xml-other":  # a well-formed file of another test
            with open(path, encoding="utf-8") as f:
                text = f.read()
            with open(path, "w", encoding="utf-8") as f:
                f.write(text.replace("test_e2e[", "test_e2e[other-"))
        else:
            with open(path, "w", encoding="utf-8") as f:
                f.write("" if fault.what == "xml-empty" else "<html><body>503 Service Unavailable</body></html>\n")
