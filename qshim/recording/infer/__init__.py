"""From monitor text to a machine plan: what the text says, and what it implies (spec/recordings.md).

`info mtree` hides which regions terminate, the list order of siblings and inherited flags;
`info mtree -f -d` shows their effect. Each module here applies one group of rules to the nodes of
`nodes`, in the order in which `infer` calls them. Nothing is patched: texts that no machine can have
printed together raise `RecordingError` with the lines that contradict each other.
"""

from __future__ import annotations

from qshim.recording.infer.infer import infer, infer_rows

__all__ = ["infer", "infer_rows"]
