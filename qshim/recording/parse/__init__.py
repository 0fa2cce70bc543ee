"""QEMU's monitor text back to the rows of `qshim.rows`: the inverse of `qshim.views`.

Strict on purpose: a line that cannot be understood raises `RecordingError` with the text's name, the
line number and the line, because a line that was guessed would become memory that never existed.
Every function takes a whole text (any line ends) or its lines without line ends.
"""

from __future__ import annotations

from qshim.recording.parse.flat import iommu_starts, parse_flat
from qshim.recording.parse.qomtree import QomNode, parse_qom_tree
from qshim.recording.parse.ramblock import parse_blocks
from qshim.recording.parse.tree import parse_tree

__all__ = ["QomNode", "iommu_starts", "parse_blocks", "parse_flat", "parse_qom_tree", "parse_tree"]
