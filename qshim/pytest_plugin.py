"""Fixtures for other people's tests; pytest finds them by itself when qshim is installed."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from qshim.layout.snapshot import Snapshot
    from qshim.reports.model import Report
    from qshim.testing import running

__all__ = [
    "AssertLayout", "CrossCheck", "Layouts", "assert_layout", "crosscheck", "layout", "pytest_addoption",
    "pytest_runtest_makereport", "qemu",
]  # fmt: skip

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


class Layouts(Protocol):
    """What the fixture `layout` is."""

    def __call__(self, argv: str | Sequence[str], *, version: str | None = None, target: str = "x86_64") -> Snapshot:
        """The memory layout of a machine of our own with QEMU's options *argv*, as QEMU *version* builds it."""


class AssertLayout(Protocol):
    """What the fixture `assert_layout` is."""

    def __call__(
        self, name: str, argv: str | Sequence[str], *, version: str | None = None, target: str = "x86_64",
        fail_on: str = "warning",
    ) -> Snapshot:  # fmt: skip
        """Fail unless the layout of *argv* is what the golden *name* says, as far as rules count from *fail_on* on."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--layout-update` and the ini option `layout_dir`."""
    parser.getgroup("qshim").addoption(
        "--layout-update", action="store_true", help="write the goldens of assert_layout instead of comparing"
    )
    parser.addini("layout_dir", "directory of the goldens of assert_layout, from the root directory", default="layouts")


@pytest.fixture
def layout() -> Layouts:
    """Makes memory layouts: `layout("-M q35 -m 4G", version="10.0")` is a `qshim.layout.snapshot.Snapshot`."""

    def make(argv: str | Sequence[str], *, version: str | None = None, target: str = "x86_64") -> Snapshot:
        import shlex

        from qshim.cli.crosscheck import machine_from_argv
        from qshim.crosscheck.snapshots import of_options

        words = shlex.split(argv) if isinstance(argv, str) else argv
        return of_options(words, machine_from_argv, version, target)

    return make


@pytest.fixture
def assert_layout(request: pytest.FixtureRequest, layout: Layouts) -> AssertLayout:
    """Compares a layout with a golden: `assert_layout("q35", "-M pc-q35-10.0 -m 4G", version="10.0")`.

    The golden is NAME.layout in the ini option `layout_dir`; `--layout-update` writes it, whole or not at all, so that
    workers of pytest-xdist may do so side by side. A golden that is missing or damaged fails the test.
    """
    folder = request.config.rootpath / str(request.config.getini("layout_dir"))
    update = bool(request.config.getoption("--layout-update"))

    def check(
        name: str, argv: str | Sequence[str], *, version: str | None = None, target: str = "x86_64",
        fail_on: str = "warning",
    ) -> Snapshot:  # fmt: skip
        __tracebackhide__ = True
        from qshim.cli.snapshot import write_text
        from qshim.crosscheck.snapshots import stored_snapshot
        from qshim.errors import QshimError
        from qshim.layout.rules import judge
        from qshim.layout.snapshot_text import render
        from qshim.reports.findings import Checked, rendered

        now = layout(argv, version=version, target=target)
        golden = folder / f"{name}.layout"
        if update:
            folder.mkdir(parents=True, exist_ok=True)
            write_text(str(golden), render(now))
            return now
        if not golden.exists():
            pytest.fail(f"there is no {golden}; pytest --layout-update writes it", pytrace=False)
        try:
            before = stored_snapshot(str(golden))
        except QshimError as error:
            pytest.fail(str(error), pytrace=False)
        checked = Checked(tuple(judge(name, before, now)), (name,), fail_on=fail_on)
        if checked.exit_status:
            pytest.fail(f"{rendered(checked, 'text')}pytest --layout-update accepts it", pytrace=False)
        return now

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
