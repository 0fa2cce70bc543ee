"""Whether QEMU would accept an incoming migration as far as its RAM blocks go, and in which words it would refuse.

The destination looks at what the source sends, in the order of sending: first the machine type, then each RAM
block, which it looks up by name. A block that the source does not have keeps its contents and is no obstacle; order
and offsets do not matter. A length must be equal, unless the destination's block is resizeable: then it must not
exceed its maximum. Page sizes matter only with postcopy-ram, places in guest space only with x-ignore-shared.
Seen in real migrations between QEMU 7.2, 10.0 and 11.1 (tests/layout/test_real_migrations.py).

Devices have a state besides their memory, and a different device can refuse where RAM blocks agree; that is
what `-dump-vmstate` and QEMU's vmstate-static-checker.py are for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from qshim.layout.snapshot import Snapshot
from qshim.layout.stream import MigrationStream, SentBlock
from qshim.units import hex_plain
from qshim.versions import DEFAULT, Quirks, quirks_for

__all__ = ["VERDICTS", "BlockVerdict", "Migration", "predict", "sent_by"]

VERDICTS = {"accepted": 0, "refused": 1, "unknown": 3}
"""Verdict -> exit status."""


class BlockVerdict(NamedTuple):
    """What becomes of one thing that the destination checks."""

    name: str
    """The RAM block; empty for what concerns the whole machine."""
    verdict: str
    """A key of `VERDICTS`."""
    why: str
    """One sentence."""
    error: str | None = None
    """How the destination says it, where it refuses."""


@dataclass(frozen=True, slots=True)
class Migration:
    """The prediction for one migration."""

    checks: tuple[BlockVerdict, ...]
    """In the order in which the destination makes them."""
    errors: tuple[str, ...]
    """The lines that the destination prints, without the program's name; empty unless it refuses."""

    @property
    def verdict(self) -> str:
        """`refused` if one thing is, else `unknown` if one is, else `accepted`."""
        every = {check.verdict for check in self.checks}
        return next((verdict for verdict in ("refused", "unknown") if verdict in every), "accepted")

    @property
    def exit_status(self) -> int:
        """0 accepted, 1 refused, 3 unknown."""
        return VERDICTS[self.verdict]


def sent_by(source: Snapshot) -> tuple[SentBlock, ...]:
    """The RAM blocks that a machine of this layout sends: those with a name, largest first."""
    places = _places(source)
    return tuple(
        SentBlock(block.name, block.used_length, block.page_size, places.get(block.name))
        for block in source.layout.blocks
        if block.name
    )


def predict(
    source: Snapshot | MigrationStream,
    destination: Snapshot,
    *,
    ignore_shared: bool = False,
    postcopy: bool = False,
) -> Migration:
    """What the *destination* does with a migration from *source*.

    :param ignore_shared: both sides have the capability x-ignore-shared (a stream says itself whether it had).
    :param postcopy: both sides have the capability postcopy-ram.
    """
    checks: list[BlockVerdict] = []
    machine = _machine(source, destination)
    if machine is not None:
        checks.append(machine)
    if isinstance(source, MigrationStream):
        blocks = source.blocks
        checks += _capabilities(source, ignore_shared)
    else:
        blocks = sent_by(source)
        if postcopy:
            checks += _page_sizes(blocks, destination)
    for block in blocks:
        checks.append(_block(block, destination, ignore_shared, postcopy))
    sent = {block.name for block in blocks}
    for row in destination.layout.blocks:
        if row.name and row.name not in sent:
            why = "only the destination has it; it keeps its contents"
            checks.append(BlockVerdict(row.name, "accepted", why))
    return Migration(tuple(checks), _errors(checks, _quirks(destination)))


def _quirks(destination: Snapshot) -> Quirks:
    if destination.qemu is None:
        return DEFAULT
    major, _, minor = destination.qemu.partition(".")
    return quirks_for(int(major), int(minor))[0]


def _machine(source: Snapshot | MigrationStream, destination: Snapshot) -> BlockVerdict | None:
    ours, theirs = destination.machine, source.machine
    if ours is None or theirs is None or ours == theirs:
        return None
    error = f"Machine type received is '{theirs}' and local is '{ours}'"
    return BlockVerdict("", "refused", f"the machine types are {theirs} and {ours}", error)


