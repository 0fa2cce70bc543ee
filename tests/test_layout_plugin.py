"""The layout fixtures as somebody else's tests see them."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest

@pytest.mark.parametrize("board", ["pc-i440fx-10.0", "pc-q35-10.0"])
def test_board(assert_layout, board):
    assert_layout(board, f"-M {board} -nodefaults -m SIZE", version="10.0")

def test_rows(layout):
    assert layout(["-M", "isapc", "-nodefaults"], version="7.2").layout.blocks[0].name == "pc.ram"
"""


def ran(pytester: pytest.Pytester, *options: str) -> tuple[dict[str, int], str]:
    result = pytester.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider", *options, timeout=120)
    return result.parseoutcomes(), result.stdout.str()


def test_goldens_are_written_compared_and_accepted(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
                     "layout_dir = golden\n")  # fmt: skip
    path = pytester.makepyfile(TESTS.replace("SIZE", "1G"))
    outcome, output = ran(pytester)
    assert outcome == {"failed": 2, "passed": 1}, output
    assert "pc-q35-10.0.layout; pytest --layout-update writes it" in output
    assert ran(pytester, "--layout-update")[0] == {"passed": 3}
    assert sorted(p.name for p in (pytester.path / "golden").iterdir()) == [
        "pc-i440fx-10.0.layout", "pc-q35-10.0.layout",
    ]  # fmt: skip
    assert ran(pytester)[0] == {"passed": 3}
    path.write_text(path.read_text().replace("1G", "2G"))
    outcome, output = ran(pytester)
    assert outcome == {"failed": 2, "passed": 1}
    assert "incoming migration is refused: Size mismatch: pc.ram: 0x40000000 != 0x80000000" in output
    golden = pytester.path / "golden" / "pc-q35-10.0.layout"
    golden.write_text(golden.read_text().replace("0x40000000", "0x80000000"))
    assert "its digest does not fit" in ran(pytester)[1]


@pytest.mark.skipif(find_spec("xdist") is None, reason="pytest-xdist is not installed, so workers were not tried")
def test_workers_write_side_by_side(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(TESTS.replace("SIZE", "1G"))
    assert ran(pytester, "-n", "2", "--layout-update")[0]["passed"] == 3
    assert ran(pytester, "-n", "2")[0]["passed"] == 3
    assert sorted(p.suffix for p in (pytester.path / "layouts").iterdir()) == [".layout", ".layout"]
