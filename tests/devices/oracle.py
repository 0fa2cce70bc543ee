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
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from qshim.devices.board import Board
from qshim.devices.errors import DeviceError
from qshim.devices.pci import PciFunction
from qshim.errors import QshimError
from qshim.memory import Topology
from qshim.versions import KNOWN
from qshim.views.mtree import tree, tree_text
from tests.devices.small import add, small_board

DATA = Path(__file__).parents[2] / "fixtures" / "devices"
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
    quirks: Any


def sections(board: Board) -> dict[str, list[str]]:
    """`info mtree -o -D` by section."""
    out: dict[str, list[str]] = {}
    title = ""
    names: list[str] = []
    for line in tree_text(tree(_View(board.topology, board.quirks), owner=True, disabled=True)).splitlines():
        if line.startswith(("address-space: ", "memory-region: ")):
            title, number = line, 2
            while title in out:
                title, number = f"{line} #{number}", number + 1
            names.append(title)
            out[title] = []
        elif line:
            for name in names:
                out[name].append(line)
        else:
            names = []
    return {title: lines for title, lines in out.items() if not QUIET.fullmatch(title)}


def changes(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, Counter[str]]:
    """Lines that came and went, by section."""
    out: dict[str, Counter[str]] = {}
    for title, lines in after.items():
        if title not in before:
            out[f"+{title}"] = Counter(lines)
            continue
        came, went = Counter(lines), Counter(before[title])
        found = Counter({f"+{x}": n for x, n in (came - went).items()})
        found.update({f"-{x}": n for x, n in (went - came).items()})
        if found:
            out[title] = found
    return out


def _told(lines: Mapping[str, list[str]] | None, quirk: str) -> dict[str, Counter[str]]:
    return {title: Counter(rows) for title, rows in (lines or {}).items()}


def differences(label: str, entry: Entry) -> list[str]:
    """How our model of an entry differs from what was recorded; empty: it agrees."""
    board = small_board(KNOWN[label], entry.machine, entry.extra)
    try:
        with_extra = sections(board)
        device = add(board, entry.type_name, "dut", entry.properties)
    except DeviceError as error:
        if entry.told.get("start") == "ok":
            return [f"refused: {error}"]
        text = entry.told.get("err", "")
        found = re.search(r"id=DUT[^ ]*: (.*)", text.split("\n")[0])
        return [] if found is None or found[1] == str(error) else [f"refused with {error!s:.90}, not {found[1]:.90}"]
    except QshimError as error:
        return [f"broke: {error}"]
    if entry.told.get("start") != "ok":
        return [f"accepted, not {entry.told.get('err', '')[:150]!r}"]
    board.machine_done()
    out = []
    base = small_board(KNOWN[label], entry.machine, entry.extra)
    base.machine_done()
    plain = sections(board)
    out += _compare("mtree", _told(entry.told.get("mtree"), label), changes(sections(base), plain))
    del with_extra
    ours = _qom(device)
    if entry.told.get("qom") is not None and ours != entry.told["qom"]:
        came, went = Counter(ours), Counter(entry.told["qom"])
        out.append(f"qom: +{sorted(came - went)} -{sorted(went - came)}")
    out += _blocks(entry, base, board)
    plan = entry.told.get("mapped_plan")
    if plan and isinstance(device, PciFunction):
        for index, kind, address, _ in plan:
            bar = device.bars.get(index)
            if bar is None:
                out.append(f"no BAR {index}")
                continue
            value = int(address, 16) | (index == 6)
            device.config_write(bar.offset, value & 0xFFFFFFFF, 4)
            if bar.is_64:
                device.config_write(bar.offset + 4, value >> 32, 4)
            del kind
        device.config_write(4, 7, 2)
        out += _compare("mapped", _told(entry.told.get("mapped"), label), changes(plain, sections(board)))
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


def _blocks(entry: Entry, base: Board, board: Board) -> list[str]:
    before = Counter((b.idstr, b.used_length) for b in base.topology.ram.blocks)
    after = Counter((b.idstr, b.used_length) for b in board.topology.ram.blocks)
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
