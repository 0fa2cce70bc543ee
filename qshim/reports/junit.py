"""JUnit XML: one test for each kind of change and for each compared text, so that CI shows what failed."""

from __future__ import annotations

from xml.etree import ElementTree

from qshim.layout.compare import CHANGES
from qshim.reports.model import Report

__all__ = ["render"]


def render(report: Report) -> str:
    """The report as one test suite."""
    name = f"{report.left.name} / {report.right.name}"
    suite = ElementTree.Element("testsuite", {"name": f"qshim crosscheck {name}"})
    if report.exit_status == 3:
        case = _case(suite, "crosscheck", name)
        reason = " / ".join(report.refusals) or "nothing could be compared"
        ElementTree.SubElement(case, "error", {"message": f"{report.verdict}: {reason}"})
    else:
        for kind in CHANGES:
            mine = [change for change in report.changes if change.kind == kind]
            case = _case(suite, "layout", kind)
            if mine:
                failure = ElementTree.SubElement(case, "failure", {"message": f"{len(mine)}: {CHANGES[kind]}"})
                failure.text = "\n".join(
                    line for c in mine for line in (c.what, f"- {c.left or ''}", f"+ {c.right or ''}")
                )
        wrong = {difference.command: difference for difference in report.texts}
        for command in report.compared:
            case = _case(suite, "text", command)
            if command in wrong:
                failure = ElementTree.SubElement(case, "failure", {"message": "the texts differ"})
                failure.text = "\n".join(wrong[command].lines)
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("*/failure"))))
    suite.set("errors", str(len(suite.findall("*/error"))))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, group: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", {"classname": f"qshim.{group}", "name": name})
