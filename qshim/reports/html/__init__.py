"""One self-contained page: both memory maps next to each other, differences marked and listed.

The page needs no network and no program but a browser. Every difference is a button that goes to its
place on both sides; what differs carries a sign besides its colour. Style and script are the files in
qshim/data/report, put into the page.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path

from qshim.layout.compare import CHANGES, Change
from qshim.reports.html.draw import Drawn, draw
from qshim.reports.html.pair import Section, pair
from qshim.reports.model import Report, Side, fingerprint, grouped

__all__ = ["render"]

_DATA = Path(__file__).parents[2] / "data" / "report"
_VIEWS = {"tree": "region trees", "flat": "flat views", "ram": "RAM blocks"}
_SIGNS = ("&minus;", "+")
_ALONE = 2
"""So many equal sentences stand each alone; more are folded into one."""


def render(report: Report) -> str:
    """The report as one HTML page."""
    return "".join(f"{line}\n" for line in _page(report))


def _page(report: Report) -> Iterator[str]:
    sections = [] if report.layouts is None else pair(*report.layouts)
    drawn = draw(sections, report.changes)
    title = f"{report.verdict}: {report.left.name} and {report.right.name}"
    yield "<!DOCTYPE html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
    yield "script-src 'unsafe-inline'\">"
    yield f"<title>{escape(title)}</title>"
    yield f"<style>{(_DATA / 'report.css').read_text(encoding='utf-8')}</style></head>"
    yield f'<body class="{"mapped" if sections else "unmapped"}">'
    yield from _head(report)
    if sections:
        yield from _filters(sections)
    yield '<main><nav id="list" aria-label="differences" tabindex="-1">'
    yield from _list(report, drawn)
    yield "</nav>"
    for side, name in enumerate((report.left.name, report.right.name)) if sections else ():
        word = ("first", "second")[side]
        yield f'<section class="pane" id="{word}" tabindex="0" aria-label="{word} machine: {escape(name)}">'
        described = _described((report.left, report.right)[side], short=True)
        yield f'<h2><span class="sign">{_SIGNS[side]}</span> {described}</h2>'
        yield from drawn.sides[side]
        yield "</section>"
    yield '</main><section id="detail" aria-live="polite" aria-label="chosen difference" hidden></section>'
    yield f"<script>{(_DATA / 'report.js').read_text(encoding='utf-8')}</script></body></html>"


def _described(side: Side, *, short: bool = False) -> str:
    name = side.name.rpartition("/")[2] if short and " " not in side.name else side.name
    behind = ", ".join(word for word in (side.machine, side.version and f"QEMU {side.version}") if word)
    return f"{escape(name)}{f' <small>{escape(behind)}</small>' if behind else ''}"


def _head(report: Report) -> Iterator[str]:
    word = {0: "good", 1: "bad"}.get(report.exit_status, "void")
    yield f'<header><h1 class="{word}">{escape(report.verdict)}</h1><div>'
    yield f'<p><span class="sign">{_SIGNS[0]}</span> {_described(report.left)}</p>'
    yield f'<p><span class="sign">+</span> {_described(report.right)}</p>'
    for reason in report.refusals:
        yield f"<p>did not start: <code>{escape(reason)}</code></p>"
    yield "</div>"
    if report.compared:
        yield "<details><summary>"
        yield f"{len(report.compared)} texts compared, {len(report.unequal)} of them differ</summary><ul>"
        for command in report.compared:
            yield f"<li><code>{escape(command)}</code>{' differs' if command in report.unequal else ''}</li>"
        yield "</ul></details>"
    if report.allowances:
        yield f"<details><summary>{len(report.allowances)} allowed to differ</summary><ul>"
        for name, reason in report.allowances:
            yield f"<li><b>{escape(name)}</b>: {escape(reason)}</li>"
        yield "</ul></details>"
    yield "</header>"


def _filters(sections: list[Section]) -> Iterator[str]:
    views = {section.view for section in sections}
    spaces = sorted({space for section in sections for space in section.spaces})
    yield '<form id="filters"><label>view <select id="view"><option value="">all</option>'
    yield from (f'<option value="{view}">{name}</option>' for view, name in _VIEWS.items() if view in views)
    yield '</select></label><label>address space <select id="space"><option value="">all</option>'
    yield from (f"<option>{escape(space)}</option>" for space in spaces)
    yield '</select></label><label><input type="checkbox" id="only"> only differences</label>'
    yield '<span class="keys"><kbd>n</kbd> next, <kbd>p</kbd> previous, <kbd>Esc</kbd> both sides level</span></form>'


def _list(report: Report, drawn: Drawn) -> Iterator[str]:
    if not report.changes and not report.texts:
        yield f"<p>{'nothing differs' if report.exit_status == 0 else 'nothing was compared'}</p>"
    for kind, meaning in CHANGES.items():
        mine = [(number, change) for number, change in enumerate(report.changes) if change.kind == kind]
        if not mine:
            continue
        yield f'<details open><summary>{kind} <span class="count">{len(mine)}</span></summary>'
        yield f'<p class="meaning">{escape(meaning)}</p><ul>'
        numbers = {id(change): number for number, change in mine}
        for sentence, group in grouped([change for _, change in mine]):
            buttons = [_button(numbers[id(change)], change, drawn) for change in group]
            if len(group) > _ALONE:
                yield f"<li><details><summary>{escape(sentence)}</summary><ul>"
                yield from buttons
                yield "</ul></details></li>"
            else:
                yield from buttons
        yield "</ul></details>"
    for difference in report.texts:
        yield f"<details><summary>text: {escape(difference.command)}</summary><pre>"
        for line in difference.lines:
            yield f'<span class="{ {"-": "out", "+": "in"}.get(line[:1], "same")}">{escape(line)}</span>'
        yield "</pre></details>"


def _button(number: int, change: Change, drawn: Drawn) -> str:
    told = {
        "kind": change.kind,
        "place": change.place,
        "what": change.what,
        "meaning": CHANGES[change.kind],
        "first": change.left,
        "second": change.right,
        "at": drawn.places[number],
        "spaces": drawn.spaces[number],
        "views": drawn.views[number],
    }
    return (
        f'<li><button type="button" class="change" id="c{number}" data-change="{escape(json.dumps(told))}" '
        f'title="{escape(change.place)}" data-fingerprint="{fingerprint(change)}">{escape(change.what)}</button></li>'
    )
