"""The page with both memory maps: what it holds, and what happens when somebody clicks through it."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from qshim.layout.compare import Change, Layout, compare
from qshim.recording.format import FLAT_COMMAND, RAMBLOCK_COMMAND, TREE_COMMAND, Recording, load
from qshim.reports import rendered
from qshim.reports.model import Report, Side
from tests.support.browser import Page

DATA = Path(__file__).parents[2] / "qshim" / "data" / "recordings"
TEXTS = (FLAT_COMMAND, RAMBLOCK_COMMAND, TREE_COMMAND)


def report_of(left: Recording, right: Recording) -> Report:
    layouts = Layout.of_recording(left), Layout.of_recording(right)
    sides = [Side(r.label, str(r.qemu), r.machine) for r in (left, right)]
    return Report(sides[0], sides[1], compare(*layouts), (), TEXTS, TEXTS, layouts=layouts)


def q35(label: str) -> Recording:
    return load(DATA / label / "x86_64" / "pc-q35-7.2.qrec.xz")


def changed(recording: Recording, *replacements: tuple[str, str]) -> Recording:
    """*recording* with faults planted in its texts."""
    hmp = dict(recording.hmp)
    for old, new in replacements:
        assert any(old in line for lines in hmp.values() for line in lines)
        hmp = {command: tuple(line.replace(old, new) for line in lines) for command, lines in hmp.items()}
    return replace(recording, hmp=hmp)


HPET = tuple(f"00000000fed0{n}000-00000000fed0{n}3ff (prio 0, i/o): hpet" for n in (0, 1))


def moved() -> Report:
    """The HPET lies elsewhere, in the tree and in the flat views."""
    return report_of(q35("7.2"), changed(q35("7.2"), (HPET[0], HPET[1])))


class Checker(HTMLParser):
    """Tags that are closed, ids that are unique, no reference to anything outside."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "input", "link", "img", "br", "hr"):
            self.open.append(tag)
        given = dict(attrs)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        self.outside += [f"{tag} {name}" for name in given if name in ("src", "href", "action", "data")]
        self.outside += [tag] * (tag in ("link", "img", "iframe", "object", "base"))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("report", [moved(), report_of(q35("7.2"), q35("11.1"))], ids=["one fault", "two versions"])
def test_the_page_is_whole_and_needs_nothing_else(report: Report) -> None:
    text = rendered(report, "html")
    checker = Checker()
    checker.feed(text)
    assert (checker.open, checker.outside) == ([], [])
    assert len(checker.ids) == len(set(checker.ids))
    for found in re.findall(r'data-c="([\d ]+)"', text):
        assert all(int(number) < len(report.changes) for number in found.split())
    for at in re.findall(r"&quot;at&quot;: \[(.*?)\]", text):
        assert {name.strip("&quot; ") for name in at.split(", ") if name} <= set(checker.ids)


def test_both_sides_are_equally_tall() -> None:
    """As many rows, and maps with the same borders, so that equal addresses stand at equal heights."""
    text = rendered(report_of(q35("7.2"), q35("11.1")), "html")
    panes = text.split('<section class="pane"')[1:]
    assert len(panes) == 2
    for pattern in (r'class="(?:row|head|part)\b', r"--full:([^;]*);", r'<h3 id="s(\d+)'):
        left, right = (re.findall(pattern, pane) for pane in panes)
        assert left == right or (len(left) == len(right) and "class" in pattern)


def test_names_cannot_be_markup() -> None:
    evil = "<script>alert(1)</script>\"'&"
    report = report_of(q35("7.2"), changed(q35("7.2"), (": hpet", f": {evil}")))
    report = replace(report, left=Side(evil, "7.2", None), allowances=((evil, evil),))
    text = rendered(report, "html")
    assert text.count("<script>") == 1
    assert "&lt;script&gt;alert(1)" in text


def test_every_difference_has_its_place() -> None:
    """But those that are about texts as a whole."""
    report = report_of(q35("7.2"), q35("11.1"))
    text = rendered(report, "html")
    told = re.findall(r"&quot;kind&quot;: &quot;([\w-]+)&quot;.*?&quot;at&quot;: (\[.*?\])", text)
    assert len(told) == len(report.changes)
    assert {kind for kind, at in told if at == "[]"} <= {"host-columns"}


def test_without_a_machine_the_page_says_why() -> None:
    refused = Report(Side("a", None, None, "no such <machine>"), Side("b", None, None, "no such <machine>"))
    text = rendered(refused, "html")
    assert "refused by both" in text
    assert "no such &lt;machine&gt;" in text
    assert "pane" not in text.partition("</style>")[2].partition("<script>")[0]


SEEN = """(() => {
  const inside = (e) => { const b = e.getBoundingClientRect(), p = e.closest('.pane').getBoundingClientRect();
    return b.height > 0 && b.top >= p.top && b.bottom <= p.bottom + 1; };
  return [...document.querySelectorAll('.pane')].map((pane) => [...pane.querySelectorAll('.chosen')].some(inside));
})()"""
"""Whether a highlighted place is in sight on the left and on the right."""


