#!/usr/bin/python3
"""A second opinion on a JUnit report: what the Jenkins junit plugin makes of it.

Reads the files given as arguments with lxml (Debian's python3-lxml) and prints,
as one line of JSON per file, every case with the class it falls into, and the
totals per suite. The rules are those of the plugin, not of ci-disagg:

* totals in attributes are ignored, cases are counted;
* nested suites are flattened, a suite's name is its own;
* a suite without a name is called (file.xml); package and name are joined;
* a skipped child makes a case skipped, else an error or failure child makes it
  failed, else it passed; errors and failures are both failures;
* a case without classname takes the suite's name attribute; without either, its
  own name is split at the last dot;
* an <error> or <failure> of the suite itself counts as a failed case, if the
  suite has no cases.
"""
import json
import os
import sys

from lxml import etree


def local(element):
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def children(element, *names):
    return [c for c in element if local(c) in names]


def status(case):
    if children(case, "skipped"):
        return "skipped"
    if children(case, "error", "failure"):
        return "failed"
    return "passed"


def case_of(suite, suite_name, element):
    name = element.get("name") or ""
    classname = element.get("classname")
    if classname is None:
        classname = suite.get("name")
    if classname is None and "." in name:
        classname, name = name.rsplit(".", 1)
    return {"suite": suite_name, "package": suite.get("package") or "", "own": suite.get("name") or "", "classname": classname or "", "name": name, "status": status(element)}


def suites(element):
    if local(element) == "testsuite":
        yield element
    for child in element:
        if isinstance(child.tag, str):
            yield from suites(child)


def cases_of(path):
    root = etree.parse(path, etree.XMLParser(huge_tree=True, resolve_entities=False)).getroot()
    for suite in suites(root):
        name = suite.get("name") or "(%s)" % os.path.basename(path)
        if suite.get("package"):
            name = suite.get("package") + "." + name
        own = children(suite, "testcase")
        for case in own:
            yield case_of(suite, name, case)
        if not own and children(suite, "error", "failure"):
            yield {"suite": name, "classname": name, "name": "", "status": "failed"}


def main(paths):
    for path in paths:
        cases = list(cases_of(path))
        totals, by_suite = {"passed": 0, "failed": 0, "skipped": 0}, {}
        for c in cases:
            totals[c["status"]] += 1
            by_suite.setdefault(c["suite"], {"passed": 0, "failed": 0, "skipped": 0})[c["status"]] += 1
        print(json.dumps({"file": path, "totals": totals, "suites": by_suite, "cases": cases}))


main(sys.argv[1:])
