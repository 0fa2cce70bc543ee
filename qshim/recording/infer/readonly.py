"""Rule 9: on which region the readonly flag sits that a range inherits (spec/memory.md 6.2).

A range prints `rom` although its region is none: something on the way is read-only. In QEMU that is
nearly always an alias (PAM segments, the BIOS below 1 MiB), so the deepest alias is taken through
which nothing writable is seen, else the deepest region of that sort.
"""

from __future__ import annotations

from qshim.recording.infer.nodes import Node, contradiction
from qshim.recording.infer.sight import Piece
from qshim.recording.infer.terminate import winner_of

__all__ = ["settle_readonly"]


def settle_readonly(pieces: list[Piece]) -> None:
    """Set `readonly` of aliases and containers; check that `nv-` is inherited as printed.

    :raises RecordingError: a read-only range through regions that also show something writable.
    """
    wins = [(piece, winner_of(piece)) for piece in pieces if piece.shown is not None]
    writable: set[int] = set()
    for piece, winner in wins:
        assert piece.shown is not None
        if piece.shown.type != "rom":
            writable.update(map(id, winner.path))
        if piece.shown.nonvolatile != any(node.nonvolatile for node in winner.path):
            contradiction(
                "the range is non-volatile where the way to it is not, or the reverse", piece.shown, winner.node
            )
    for piece, winner in wins:
        assert piece.shown is not None
        if piece.shown.type != "rom" or any(node.readonly for node in winner.path):
            continue
        free = [node for node in winner.path if id(node) not in writable and not _would_print_rom(node)]
        aliases = [node for node in free if node.alias is not None]
        if not free:
            contradiction("a read-only range, but all regions on the way to it also show something writable",
                          piece.shown, winner.node)  # fmt: skip
        (aliases or free)[-1].readonly = True


def _would_print_rom(node: Node) -> bool:
    return node.alias is None and node.type == "ram"
