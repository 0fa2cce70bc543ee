"""How a guest address resolves: space, flat range, region, RAM block, host address, or why not.

The walk does what rendering does (spec/memory.md 2.2) for one address alone, and keeps what
rendering throws away: the path to each region that lies there, and what became of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qshim.errors import UsageError
from qshim.memory import AddressSpace, FlatRange, MemoryRegion
from qshim.memory.render import resolve
from qshim.rows import OwnerRow
from qshim.units import U64_MAX, hex16, hex_plain, last_of, span
from qshim.views.typed import JsonObject, JsonValue
from qshim.views.viewed import Viewed, owner_rows, owner_text, type_word

__all__ = ["EXPLAIN_SCHEMA", "Candidate", "Explanation", "Step", "explain", "explain_json", "explain_text"]

_MOST = 1000
"""Candidates that are followed; more cannot be read anyway."""


@dataclass(frozen=True, slots=True)
class Step:
    """One region on the way from the root."""

    how: str
    """`root`, `skipped` (left out by the root shortcut, memory.md 2.1), `child` or `alias target`."""
    name: str
    start: int
    """Address of the region's first byte in the space; may lie below 0 behind an alias."""
    size: int
    priority: int
    type: str
    offset: int
    """Of the asked address in the region."""
    enabled: bool
    readonly: bool
    owner: OwnerRow | None
    parent: OwnerRow | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A region that lies at the address, with the way to it."""

    path: tuple[Step, ...]
    verdict: str
    """`visible`, `hidden` (something before it won), `disabled`, or `transparent` (a container)."""

    @property
    def region(self) -> Step:
        """The region itself, the last step."""
        return self.path[-1]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything about one address of one space."""

    space: str
    addr: int
    root: str | None
    """The region whose ranges the space shows; None when it shows nothing."""
    range: FlatRange | None
    range_type: str | None
    candidates: tuple[Candidate, ...]
    """In the order in which rendering tries them: the first that is not disabled or transparent wins."""
    block: str | None
    """Name of the RAM block; None when there is none."""
    block_offset: int | None
    """Of the address in the block."""
    ram_addr: int | None
    host: int | None

    @property
    def visible(self) -> Candidate | None:
        """What answers at the address."""
        return next((c for c in self.candidates if c.verdict == "visible"), None)

    @property
    def reason(self) -> str | None:
        """Why there is no host address; None when there is one."""
        if self.host is not None:
            return None
        seen = self.visible
        if seen is None:
            if self.root is None:
                return f"address space '{self.space}' shows nothing: its root is disabled or empty"
            names = [c.region.name for c in self.candidates if c.verdict == "disabled"]
            return "a hole: " + (
                f"only disabled regions lie here ({', '.join(names)})" if names else "no region lies here"
            )
        if seen.region.type in ("i/o", "container"):
            return f"accesses go to the registers of '{seen.region.name}'"
        return f"'{seen.region.name}' has no RAM block"


def explain(vm: Viewed, addr: int, space_name: str = "memory") -> Explanation:
    """Resolve *addr* (0 to 2^64 - 1) in the first address space called *space_name*.

    :raises UsageError: there is no such space, or the address is out of range.
    """
    if not 0 <= addr <= U64_MAX:
        raise UsageError(f"{hex_plain(addr)} is no guest address: it must be 0 to {hex_plain(U64_MAX)}")
    spaces = vm.topology.spaces
    space = next((s for s in spaces if s.name == space_name), None)
    if space is None:
        known = ", ".join(sorted({s.name for s in spaces}))
        raise UsageError(f"there is no address space '{space_name}'; this machine has: {known}")
    found = space.view.find(addr)
    candidates = tuple(_candidates(vm, space, addr))
    block = None if found is None else found.region.ram_block
    offset = None if found is None else found.offset + addr - found.start
    in_block = block is not None and offset is not None and offset < block.used_length
    return Explanation(
        space.name,
        addr,
        None if space.view.root is None else space.view.root.name or "",
        found,
        None if found is None else "rom" if found.readonly else type_word(found.region, vm.quirks),
        candidates,
        block.idstr if block is not None else None,
        offset if block is not None else None,
        block.offset + offset if block is not None and offset is not None else None,
        block.host + offset if block is not None and offset is not None and in_block else None,
    )


