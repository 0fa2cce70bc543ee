"""For a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from qshim.reports.findings.model import Checked

__all__ = ["render"]


def render(checked: Checked) -> str:
    """The findings by layout, and a verdict."""
    return "".join(f"{line}\n" for line in _lines(checked))


def _lines(checked: Checked) -> Iterator[str]:
    for place in checked.places():
        found = checked.of(place)
        if found:
            yield place
        for f in found:
            yield f"  {'waived' if f.waived is not None else f.severity} [{f.rule}] {f.what}  #{f.fingerprint}"
            yield f"    {f.consequence}"
            if f.waived is not None:
                yield f"    waived: {f.waived}"
            if f.before is not None and f.after is not None:
                yield f"    - {f.before}"
                yield f"    + {f.after}"
    for failed in checked.failed:
        yield f"{failed.layout}\n  could not be had: {failed.reason}"
    yield f"{checked.verdict}: {checked.summary()}"
