"""JUnit XML: one test for each layout; waived findings are its output."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from qshim.reports.findings.model import Checked

__all__ = ["render"]

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(checked: Checked) -> str:
    """The check as one test suite."""
    suite = ElementTree.Element("testsuite", {"name": "qshim check"})
    counted = set(checked.counted)
    for place in checked.places():
        case = ElementTree.SubElement(suite, "testcase", {"classname": "qshim.layout", "name": _clean(place)})
        found = checked.of(place)
        bad = [f for f in found if f in counted]
        if bad:
            rules = ", ".join(dict.fromkeys(f.rule for f in bad))
            failure = ElementTree.SubElement(case, "failure", {"message": rules, "type": bad[0].severity})
            failure.text = "\n".join(_clean(f"{f.severity} [{f.rule}] {f.what}\n  {f.consequence}") for f in bad)
        rest = [f for f in found if f not in counted]
        if rest:
            output = ElementTree.SubElement(case, "system-out")
            output.text = "\n".join(
                _clean(f"{'waived' if f.waived is not None else f.severity} [{f.rule}] {f.what}") for f in rest
            )
    for failed in checked.failed:
        case = ElementTree.SubElement(suite, "testcase", {"classname": "qshim.layout", "name": _clean(failed.layout)})
        ElementTree.SubElement(case, "error", {"message": _clean(failed.reason)})
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("*/failure"))))
    suite.set("errors", str(len(suite.findall("*/error"))))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    return _NOT_XML.sub("?", text)
