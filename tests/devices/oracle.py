"""What real QEMU said of one device on one board, and what our model says of the same.

`python -m tests.devices.oracle [-v] VERSION [TYPE-OR-VARIANT...]` prints how many entries agree.
"""

from __future__ import annotations

import json
import lzma
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from qshim.argv import parse
from qshim.devices.board import Board
from qshim.devices.pci import PciFunction
from qshim.errors import QshimError
from qshim.machines.build import board_of, build
from qshim.machines.machine import Machine
from qshim.memory import AddressSpace, FlatRange, Topology
from qshim.versions import KNOWN, Quirks
from qshim.views.mtree import tree, tree_text

DATA = Path(__file__).parents[2] / "fixtures" / "devices"
ARGS = ("-nodefaults", "-m", "128M", "-display", "none", "-S", "-qmp", "unix:/nonexistent/qshim,server=on,wait=off")
LABELS = ("7.2", "10.0", "11.1")
QUIET = re.compile(r"memory-region: system( #\d+)?")


class Entry(NamedTuple):
    """One device on one board, as recorded."""

    key: str
    machine: str
    type_name: str
    properties: dict[str, str]
    extra: list[str]
    told: Mapping[str, Any]


@cache
def recorded(label: str) -> Mapping[str, Any]:
    data: Mapping[str, Any] = json.loads(lzma.decompress((DATA / f"catalogue-{label}.json.xz").read_bytes()))
    return data


def entries(label: str) -> Iterator[Entry]:
    """Everything recorded: each type on each board with its defaults, and the variants."""
    data = recorded(label)
    for name, told in data["types"].items():
        for machine in ("pc", "q35", "microvm"):
            if isinstance(told.get(machine), dict):
                yield Entry(f"{machine}|{name}", machine, name, {}, [], told[machine])
    for key, told in data["variants"].items():
        yield _variant(key, told)


def _variant(key: str, told: Mapping[str, Any]) -> Entry:
    machine, _, rest = key.partition("|")
    device, _, extra = rest.partition(" [")
    words = device.split(",")
    properties = dict(word.split("=", 1) for word in words[1:])
    return Entry(key, machine, words[0], properties, shlex.split(extra.rstrip("]")), told)


class _View(NamedTuple):
    topology: Topology
    quirks: Quirks

    def accelerators(self, space: AddressSpace, r: FlatRange) -> tuple[str, ...]:
        return ()


def sections(board: Board) -> dict[str, list[str]]:
    """`info mtree -o -D` by the last heading of each part."""
    out: dict[str, list[str]] = {}
    title = heading = ""
    for line in tree_text(tree(_View(board.topology, board.quirks), owner=True, disabled=True)).splitlines():
        if line.startswith(("address-space: ", "memory-region: ")):
            title, heading = line, ""
        elif line:
            if not heading:
                heading, number = title, 2
                while heading in out:
                    heading, number = f"{title} #{number}", number + 1
                out[heading] = []
            out[heading].append(line)
    return {title: lines for title, lines in out.items() if not QUIET.fullmatch(title)}


def changes(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, Counter[str]]:
    """Lines that came and went, by heading; parts with the same heading count as one, for their order is chance."""
    out: dict[str, Counter[str]] = {}
    old, new = _joined(before), _joined(after)
    for title in old.keys() | new.keys():
        came, went = new.get(title, Counter()), old.get(title, Counter())
        found = Counter({f"+{x}": n for x, n in (came - went).items()})
        found.update({f"-{x}": n for x, n in (went - came).items()})
        if found:
            out[title] = found
    return out


def _joined(parts: dict[str, list[str]]) -> dict[str, Counter[str]]:
    out: dict[str, Counter[str]] = {}
    for title, lines in parts.items():
        out.setdefault(re.sub(r" #\d+$", "", title), Counter()).update(lines)
    return out


def _told(lines: Mapping[str, list[str]] | None) -> dict[str, Counter[str]]:
    out: dict[str, Counter[str]] = {}
    for title, rows in (lines or {}).items():
        whole = title.startswith("+")
        heading = re.sub(r" #\d+$", "", title.lstrip("+"))
        out.setdefault(heading, Counter()).update(f"+{row}" for row in rows) if whole else out.setdefault(
            heading, Counter()
        ).update(rows)
    for title, found in list(out.items()):
        # a line that went in one part and came in another of the same heading
        for line in [x for x in found if x.startswith("+") and f"-{x[1:]}" in found]:
            both = min(found[line], found[f"-{line[1:]}"])
            found[line] -= both
            found[f"-{line[1:]}"] -= both
        out[title] = +found
    return {title: found for title, found in out.items() if found}


def started(label: str, machine: str, words: Sequence[str]) -> Machine:
    """Our machine of these arguments.

    :raises QshimError: it does not start.
    """
    name = {"pc": f"pc-i440fx-{label}", "q35": f"pc-q35-{label}"}.get(machine.split(",")[0], machine.split(",")[0])
    line = parse(["-M", machine, *ARGS, *words], label)
    return build(line, name, KNOWN[label], "x86_64", firmware=lambda name: None, open_image=_image)


