"""What a check found, for all formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from qshim.layout.rules import SEVERITIES, Finding, at_least

__all__ = ["Checked", "Failed"]


class Failed(NamedTuple):
    """A layout that could not be had."""

    layout: str
    reason: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of one `qshim check`."""

    findings: tuple[Finding, ...]
    layouts: tuple[str, ...]
    """Names of the layouts that were built and judged."""
    failed: tuple[Failed, ...] = ()
    fail_on: str = "warning"
    config: str = "qshim.toml"
    """Where annotations point to."""
    goldens: str = "layouts"

    @property
    def counted(self) -> tuple[Finding, ...]:
        """Findings that nobody waived, as bad as `fail_on` or worse."""
        return tuple(f for f in self.findings if f.waived is None and at_least(f.severity, self.fail_on))

    @property
    def exit_status(self) -> int:
        """0 nothing counts, 1 findings, 3 some layout could not be had."""
        return 3 if self.failed else int(bool(self.counted))

    @property
    def verdict(self) -> str:
        """`clean`, `findings` or `incomplete`."""
        return {0: "clean", 1: "findings", 3: "incomplete"}[self.exit_status]

    def of(self, layout: str) -> Sequence[Finding]:
        """The findings in one layout, the worst first."""
        order = list(SEVERITIES)
        return sorted((f for f in self.findings if f.layout == layout), key=lambda f: order.index(f.severity))

    def places(self) -> tuple[str, ...]:
        """Layouts, and whatever else findings are in, in the order of the config."""
        return tuple(dict.fromkeys((*self.layouts, *(f.layout for f in self.findings))))

    def file_of(self, finding: Finding) -> str:
        """The file that an annotation of *finding* is shown at."""
        return f"{self.goldens}/{finding.layout}.layout" if finding.layout in self.layouts else self.config

    def summary(self) -> str:
        """One sentence about all of it."""
        waived = sum(f.waived is not None for f in self.findings)
        counts = [
            f"{count} {severity}{'s' * (count != 1)}"
            for severity in SEVERITIES
            if (count := sum(f.severity == severity and f.waived is None for f in self.findings))
        ]
        counts += [f"{waived} waived"] * bool(waived)
        failed = f", {len(self.failed)} could not be had" if self.failed else ""
        return f"{len(self.layouts)} layouts checked{failed}: {', '.join(counts) or 'no findings'}"
