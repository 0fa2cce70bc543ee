r"""Taking out of a capture what differs between two processes of one machine (spec/memory.md 6.9).

Two processes print the groups of `info mtree` and the views of `info mtree -f` in the order of a hash
of host pointers. Here groups and views are put in the order of their text. The `memory-region:`
sections of the tree follow the groups: they stand in the order in which aliases first name them, and
the inference reads meaning from that order (which of two equally named sections an alias shows). So
they are not sorted but put where they would have been printed had the groups come in canonical
order. Where sections share a name, the alias lines are assigned to them in the way that the captured
order allows and that fits type, size and owner best. A tree whose sections cannot all be reached
that way (the text hides disabled aliases, or it was edited) keeps its captured order.

All texts of one capture are permuted alike, after the text that says most.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from qshim.recording.format import FLAT_COMMAND, RAMBLOCK_COMMAND, TREE_COMMAND

__all__ = ["canonical_texts", "masked_lines", "masked_value"]

Lines = tuple[str, ...]

_TREES = (TREE_COMMAND, "info mtree -D", "info mtree -o", "info mtree", "info mtree -d")
_FLATS = (FLAT_COMMAND, "info mtree -f -d -o -D", "info mtree -f -d", "info mtree -f -o", "info mtree -f")
_SPACE, _SECTION, _VIEW = "address-space: ", "memory-region: ", "FlatView #"
_REGION = re.compile(r"(?:\[DETECTED OVERFLOW!\] )? +([0-9a-f]{16})-([0-9a-f]{16}) \(prio -?\d+, (\S+)\): (.*)")
_OWNER = re.compile(r"( (?:owner|parent):\{.*| orphan)$")
_SHOWN = re.compile(r" ([0-9a-f]{16})-([0-9a-f]{16})$")
_HOST = re.compile(r" 0x[0-9a-f]{16}(  r[wo])$")
_THREAD = re.compile(r"\bthread_id=\d+")
# an id that QEMU made up: a counter and two random digits
_MADE_UP = re.compile(r"(#(?:block|chr|net|qdev)\d+)\d\d\b")


def canonical_texts(texts: Mapping[str, Sequence[str]]) -> dict[str, Lines]:
    """The HMP *texts* of one process without hash orders, MRU tags, host addresses and thread ids.

    A host address in `info ramblock` becomes 0. Texts of other commands come back as they are.
    """
    result = {command: masked_lines(command, lines) for command, lines in texts.items()}
    _permute(result, _TREES, _tree_blocks, _tree_order)
    _permute(result, _FLATS, _flat_blocks, _flat_order)
    for command in set(_FLATS) & set(result):
        result[command] = _renumbered(result[command])
    return result


def masked_lines(command: str, lines: Sequence[str]) -> Lines:
    """*lines* that *command* printed, with what differs per process masked; their order is kept."""
    if command in _FLATS:
        return tuple(line.removesuffix(" [MRU]") for line in lines)
    if command == RAMBLOCK_COMMAND:
        return tuple(_HOST.sub(rf" 0x{0:016x}\1", line) for line in lines)
    if command in _TREES:
        return tuple(lines)
    if command == "info cpus":
        return tuple(_THREAD.sub("thread_id=0", line) for line in lines)
    return tuple(_MADE_UP.sub(r"\1", line) for line in lines)


def masked_value(command: str, value: object) -> object:
    """What the QMP *command* returned, with thread ids and host addresses as 0, and random digits dropped."""
    value = _without_random(value)
    if command in ("query-cpus-fast", "query-iothreads") and isinstance(value, list):
        return [{**entry, "thread-id": 0} if "thread-id" in entry else entry for entry in value]
    if command == "x-query-ramblock" and isinstance(value, dict):
        text = str(value.get("human-readable-text", ""))
        masked = masked_lines(RAMBLOCK_COMMAND, text.split("\n"))
        return {**value, "human-readable-text": "\n".join(masked)}
    return value


def _without_random(value: object) -> object:
    if isinstance(value, str):
        return _MADE_UP.sub(r"\1", value)
    if isinstance(value, list):
        return [_without_random(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _without_random(entry) for key, entry in value.items()}
    return value


def _permute(
    texts: dict[str, Lines],
    family: Sequence[str],
    blocks_of: Callable[[Lines], list[Lines]],
    order_of: Callable[[list[Lines], list[Lines]], list[int]],
) -> None:
    """Bring the texts of one family into the order that its richest member asks for."""
    split = {command: blocks_of(texts[command]) for command in family if command in texts}
    # equal counts mean equal order: within one process the hash order does not change
    for count in {len(blocks) for blocks in split.values()}:
        alike = {command: blocks for command, blocks in split.items() if len(blocks) == count}
        richest, *others = alike.values()
        ties = [tuple(line for blocks in others for line in blocks[index]) for index in range(count)]
        order = order_of(richest, ties)
        for command, blocks in alike.items():
            texts[command] = tuple(line for index in order for line in blocks[index])


# --- flat views ------------------------------------------------------------------------------------


def _flat_blocks(lines: Lines) -> list[Lines]:
    return _split(lines, lambda line, _: line.startswith(_VIEW))


def _flat_order(blocks: list[Lines], ties: list[Lines]) -> list[int]:
    if not all(block[0].startswith(_VIEW) for block in blocks):
        return list(range(len(blocks)))
    return sorted(range(len(blocks)), key=lambda index: (blocks[index][1:], ties[index]))


def _renumbered(lines: Lines) -> Lines:
    result, number = [], 0
    for line in lines:
        if line.startswith(_VIEW):
            line, number = f"{_VIEW}{number}", number + 1
        result.append(line)
    return tuple(result)


# --- trees -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a region line says that helps to tell twins apart."""

    type: str
    size: int
    """0 when unknown."""
    owner: str


