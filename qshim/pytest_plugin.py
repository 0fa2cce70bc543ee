"""Fixtures for other people's tests; pytest finds them by itself when qshim is installed."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from qshim.reports.model import Report
    from qshim.testing import running

__all__ = ["CrossCheck", "crosscheck", "pytest_runtest_makereport", "qemu"]

_REPORTS = pytest.StashKey[list["Report"]]()


class CrossCheck(Protocol):
    """What the fixture `crosscheck` is: `qshim.crosscheck.crosscheck`, whose reports a failing test prints."""

    def __call__(self, argv: Sequence[str] = (), **options: Any) -> Awaitable[Report]:
        """Compare; see `qshim.crosscheck.crosscheck` for the options and the errors."""


@pytest.fixture
def qemu() -> type[running]:
    """Makes served machines: `async with qemu("q35") as vm`, or `with qemu(["-M", "pc"]) as vm` (`qshim.running`)."""
    from qshim.testing import running

    return running


@pytest.fixture
def crosscheck(request: pytest.FixtureRequest) -> CrossCheck:
    """Compares machines: `report = await crosscheck(["-M", "q35"], qemu=BIN)`, then `assert report.verdict == "same"`.

    Options are those of `qshim.crosscheck.crosscheck`. When the test fails, the differences are printed with
    it. A QEMU that cannot be compared raises `CompareError`, or gives another verdict: it is never `same`.
    """
    made = request.node.stash.setdefault(_REPORTS, [])

    async def check(argv: Sequence[str] = (), **options: Any) -> Report:
        from qshim.crosscheck import crosscheck

        report = await crosscheck(argv, **options)
        made.append(report)
        return report

    return check


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the cross-checks of a failing test found."""
    result = yield
    if result.when == "call" and result.failed:
        from qshim.reports import rendered

        for report in item.stash.get(_REPORTS, []):
            result.sections.append((f"qshim crosscheck: {report.verdict}", rendered(report, "text")))
    return result