def _candidates(vm: Viewed, space: AddressSpace, addr: int) -> Iterator[Candidate]:
    shown, asked = resolve(space.root)
    if shown is None:
        return
    skipped = tuple(_step(vm, r, "skipped", r.addr, addr) for r in asked[: asked.index(shown)])
    won = False
    count = 0
    # (region, base, how, path, no longer drawn)
    stack: list[tuple[MemoryRegion, int, str, tuple[Step, ...], bool]] = [(shown, 0, "root", skipped, False)]
    while stack and count < _MOST:
        region, base, how, path, done = stack.pop()
        if done:
            verdict = ("hidden" if won else "visible") if region.terminates else "transparent"
            won = won or region.terminates
            count += 1
            yield Candidate(path, verdict)
            continue
        start = base + region.addr
        if not start <= addr < start + region.size:
            continue
        path = (*path, _step(vm, region, how, start, addr))
        if not region.enabled:
            count += 1
            yield Candidate(path, "disabled")
            continue
        if region.alias is not None:
            target = region.alias
            stack.append((target, start - region.alias_offset - target.addr, "alias target", path, False))
            continue
        stack.append((region, base, how, path, True))
        children = region.children_meeting(addr - start, addr - start + 1)
        stack += [(child, start, "child", path, False) for child in reversed(children)]


def _step(vm: Viewed, region: MemoryRegion, how: str, start: int, addr: int) -> Step:
    owner, parent = owner_rows(region)
    return Step(
        how,
        region.name or "",
        start,
        region.size,
        region.priority,
        type_word(region, vm.quirks),
        addr - start,
        region.enabled,
        region.readonly,
        owner,
        parent,
    )


def explain_text(e: Explanation) -> str:
    """The explanation for a person, lines ended by a newline."""
    lines = [f"guest address  {hex16(e.addr)} in address space '{e.space}'"]
    if e.range is None:
        lines.append("flat range     none")
    else:
        lines.append(
            f"flat range     {span(e.range.start, e.range.last)} ({e.range_type}): {e.range.region.name}"
            + (f" @{hex16(e.range.offset)}" if e.range.offset else "")
        )
    seen = e.visible
    if seen is not None:
        lines += ["path", *_path_lines(seen.path)]
        lines.append(f"region         '{seen.region.name}', offset {hex_plain(seen.region.offset)}")
    if e.block is not None and e.ram_addr is not None and e.block_offset is not None:
        name = f"'{e.block}'" if e.block else "(unnamed)"
        lines.append(f"RAM block      {name}, offset {hex_plain(e.block_offset)}, ram_addr {hex_plain(e.ram_addr)}")
    lines.append(f"host address   {hex_plain(e.host)}" if e.host is not None else f"host address   none: {e.reason}")
    for verdict, words in (("hidden", "also here, but hidden"), ("disabled", "also here, but disabled")):
        others = [c for c in e.candidates if c.verdict == verdict]
        if others:
            lines.append(words)
            lines += [f"  {_other_line(c, e)}" for c in others]
    return "".join(f"{line}\n" for line in lines)


def _path_lines(path: tuple[Step, ...]) -> Iterator[str]:
    for depth, step in enumerate(path):
        note = {"skipped": " (skipped as root)", "alias target": " (shown by the alias)"}.get(step.how, "")
        flags = ", read-only" if step.readonly else ""
        yield (
            f"  {'  ' * depth}{span(step.start, last_of(step.start, step.size))} "
            f"(prio {step.priority}, {step.type}): {step.name}{flags}{note}{owner_text(step.owner, step.parent)}"
        )


def _other_line(candidate: Candidate, e: Explanation) -> str:
    step = candidate.region
    line = f"{span(step.start, last_of(step.start, step.size))} (prio {step.priority}, {step.type}): {step.name}"
    seen = e.visible
    return f"{line}, {_cause(candidate, seen)}" if candidate.verdict == "hidden" and seen is not None else line


def _cause(loser: Candidate, winner: Candidate) -> str:
    """Where the two ways part, and what decided there."""
    for left, right in zip(loser.path, winner.path, strict=False):
        if left is right or left == right:
            continue
        if left.priority != right.priority:
            return f"by '{right.name}' (prio {right.priority} over {left.priority})"
        return f"by '{right.name}' (equal priority, added later)"
    return f"by its own child '{winner.region.name}'"