@dataclass(frozen=True, slots=True)
class _Alias:
    target: str
    last: int
    """Last offset in the target that the alias shows."""
    shape: _Shape


def _tree_blocks(lines: Lines) -> list[Lines]:
    def starts(line: str, before: str) -> bool:
        return line.startswith(_SECTION) or (line.startswith(_SPACE) and not before.startswith(_SPACE))

    return _split(lines, starts)


def _tree_order(blocks: list[Lines], ties: list[Lines]) -> list[int]:
    groups = [index for index, block in enumerate(blocks) if block[0].startswith(_SPACE)]
    sections = [index for index, block in enumerate(blocks) if block[0].startswith(_SECTION)]
    captured = list(range(len(blocks)))
    if groups + sections != captured:
        return captured
    names = [blocks[index][0].removeprefix(_SECTION) for index in sections]
    aliases = [_aliases(block, frozenset(names)) for block in blocks]
    assigned = _assign(names, [_first_shape(blocks[index]) for index in sections], aliases, len(groups))
    if assigned is None:
        return captured
    groups.sort(key=lambda index: (blocks[index], ties[index], [blocks[sections[s]] for s in assigned[index]]))
    order, queued = list(groups), set(groups)
    for index in order:  # grows while it is walked, like QEMU's own queue
        for section in assigned[index]:
            if sections[section] not in queued:
                queued.add(sections[section])
                order.append(sections[section])
    return order if len(order) == len(blocks) else captured


def _assign(
    names: list[str], shapes: list[_Shape | None], aliases: list[list[_Alias]], groups: int
) -> list[list[int]] | None:
    """For each block the section that each of its aliases shows; None when the order allows no answer.

    A section is printed where an alias first names it, so the only open question at each alias is
    whether its target is the next section or an earlier one (spec/recordings.md 3, rule 4). *best*
    holds, for each number of sections named so far, the score of the best way to get there.
    """
    lines = [(block, alias) for block, entries in enumerate(aliases) for alias in entries]
    best: dict[int, float] = {0: 0.0}
    steps: list[dict[int, tuple[int, int]]] = []
    for block, alias in lines:
        reached: dict[int, tuple[float, int, int]] = {}
        for count, score in best.items():
            if block >= groups + count:
                continue  # a section cannot be printed before something named it
            options = [(_fit(alias, shapes[s]), count, s) for s in range(count) if names[s] == alias.target]
            options = options and [max(options)]
            if count < len(names) and names[count] == alias.target:
                options.append((_fit(alias, shapes[count]) + 0.5, count + 1, count))
            for fit, after, section in options:
                if after not in reached or score + fit > reached[after][0]:
                    reached[after] = (score + fit, count, section)
        best = {count: score for count, (score, _, _) in reached.items()}
        steps.append({count: (before, section) for count, (_, before, section) in reached.items()})
    if len(names) not in best:
        return None
    result: list[list[int]] = [[] for _ in aliases]
    count = len(names)
    for (block, _), step in zip(reversed(lines), reversed(steps), strict=True):
        count, section = step[count]
        result[block].insert(0, section)
    return result


def _fit(alias: _Alias, shape: _Shape | None) -> float:
    if shape is None:
        return 0.0
    fits = not shape.size or alias.last < shape.size
    near = _nearness(alias.shape.owner, shape.owner)
    return 4.0 * fits + 2.0 * (alias.shape.type == shape.type) + 1.0 * (alias.shape.owner == shape.owner) + near


def _nearness(left: str, right: str) -> float:
    """How much of the way to two owners is common, 0 to 3.6: a device's aliases mostly show its own regions."""
    common = 0
    for a, b in zip(left.rstrip("}").split("/"), right.rstrip("}").split("/"), strict=False):
        if a != b:
            break
        common += 1
    return 0.6 * min(common, 6)


def _aliases(block: Lines, names: frozenset[str]) -> list[_Alias]:
    result = []
    for line in block:
        match = _REGION.match(line)
        if match is None or not match[4].startswith("alias "):
            continue
        rest, owner = _split_owner(match[4])
        shown = _SHOWN.search(rest.removesuffix(" [disabled]"))
        if shown is None:
            continue
        head = rest[: shown.start()]
        # a name may itself hold " @", so only a printed section decides where the target begins
        cut = head.find(" @")
        while cut >= 0 and head[cut + 2 :] not in names:
            cut = head.find(" @", cut + 1)
        if cut >= 0:
            shape = _Shape(match[3].removeprefix("nv-"), 0, owner)
            result.append(_Alias(head[cut + 2 :], int(shown[2], 16), shape))
    return result


def _first_shape(block: Lines) -> _Shape | None:
    match = _REGION.match(block[1]) if len(block) > 1 else None
    if match is None:
        return None
    size = int(match[2], 16) - int(match[1], 16) + 1
    return _Shape(match[3].removeprefix("nv-"), max(size, 0), _split_owner(match[4])[1])


def _split_owner(rest: str) -> tuple[str, str]:
    match = _OWNER.search(rest)
    return (rest[: match.start()], match[1]) if match else (rest, "")


def _split(lines: Lines, starts: Callable[[str, str], bool]) -> list[Lines]:
    blocks: list[list[str]] = []
    before = ""
    for line in lines:
        if starts(line, before) or not blocks:
            blocks.append([])
        blocks[-1].append(line)
        before = line
    return [tuple(block) for block in blocks]
