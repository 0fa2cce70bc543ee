"""Recordings from what is at hand: pasted monitor text, and collections of captures in another form.

Pasted text comes from bug reports and CI logs: with the prompt and the command in front, with "\\r\\n",
quoted with an indentation, with something behind. What is not the view is dropped; a view that is
interrupted by a foreign line is refused, because half a tree would be rebuilt as a different machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from qshim.errors import RecordingError
from qshim.recording.canonical import canonical_texts, masked_value
from qshim.recording.format import FLAT_COMMAND, RAMBLOCK_COMMAND, QemuVersion, Recording, lines_of
from qshim.recording.paths import portable_argv

__all__ = ["from_corpus", "from_texts"]

_SPAN = r"[0-9a-f]{16}-[0-9a-f]{16} \(prio -?\d+, "


@dataclass(frozen=True, slots=True)
class _View:
    """How to find the output of one command in pasted text."""

    command: str
    start: re.Pattern[str]
    """Begins the view; what stands before it on its line is a quotation mark or indentation."""
    line: re.Pattern[str]
    """Any line of the view."""
    block: re.Pattern[str]
    """Begins a block inside the view."""
    evidence: re.Pattern[str]
    """A line that can be nothing else: found behind a foreign line, the view was interrupted."""


_TREE = _View(
    "info mtree",
    re.compile(r"address-space: "),
    re.compile(rf"(address-space|memory-region): .|(\[DETECTED OVERFLOW!\] )? +{_SPAN}"),
    re.compile(r"(address-space|memory-region): "),
    re.compile(_SPAN),
)
_FLAT = _View(
    "info mtree -f",
    re.compile(r"FlatView #\d+$"),
    re.compile(
        rf'FlatView #\d+$| AS ".*", root: | Root memory region: |  No rendered FlatView|  {_SPAN}|  Dispatch$'
        r"|    (Physical sections|Nodes \()|      (#\d+ @|\[\d+\]$)|\s+\d+(\.\.\d+)? +skip="
    ),
    re.compile(r"FlatView #"),
    re.compile(_SPAN),
)
_BLOCKS = _View(
    RAMBLOCK_COMMAND,
    re.compile(r"Block Name +PSize"),
    re.compile(r".*Block Name +PSize|.*( 0x[0-9a-f]{16}){3}"),
    re.compile(r"(?!)"),
    re.compile(r"( 0x[0-9a-f]{16}){3}"),
)
_VIEWS = (_TREE, _FLAT, _BLOCKS)
_ENTRY = re.compile(r"\s+(\d+)((?:\.\.\d+)? +skip=.*)")
_OWNED = re.compile(r" (owner|parent):\{")
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PROMPT = re.compile(r"\(qemu\) *(info [a-z]+(?: -[a-zA-Z])*)\s*$")


def from_texts(
    mtree: str,
    flat: str | None = None,
    ramblock: str | None = None,
    *,
    version: QemuVersion | None = None,
    target: str | None = None,
    machine: str | None = None,
    kvm: bool | None = None,
) -> Recording:
    """A recording from pasted `info mtree`, `info mtree -f` and `info ramblock` texts.

    Flags of the two mtree texts are found out (owners, disabled regions, dispatch). Without *version*
    the dialect is: the word `container` as a type means 11.1, a host address column 10.0, else 7.2.
    *kvm* None: yes if a range of the flat text says so.

    :raises RecordingError: no such view in the text, or a foreign line inside it.
    """
    tree_lines, asked = _view(mtree, _TREE)
    owners = any(_OWNED.search(line) for line in tree_lines) or " -o" in asked
    disabled = any(" [disabled]" in line for line in tree_lines) or " -D" in asked
    hmp = {"info mtree" + " -o" * owners + " -D" * disabled: _spaced(tree_lines, _TREE)}
    if flat is not None:
        flat_lines, _ = _view(flat, _FLAT)
        dispatch = "  Dispatch" in flat_lines
        owners = any(_OWNED.search(line) for line in flat_lines)
        hmp["info mtree -f" + " -d" * dispatch + " -o" * owners] = _spaced(flat_lines, _FLAT)
        kvm = any(line.endswith(" KVM") for line in flat_lines) if kvm is None else kvm
    host_column = False
    if ramblock is not None:
        block_lines, _ = _view(ramblock, _BLOCKS)
        hmp[RAMBLOCK_COMMAND] = tuple(block_lines)
        host_column = "HVA" in block_lines[0]
    if version is None:
        if any(", container): " in line for lines in hmp.values() for line in lines):
            version = QemuVersion(11, 1)
        else:
            version = QemuVersion(10, 0) if host_column else QemuVersion(7, 2)
    return Recording(
        qemu=version,
        target=target,
        machine=machine,
        when="running",
        kvm=bool(kvm),
        hmp=canonical_texts(hmp),
    )


def from_corpus(capture: Mapping[str, object]) -> Recording:
    """A recording from one file of a collection of captures (members hmp, qmp, version, argv ...).

    Its flat text with all flags is kept as `info mtree -f -d -o`, which prints the same; where the
    tree was not asked with owners and disabled regions at once, the separate texts stay.

    :raises RecordingError: the capture did not succeed, or lacks a member.
    """
    name = f"the capture of {capture.get('machine')}"
    if capture.get("outcome") != "ok":
        raise RecordingError(f"{name} holds no machine: its outcome is {capture.get('outcome')!r}")
    try:
        version = capture["version"]
        numbers = version["qemu"]  # type: ignore[index]
        texts: Mapping[str, object] = capture["hmp"]  # type: ignore[assignment]
        replies: Mapping[str, Mapping[str, object]] = capture["qmp"]  # type: ignore[assignment]
        argv: list[str] = capture["argv"]  # type: ignore[assignment]
        qemu = QemuVersion(numbers["major"], numbers["minor"], numbers["micro"], version["package"])  # type: ignore[index]
    except (KeyError, TypeError) as error:
        raise RecordingError(f"{name} lacks the member {error}") from error
    hmp = {command: lines_of(text) for command, text in texts.items() if isinstance(text, str)}
    hmp.pop("info mtree -d", None)
    if "info mtree -f -d -o -D" in hmp:
        hmp[FLAT_COMMAND] = hmp.pop("info mtree -f -d -o -D")
    qmp = {command: masked_value(command, reply["return"]) for command, reply in replies.items() if "return" in reply}
    kvm = qmp.get("query-kvm")
    target = str(capture["target"])
    return Recording(
        qemu=qemu,
        target=target,
        machine=str(capture["machine"]),
        kvm=isinstance(kvm, dict) and kvm.get("enabled") is True,
        argv=portable_argv(argv, target),
        hmp=canonical_texts(hmp),
        qmp=qmp,
    )


def _view(text: str, view: _View) -> tuple[list[str], str]:
    """The lines of the first such view in *text* without empty ones, and the command before it, or ""."""
    lines = [_ESCAPE.sub("", line) for line in lines_of(text)]
    first = next((n for n, line in enumerate(lines) if view.start.search(line)), None)
    if first is None:
        raise RecordingError(f"the pasted text holds no output of `{view.command}`")
    before = [found[1] for line in lines[:first] if (found := _PROMPT.search(line))]
    quote = "" if view is _BLOCKS else lines[first][: view.start.search(lines[first]).start()]  # type: ignore[union-attr]
    kept: list[str] = []
    for number, line in enumerate(lines[first:], first + 1):
        bare = line.removeprefix(quote)
        if not bare.strip() or line.strip() == quote.strip():
            continue
        if not (line.startswith(quote) and view.line.match(bare)):
            if _foreign(line, lines[number:], view):
                raise RecordingError(f"line {number} of the pasted text is no line of `{view.command}`: {line[:60]!r}")
            break
        kept.append(bare)
    return kept, before[-1] if before else ""


def _foreign(line: str, rest: list[str], view: _View) -> bool:
    """Whether the view goes on behind *line*, so that dropping the tail would lose a part of it."""
    if _PROMPT.search(line) or line.strip().startswith("(qemu)") or any(v.start.search(line) for v in _VIEWS):
        return False
    for later in rest:
        if _PROMPT.search(later) or any(v.start.search(later) for v in _VIEWS if v is not view):
            return False
        if view.evidence.search(later):
            return True
    return False


def _spaced(lines: list[str], view: _View) -> tuple[str, ...]:
    """*lines* with an empty line behind each block, wherever the paste had them."""
    result: list[str] = []
    for line in lines:
        if result and view.block.match(line) and not (view is _TREE and result[-1].startswith("address-space: ")):
            result.append("")
        entry = _ENTRY.match(line)
        result.append(f"\t{entry[1]:>3}{entry[2]}" if entry else line)
    return (*result, "")