def _capabilities(source: MigrationStream, ignore_shared: bool) -> Iterator[BlockVerdict]:
    received = "x-ignore-shared" in source.capabilities
    if received != ignore_shared:
        words = ("off", "on")
        error = f"Capability x-ignore-shared is {words[ignore_shared]}, but received capability is {words[received]}"
        why = f"x-ignore-shared was {words[received]} at the source and is {words[ignore_shared]} here"
        yield BlockVerdict("", "refused", why, error)


def _page_sizes(blocks: Sequence[SentBlock], destination: Snapshot) -> Iterator[BlockVerdict]:
    """With postcopy-ram the sets of page sizes come first."""
    theirs = ours = 0
    for block in blocks:
        theirs |= block.page_size or 0
    for row in destination.layout.blocks:
        ours |= row.page_size if row.name else 0
    if theirs != ours:
        error = f"Postcopy needs matching RAM page sizes (s={theirs:x} d={ours:x})"
        yield BlockVerdict("", "refused", "RAM has other page sizes, which postcopy-ram does not allow", error)


def _block(block: SentBlock, destination: Snapshot, ignore_shared: bool, postcopy: bool) -> BlockVerdict:
    name = block.name
    found = [
        (row, note) for row, note in zip(destination.layout.blocks, destination.notes, strict=True) if row.name == name
    ]
    if not found:
        error = f'Unknown ramblock "{name}", cannot accept migration'
        return BlockVerdict(name, "refused", "the destination has no such block", error)
    row, note = found[0]
    sent, here, most = block.used_length, row.used_length, row.max_length
    if sent != here:
        lengths = f"{hex_plain(sent)} bytes are sent, the destination has {hex_plain(here)}"
        if note.resizeable is False:
            error = f"Size mismatch: {name}: {hex_plain(sent)} != {hex_plain(here)}: Invalid argument"
            return BlockVerdict(name, "refused", f"{lengths}, and cannot resize it", error)
        if note.resizeable is None:
            return BlockVerdict(name, "unknown", f"{lengths}; nobody knows whether it can resize it")
        if sent > most:
            error = f"Size too large: {name}: {hex_plain(sent)} > {hex_plain(most)}: Invalid argument"
            return BlockVerdict(name, "refused", f"{lengths}, {hex_plain(most)} at most", error)
    if postcopy and block.page_size is not None and block.page_size != row.page_size:
        error = f"Mismatched RAM page size {name} (local) {row.page_size} != {block.page_size}"
        return BlockVerdict(name, "refused", "its pages have another size, which postcopy-ram does not allow", error)
    if ignore_shared and note.shared:
        local = _places(destination).get(name)
        if local is None or block.address is None:
            return BlockVerdict(name, "unknown", "its contents are not sent, and nobody knows where it is mapped")
        if local != block.address:
            error = f"Mismatched GPAs for block {name} {block.address}!= {local}"
            return BlockVerdict(name, "refused", "its contents are not sent, and it is mapped elsewhere", error)
    if sent != here:
        return BlockVerdict(name, "accepted", f"{lengths}, and resizes it")
    return BlockVerdict(name, "accepted", "equal")


def _places(snapshot: Snapshot) -> dict[str, int]:
    """Block -> where its region is in its container; 0 for a region without one."""
    rows = [r for g in snapshot.layout.tree.groups for r in g.regions]
    rows += [r for t in snapshot.layout.tree.targets for r in t.regions]
    places: dict[str, int] = {}
    starts: list[int] = []
    for row in rows:
        del starts[row.level - 1 :]
        if row.alias is None and row.type in ("ram", "rom", "romd"):
            places[row.name] = row.start - starts[-1] if starts else 0
        starts.append(row.start)
    return places


def _errors(checks: Sequence[BlockVerdict], quirks: Quirks) -> tuple[str, ...]:
    first = next((check for check in checks if check.error is not None), None)
    if first is None or first.error is None:
        return ()
    if not first.name:
        if quirks.migration_error_chain and first.error.startswith("Machine type"):
            return (
                "load of migration failed: Invalid argument: post load hook failed for: configuration, "
                f"version_id: 1, minimum_version: 0: {first.error}",
            )
        return (first.error, *_ENDS[False][1:])
    return (first.error, *_ENDS[quirks.migration_error_chain])


_ENDS = {
    False: (
        "error while loading state for instance 0x0 of device 'ram'",
        "load of migration failed: Invalid argument",
    ),
    True: (
        "load of migration failed: Invalid argument: error while loading state for instance 0x0 of device 'ram': "
        "Failed to load vmstate version_id: 4, ret: -22",
    ),
}
"""What follows the reason, by whether errors are chained."""
