"""The fixtures as somebody else's tests see them."""

from __future__ import annotations

from pathlib import Path

import pytest

from qshim.cli import main
from tests.support.fake_qemu import install

pytest_plugins = ["pytester"]

TESTS = """
import pytest

from qshim.errors import CompareError

async def test_same(crosscheck):
    report = await crosscheck(["-M", "none"], qemu={qemu!r})
    assert report.verdict == "same"
    assert report.compared

async def test_differs(crosscheck):
    report = await crosscheck(["-M", "none"], qemu={qemu!r}, against={other!r})
    assert report.verdict == "same"

async def test_refuses(crosscheck):
    report = await crosscheck(["-M", "none"], qemu={refusing!r})
    assert report.verdict == "same"

async def test_missing(crosscheck):
    with pytest.raises(CompareError, match="no program"):
        await crosscheck(qemu="/nonexistent/qemu")

def test_waited_for_elsewhere(crosscheck):
    import asyncio

    assert asyncio.run(crosscheck(["-M", "none"], qemu={qemu!r})).exit_status == 0

def test_other_failures_say_nothing(qemu):
    assert False
"""


def test_what_a_cross_check_found_is_printed_with_the_failure(tmp_path: Path, pytester: pytest.Pytester) -> None:
    qemu = str(install(tmp_path))
    assert main(["record", "--qemu", qemu, "-o", str(tmp_path / "o.qrec"), "--", "-M", "none"]) == 0
    other = tmp_path / "o.qrec"
    other.write_text(other.read_text().replace(": system ", ": other "))
    (tmp_path / "no").mkdir()
    refusing = str(install(tmp_path / "no", refuse="qemu-fake: no such machine\n"))
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(TESTS.format(qemu=qemu, other=str(other), refusing=refusing))
    output = pytester.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider").stdout.str()
    assert "3 failed, 3 passed" in output, output
    assert output.count("- qshim crosscheck: ") == 2
    assert "- qshim crosscheck: differs -" in output
    assert "region-renamed (1): another name at the same place" in output
    assert "'system' is called 'other'" in output
    assert "- qshim crosscheck: refused by one -" in output
    assert "refused by one: no such machine" in output