def explain_json(e: Explanation) -> JsonObject:
    """The explanation as data; `host` differs from run to run."""
    candidates: list[JsonValue] = [
        {"verdict": c.verdict, "path": [_step_json(step) for step in c.path]} for c in e.candidates
    ]
    flat: JsonObject | None = None
    if e.range is not None:
        flat = {
            "start": e.range.start,
            "last": e.range.last,
            "name": e.range.region.name,
            "offset": e.range.offset,
            "type": e.range_type,
        }
    return {
        "schema": "qshim/explain/1",
        "address-space": e.space,
        "address": e.addr,
        "root": e.root,
        "range": flat,
        "candidates": candidates,
        "ram-block": e.block,
        "block-offset": e.block_offset,
        "ram-addr": e.ram_addr,
        "host": e.host,
        "reason": e.reason,
    }


def _step_json(step: Step) -> JsonObject:
    value: JsonObject = {
        "how": step.how,
        "name": step.name,
        "start": step.start & U64_MAX,
        "size": step.size,
        "priority": step.priority,
        "type": step.type,
        "offset": step.offset,
        "enabled": step.enabled,
        "readonly": step.readonly,
    }
    for word, row in (("owner", step.owner), ("parent", step.parent)):
        if row is not None:
            value[word] = {"device": row.is_device, row.key: row.value}
    return value


_ADDRESS: JsonObject = {"type": "integer", "minimum": 0, "maximum": U64_MAX}
_MAYBE_ADDRESS: JsonObject = {"type": ["integer", "null"], "minimum": 0}
_WORD: JsonObject = {"type": "string"}
_MAYBE_WORD: JsonObject = {"type": ["string", "null"]}
_OWNER: JsonObject = {
    "type": "object",
    "properties": {"device": {"type": "boolean"}, "id": _WORD, "path": _WORD, "type": _WORD},
    "required": ["device"],
    "additionalProperties": False,
}
_STEP: JsonObject = {
    "type": "object",
    "properties": {
        "how": {"enum": ["root", "skipped", "child", "alias target"]},
        "name": _WORD,
        "start": {**_ADDRESS, "description": "of the region; behind an alias it may wrap below 0"},
        "size": {"type": "integer", "minimum": 0},
        "priority": {"type": "integer"},
        "type": _WORD,
        "offset": {**_ADDRESS, "description": "of the address in the region"},
        "enabled": {"type": "boolean"},
        "readonly": {"type": "boolean"},
        "owner": _OWNER,
        "parent": _OWNER,
    },
    "required": ["how", "name", "start", "size", "priority", "type", "offset", "enabled", "readonly"],
    "additionalProperties": False,
}
EXPLAIN_SCHEMA: JsonObject = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "qshim/explain/1",
    "description": "what `qshim explain --json` prints; integers reach 2^64: read them as exact integers",
    "type": "object",
    "properties": {
        "schema": {"const": "qshim/explain/1"},
        "address-space": _WORD,
        "address": _ADDRESS,
        "root": {**_MAYBE_WORD, "description": "the region that the space shows; null: nothing"},
        "range": {
            "type": ["object", "null"],
            "properties": {
                "start": _ADDRESS,
                "last": _ADDRESS,
                "name": _MAYBE_WORD,
                "offset": _ADDRESS,
                "type": _WORD,
            },
            "required": ["start", "last", "name", "offset", "type"],
            "additionalProperties": False,
        },
        "candidates": {
            "type": "array",
            "description": "what lies at the address, in the order in which rendering tries it",
            "items": {
                "type": "object",
                "properties": {
                    "verdict": {"enum": ["visible", "hidden", "disabled", "transparent"]},
                    "path": {"type": "array", "items": _STEP},
                },
                "required": ["verdict", "path"],
                "additionalProperties": False,
            },
        },
        "ram-block": {**_MAYBE_WORD, "description": "empty for a block without a name; null: no block"},
        "block-offset": _MAYBE_ADDRESS,
        "ram-addr": _MAYBE_ADDRESS,
        "host": {**_MAYBE_ADDRESS, "description": "host address in the process that answered"},
        "reason": {**_MAYBE_WORD, "description": "why there is no host address"},
    },
    "required": [
        "schema", "address-space", "address", "root", "range", "candidates", "ram-block", "block-offset", "ram-addr",
        "host", "reason",
    ],
    "additionalProperties": False,
}  # fmt: skip
"""JSON Schema of `explain_json`."""
