"""Steps on both sides: our model changes as the real one does."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from qshim.cli import main
from qshim.cli.crosscheck import board_from_argv
from qshim.crosscheck.steps import read_steps, replay
from qshim.edge.capture import memory_now
from qshim.edge.real_qemu import started
from qshim.errors import CompareError, UsageError
from tests.support.fake_qemu import install
from tests.support.oracle import LABELS, needs

STEPS = """
# backends come and go: offsets, order and names of the blocks (memory.md E6)
object_add memory-backend-ram,id=m1,size=16M
object_add memory-backend-ram,id=m2,size=5M
{"execute": "object-add", "arguments": {"qom-type": "memory-backend-ram", "id": "m3", "size": 1048577}}
object_add memory-backend-ram,id=m4,size=1M
object_add memory-backend-ram,id=m5,size=64M
object_del m2
object_add memory-backend-ram,id=m6,size=3M
object_add memory-backend-ram,id=m7,size=1M
object_add memory-backend-ram,id=m7,size=1M
object_add memory-backend-ram,id=m8
{"execute": "object-del", "arguments": {"id": "nosuch"}}
object_del pc.ram
info memdev
{"execute": "query-memdev"}
info ramblock
gpa2hva 0x1000
gpa2hva 0x100000000
info mtree -f -x
"""


@pytest.mark.parametrize("label", LABELS)
async def test_backends_come_and_go_as_in_the_real_one(label: str) -> None:
    report = await replay(["-M", "q35", "-m", "64M"], needs(label, "x86_64"), read_steps(STEPS, "steps"))
    assert report.changes == ()
    assert report.verdict == "same"


@pytest.mark.parametrize("label", LABELS)
async def test_random_backends(label: str) -> None:
    """The offset search of the real one, on lengths and gaps that nobody chose."""
    dice = random.Random(label)
    steps: list[str] = []
    alive: list[str] = []
    for number in range(20):
        if alive and dice.random() < 0.4:
            steps.append(f"object_del {alive.pop(dice.randrange(len(alive)))}")
        else:
            size = dice.choice([dice.randrange(1, 1 << 14), dice.randrange(1, 1 << 24), 1 << dice.randrange(12, 24)])
            steps.append(f"object_add memory-backend-ram,id=b{number},size={size}B")
            alive.append(f"b{number}")
    report = await replay(["-M", "pc", "-m", "32M"], needs(label, "x86_64"), steps)
    assert report.changes == (), steps


async def test_a_guest_that_runs_is_noticed() -> None:
    """Nothing executes here, so what the firmware does is a difference."""
    steps = ["cont", *["info status"] * 200]
    report = await replay(["-M", "pc"], needs("7.2", "x86_64"), steps)
    assert report.verdict == "differs"
    assert {"region-enabled-changed", "range-changed"} & {change.kind for change in report.changes}
    assert report.changes[0].place.startswith("after step ")


async def test_another_reply_is_named(tmp_path: Path) -> None:
    report = await replay([], str(install(tmp_path)), ["info name", "info mtree"])
    assert [change.kind for change in report.changes] == ["reply-changed"]
    assert report.changes[0].place == "after step 1 (info name)"
    assert report.changes[0].left == "unknown command: 'info name'"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("# nothing\n\n", "s holds no step"),
        ("{nope\n", "is no JSON"),
        ('{"exec": "stop"}\n', "is no QMP command"),
        ('{"execute": "stop", "id": 1}\n', "is no QMP command"),
    ],
)
def test_steps_that_are_none(text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_steps(text, "s")
    assert sentence in str(caught.value)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    qemu = str(install(tmp_path))
    (tmp_path / "steps").write_text("info mtree\n")
    assert main(["crosscheck", "--qemu", qemu, "--steps", str(tmp_path / "steps"), "--", "-M", "none"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("same: ")
    assert main(["crosscheck", "--qemu", qemu, "--steps", str(tmp_path / "none")]) == 2
    assert f"cannot read the steps in {tmp_path / 'none'}: No such file" in capsys.readouterr().err
    assert main(["crosscheck", "--qemu", qemu, "--strict", "--steps", "/x"]) == 2
    assert main(["crosscheck", "--qemu", qemu, "--against", "attach:/x", "--steps", str(tmp_path / "steps")]) == 2
    refusing = str(install(tmp_path, refuse="x: no\n"))
    assert main(["crosscheck", "--qemu", refusing, "--steps", str(tmp_path / "steps")]) == 3


QTEST = """
endianness
outl 0xcf8 0x80000004
outw 0xcfc 0x7
inl 0xcfc
writel 0x1000 0xdeadbeef
read 0x1000 4
info status
"""


@pytest.mark.parametrize("label", LABELS)
async def test_two_qemus_take_qtest_lines(label: str) -> None:
    qemu = needs(label, "x86_64")
    report = await replay(["-M", "pc"], qemu, read_steps(QTEST, "steps"), against=qemu)
    assert (report.verdict, report.changes) == ("same", ())


async def test_a_register_of_the_host_bridge_is_seen_to_change_the_map() -> None:
    """PAM0 of the second one alone is written: what an SMRAM or PAM sequence compares."""
    qemu = needs("7.2", "x86_64")
    async with started(qemu, ["-M", "pc"], qtest=True) as real:
        before = await memory_now(real)
        assert await real.qtest("outl 0xcf8 0x80000058") == "OK"
        assert await real.qtest("outl 0xcfc 0x33333000") == "OK"
        assert await memory_now(real) != before
        assert (await real.qtest("nonsense")).startswith("FAIL Unknown command")
    async with started(qemu, ["-M", "pc"]) as real:
        with pytest.raises(CompareError, match="was not started with a qtest socket"):
            await real.qtest("endianness")


async def test_two_versions_differ_first_and_then_in_a_step() -> None:
    """What differs from the beginning is told once; the steps go on to the first one that adds to it."""
    steps = ["inb 0x64", "info version", "inb 0x64"]
    report = await replay(["-M", "pc-q35-7.2"], needs("7.2", "x86_64"), steps, against=needs("11.1", "x86_64"))
    places = {change.place.partition(":")[0] for change in report.changes}
    assert places == {"before the first step", "after step 2 (info version)"}
    assert report.changes[-1].kind == "reply-changed"
    assert report.layouts is not None


async def test_our_model_says_that_it_takes_no_qtest_lines(tmp_path: Path) -> None:
    with pytest.raises(CompareError, match="takes no qtest lines such as `inb 0x64`"):
        await replay(["-M", "pc"], needs("7.2", "x86_64"), ["inb 0x64"])


@pytest.mark.parametrize("label", LABELS)
async def test_a_modelled_board_takes_registers_and_devices(label: str) -> None:
    steps = [
        "outl 0xcf8 0x80000000", "inl 0xcfc", "outl 0xcf8 0x80000058", "outb 0xcfd 0x30", "inl 0xcfc",
        '{"execute": "device_add", "arguments": {"driver": "edu", "id": "e"}}', "device_del nobody",
    ]  # fmt: skip
    argv = ["-M", "pc", "-nodefaults"]
    report = await replay(argv, needs(label, "x86_64"), steps, board=board_from_argv)
    assert report.verdict == "same", report.changes


async def test_a_refusal_of_either_qemu(tmp_path: Path) -> None:
    (tmp_path / "no").mkdir()
    good, bad = str(install(tmp_path)), str(install(tmp_path / "no", refuse="x: no\n"))
    assert (await replay([], good, ["info mtree"], against=bad)).verdict == "refused by one"
    assert (await replay([], bad, ["info mtree"], against=bad)).verdict == "refused by both"
    assert (await replay([], good, ["info mtree"], against=f"qemu:{good}:-M none")).verdict == "same"
