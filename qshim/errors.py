"""The one error tree. Whoever calls qshim wrongly gets a `QshimError`; our own faults assert.

    QshimError
     +- UsageError        the command line or a call is wrong                       exit 2
     +- MemoryModelError  a region, block or address space cannot be as asked       exit 1
     +- RecordingError    a recording cannot be read, or contradicts itself         exit 3
     +- CompareError      a comparison could not be made (QEMU did not start ...)   exit 3
"""

from __future__ import annotations

__all__ = ["CompareError", "MemoryModelError", "QshimError", "RecordingError", "UsageError"]


class QshimError(Exception):
    """Base of everything a caller can cause; its text is one sentence for a person."""

    exit_status = 1


class UsageError(QshimError):
    """A wrong option, flag or argument; the text names it and says what would be right."""

    exit_status = 2


class MemoryModelError(QshimError):
    """The memory model refuses a change; the text names both parties and the numbers."""


class RecordingError(QshimError):
    """A recording is unreadable, incomplete, or two of its texts contradict each other."""

    exit_status = 3


class CompareError(QshimError):
    """A comparison could not be carried out, so nothing is known about equality."""

    exit_status = 3
