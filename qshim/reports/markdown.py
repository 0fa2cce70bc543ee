"""For a comment on a change request: a verdict, and a table for each kind of change."""

from __future__ import annotations

from collections.abc import Iterator

from qshim.layout.compare import CHANGES
from qshim.reports.model import Report, Side, grouped

__all__ = ["render"]


def render(report: Report) -> str:
    """The report as GitHub-flavoured Markdown."""
    return "".join(f"{line}\n" for line in _lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield f"**{report.verdict}**: {_described(report.left)} and {_described(report.right)}"
    for reason in report.refusals:
        yield f"\n- {_code(reason)}"
    for kind, meaning in CHANGES.items():
        mine = [change for change in report.changes if change.kind == kind]
        if mine:
            yield f"\n### {kind} ({len(mine)})\n\n{meaning}\n\n| what | first | second |\n|---|---|---|"
        for sentence, group in grouped(mine):
            first, second = (group[0].left, group[0].right) if len(group) == 1 else (None, None)
            yield f"| {_cell(sentence)} | {_code(first)} | {_code(second)} |"
    for difference in report.texts:
        yield f"\n### `{difference.command}`\n\n```diff"
        yield from difference.lines
        yield "```"
    if report.compared:
        yield f"\n{len(report.compared)} texts compared: {', '.join(_code(command) for command in report.compared)}."
    if report.allowances:
        yield "\nAllowed to differ: " + "; ".join(f"{name} ({reason})" for name, reason in report.allowances) + "."


def _described(side: Side) -> str:
    behind = ", ".join(word for word in (side.machine, side.version and f"QEMU {side.version}") if word)
    return f"{_code(side.name)} ({behind})" if behind else _code(side.name)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _code(text: str | None) -> str:
    return "" if text is None else f"`{text.strip().replace('`', chr(39)).replace('|', chr(92) + '|')}`"
