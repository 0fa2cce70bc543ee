"""How reading a command line ends when it does not end in a machine: refused, or answered with a help text."""

from __future__ import annotations

from qshim.errors import UsageError

__all__ = ["Answered", "OptionError"]


class OptionError(UsageError):
    """QEMU refuses the command line: *reports*, each with its option in front, as QEMU words it.

    A report may have further lines; only its first one gets the program's name.
    """

    def __init__(self, *reports: str) -> None:
        super().__init__("\n".join(reports))
        self.reports = reports
        self.warnings: tuple[str, ...] = ()
        """Said before it."""


class Answered(Exception):
    """The command line asked for a text (`-M help`): print it, and exit with *status*."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.text = text
        self.status = status