def _image(path: str) -> bytes:
    raise FileNotFoundError(path)


@cache
def plain(label: str, machine: str, extra: tuple[str, ...]) -> tuple[dict[str, list[str]], Counter[tuple[str, int]]]:
    """(sections, RAM blocks) of the machine without the device."""
    board = started(label, machine, extra).board
    return sections(board), blocks(board)


def blocks(board: Board) -> Counter[tuple[str, int]]:
    return Counter((b.idstr, b.used_length) for b in board.topology.ram.blocks if not b.idstr.startswith("/rom@"))


def differences(label: str, entry: Entry) -> list[str]:
    """How our model of an entry differs from what was recorded; empty: it agrees."""
    words = ",".join((entry.type_name, "id=dut", *(f"{k}={v}" for k, v in entry.properties.items())))
    error_text = entry.told.get("err", "")
    try:
        board = started(label, entry.machine, (*entry.extra, "-device", words)).board
    except QshimError as error:
        if entry.told.get("start") == "ok":
            return [f"refused: {error}"]
        ours = str(error).split(",id=dut")[-1].partition(": ")[2]
        found = re.search(r"id=DUT[^ ]*: (.*)", error_text.split("\n")[0])
        return (
            []
            if found is None or found[1] == ours.split("\n")[0]
            else [f"refused with {error!s:.120}, not {found[1]:.90}"]
        )
    if entry.told.get("start") != "ok":
        return [f"accepted, not {error_text[:150]!r}"]
    device = board.peripheral.child("dut")
    assert device is not None
    now = sections(board)
    base, before = plain(label, entry.machine, tuple(entry.extra))
    out = _compare("mtree", _told(entry.told.get("mtree")), changes(base, now))
    ours_qom = _qom(device)
    if entry.told.get("qom") is not None and ours_qom != entry.told["qom"]:
        came, went = Counter(ours_qom), Counter(entry.told["qom"])
        out.append(f"qom: +{sorted(came - went)} -{sorted(went - came)}")
    out += _blocks(entry, before, blocks(board))
    plan = entry.told.get("mapped_plan")
    if plan and not entry.machine.startswith("microvm") and isinstance(device, PciFunction):
        # of igb the plan has virtual functions as well, whose BARs follow its own
        first = {row[0]: row for row in reversed(plan)}
        for index, _, address, _ in first.values():
            bar = device.bars.get(index)
            if bar is None:
                out.append(f"no BAR {index}")
                continue
            value = int(address, 16) | (index == 6)
            device.config_write(bar.offset, value & 0xFFFFFFFF, 4)
            if bar.is_64:
                device.config_write(bar.offset + 4, value >> 32, 4)
        device.config_write(4, 7, 2)
        out += _compare("mapped", _told(entry.told.get("mapped")), changes(now, sections(board)))
    return out


def _compare(what: str, told: dict[str, Counter[str]], ours: dict[str, Counter[str]]) -> list[str]:
    out = []
    for title in sorted(told.keys() | ours.keys()):
        mine, theirs = ours.get(title, Counter()), told.get(title, Counter())
        if mine != theirs:
            out.append(f"{what} {title}: ours {sorted(mine - theirs)[:4]} theirs {sorted(theirs - mine)[:4]}")
    return out


def _qom(device: Any) -> list[str]:
    out = []

    def walk(node: Any, level: int) -> None:
        out.append(f"{'  ' * level}/{node.name} ({node.type_name})")
        for name in sorted(node.children):
            walk(node.children[name], level + 1)

    walk(device, 0)
    return out


def _blocks(entry: Entry, before: Counter[tuple[str, int]], after: Counter[tuple[str, int]]) -> list[str]:
    ours = after - before
    rows = [row for row in entry.told.get("ram", []) if not row[1].startswith("/rom@")]
    new = Counter((row[1], int(row[4], 16)) for row in rows if row[0] == "+")
    gone = Counter((row[1], int(row[4], 16)) for row in rows if row[0] == "-")
    theirs = new - gone
    return [] if ours == theirs else [f"ram: ours {sorted(ours - theirs)} theirs {sorted(theirs - ours)}"]


def main() -> None:
    arguments = sys.argv[1:]
    verbose = "-v" in arguments
    arguments = [a for a in arguments if a != "-v"]
    for label in [a for a in arguments if a in LABELS] or LABELS:
        agree = total = 0
        for entry in entries(label):
            if (
                board_of(
                    {"pc": f"pc-i440fx-{label}", "q35": f"pc-q35-{label}"}.get(
                        entry.machine.split(",")[0], entry.machine.split(",")[0]
                    )
                )
                is None
            ):
                continue
            wanted = [a for a in arguments if a not in LABELS]
            if wanted and not any(w in (entry.type_name, entry.key) for w in wanted):
                continue
            total += 1
            try:
                found = differences(label, entry)
            except Exception as error:
                if wanted:
                    raise
                found = [f"crashed: {error!r}"]
            agree += not found
            if found and verbose:
                print(label, entry.key)
                for line in found:
                    print("     ", line[:1500])
        print(label, agree, "of", total)


if __name__ == "__main__":
    main()