def button(page: Page, kind: str) -> str:
    number = page.js(
        f"[...document.querySelectorAll('.change')].find((b) => JSON.parse(b.dataset.change).kind === '{kind}').id"
    )
    return f"#{number}"


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(tmp_path)


def opened(page: Page, report: Report, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(rendered(report, "html"), encoding="utf-8")
    page.open(tmp_path / "report.html")


def test_clicking_through(page: Page, tmp_path: Path) -> None:
    report = moved()
    with page:
        opened(page, report, tmp_path)
        assert page.js("document.querySelectorAll('.change').length") == len(report.changes)
        for kind in ("region-moved", "range-added", "range-removed"):
            page.click(button(page, kind))
            seen = page.js(SEEN)
            assert seen == [True, True] if kind == "region-moved" else True in seen, kind
            assert kind in page.js("document.querySelector('#detail').innerText")
        # a mark on the map leads back to the list
        page.js("document.querySelector('#first .block[data-c]').scrollIntoView({block: 'center'})")
        page.click("#first .block[data-c]")
        assert page.js("document.querySelectorAll('.change[aria-current]').length") == 1
        # filters
        shown = (
            "[...document.querySelectorAll('#first .part')].filter((p) => p.offsetHeight).map((p) => p.dataset.view)"
        )
        assert set(page.js(shown)) == {"flat", "tree", "ram"}
        page.choose("#view", "ram")
        assert page.js(shown) == ["ram"]
        assert page.js("[...document.querySelectorAll('.change')].filter((b) => b.offsetHeight).length") == 0
        page.choose("#view", "")
        page.choose("#space", "memory")
        assert set(page.js(shown)) == {"flat", "tree"}
        # only differences
        rows = "[...document.querySelectorAll('.row, .block')].filter((e) => e.offsetHeight).length"
        before = page.js(rows)
        page.click("#only")
        assert 0 < page.js(rows) < before / 2
        assert page.js(
            "[...document.querySelectorAll('.row[data-c], .block[data-c]')]"
            ".every((e) => e.offsetHeight || e.closest('[hidden]'))"
        )
        assert page.problems == []


def test_with_the_keyboard_alone(page: Page, tmp_path: Path) -> None:
    with page:
        opened(page, moved(), tmp_path)
        current = "document.querySelector('.change[aria-current]')?.id"
        page.key("n")
        first = page.js(current)
        page.key("n")
        assert page.js(current) != first
        page.key("p")
        assert page.js(current) == first
        assert page.js("document.activeElement.id") == first
        page.js("document.querySelector('#second [data-c]').focus()")
        page.key("Enter")
        assert page.js(current) is not None
        page.key("Escape")
        assert page.js("document.querySelector('#first').scrollTop === document.querySelector('#second').scrollTop")
        # each thing that can be clicked can be reached
        assert page.js("[...document.querySelectorAll('[role=button]')].every((e) => e.tabIndex === 0)")
        assert page.problems == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_can_be_read(tmp_path: Path, dark: bool) -> None:
    """The contrast of text and ground is at least 4.5, as WCAG AA asks."""
    contrast = """(() => {
      const parts = (c) => c.match(/[\\d.]+/g).map(Number);
      const light = (c) => { const [r, g, b] = parts(c).map((v) => { v /= 255;
        return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const ground = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
        if (parts(c).length === 3 || parts(c)[3] > 0.99) return c; } return 'rgb(255, 255, 255)'; };
      const low = [];
      const texts = 'h1, h2, h3, p, small, code, i, b, .row, .head, .gap, .change, summary, label';
      for (const e of document.querySelectorAll(texts)) {
        const a = light(getComputedStyle(e).color), b = light(ground(e));
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) low.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)}`);
      }
      return [...new Set(low)];
    })()"""
    with Page(tmp_path, dark=dark) as page:
        opened(page, report_of(q35("7.2"), q35("11.1")), tmp_path)
        page.key("n")
        assert page.js(contrast) == []
        assert page.js("document.documentElement.scrollWidth <= innerWidth")


def test_a_wide_window_and_a_narrow_one(tmp_path: Path) -> None:
    for width in (1600, 700):
        with Page(tmp_path, width=width) as page:
            opened(page, moved(), tmp_path)
            page.click(button(page, "region-moved"))
            assert page.js(SEEN) == [True, True], width
            assert page.js("document.documentElement.scrollWidth <= innerWidth")


def test_steps_can_be_drawn(tmp_path: Path) -> None:
    """A place that begins with a step is found all the same."""
    report = moved()
    late = tuple(replace(c, place=f"after step 3 (info x): {c.place}") for c in report.changes)
    text = rendered(replace(report, changes=(*late, Change("reply-changed", "after step 3", "x", "a", "b"))), "html")
    assert text.count("data-c=") >= 2
