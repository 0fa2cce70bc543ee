"""What can go wrong around a comparison: exit 3 with one sentence, and nothing left behind."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crosscheck.test_sweep import GRID, alive, starts, wait_for
from tests.support.fake_qemu import install

FAST = (
    "import sys; from qshim.edge import capture, real_qemu\n"
    "capture.ANSWER_SECONDS = real_qemu.ANSWER_SECONDS = real_qemu._START_SECONDS = 1.0\n"
    "real_qemu._GREETING_SECONDS = 1.0\n"
    "for f in (capture.capture_started, capture.capture_attached):\n"
    "    f.__kwdefaults__['answer_seconds'] = 1.0\n"
    "from qshim.cli import main; sys.exit(main(sys.argv[1:]))\n"
)
"""qshim with less patience."""


def qshim(*words: object, stdout: int = subprocess.PIPE, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit or 0, limit or 0))

    return subprocess.run(
        [sys.executable, "-c", FAST, *map(str, words)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=limited if limit is not None else None,
    )


def pids(folder: Path) -> list[int]:
    return [json.loads(line)["pid"] for line in (folder / "log").read_text().splitlines()]


def one_sentence(run: subprocess.CompletedProcess[str], *words: str) -> None:
    assert run.returncode == 3, (run.returncode, run.stdout, run.stderr)
    lines = run.stderr.splitlines()
    assert len(lines) == 1, run.stderr
    assert lines[0].startswith("qshim: ")
    for word in words:
        assert word in lines[0]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory in which nothing but what the fake QEMU keeps is left, and no process of it."""
    yield tmp_path
    assert not [path.name for path in tmp_path.iterdir() if path.is_socket()]
    wait_for(lambda: not any(alive(pid) for pid in pids(tmp_path)))


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"silent": True}, ("did not greet within 1 s",)),
        ({"hang": ["query-version"]}, ("qemu-fake did not answer `query-version` within 1 s",)),
        ({"hang": ["info mtree -o -D", "info mtree -D"]}, ("info mtree",)),
        ({"die": "info ramblock"}, ("went away during `info ramblock`", "exit status 7")),
        ({"die": "query-version"}, ("went away during `query-version`", "exit status 7")),
    ],
    ids=["silent", "stuck", "stuck on one question", "crash in the middle", "crash at once"],
)
def test_a_qemu_that_fails(place: Path, faults: dict[str, object], words: tuple[str, ...]) -> None:
    qemu = install(place, **faults)
    one_sentence(qshim("crosscheck", "--qemu", qemu, "--", "-M", "none"), *words)
    one_sentence(qshim("crosscheck", "--qemu", qemu, "--against", qemu, "--", "-M", "none"), *words)


def test_no_such_program(place: Path) -> None:
    install(place)
    one_sentence(qshim("crosscheck", "--qemu", place / "none"), "there is no program")
    (place / "text").write_text("not a program")
    (place / "text").chmod(0o755)
    run = qshim("crosscheck", "--qemu", place / "text")
    assert run.returncode == 3
    assert run.stdout.endswith(f"refused by one: {place / 'text'}: Exec format error\n")


def test_a_monitor_in_use(place: Path) -> None:
    """A QEMU serves one client; the next one connects and hears nothing."""
    install(place)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "busy"))
        listener.listen()
        one_sentence(qshim("crosscheck", "--attach", place / "busy"), "is another one connected?")
    os.unlink(place / "busy")


def test_a_second_side_that_fails_ends_the_first(place: Path) -> None:
    qemu = install(place)
    one_sentence(qshim("crosscheck", "--qemu", qemu, "--against", "attach:/nonexistent"), "/nonexistent")
    one_sentence(qshim("crosscheck", "--qemu", qemu, "--against", "/nonexistent/qemu"), "no program")


@pytest.mark.parametrize("form", ["text", "json", "html", "markdown", "junit", "github", "sarif"])
def test_the_disk_is_full_for_the_report(place: Path, form: str) -> None:
    qemu = install(place)
    with open("/dev/full", "w") as full:
        run = qshim("crosscheck", "--qemu", qemu, "--format", form, "--", "-M", "none", stdout=full.fileno())
    one_sentence(run, "cannot write the output: No space left on device")


def test_the_disk_is_full_for_the_results_of_a_sweep(place: Path) -> None:
    """The results that were written stay, and the sweep goes on from them when there is room."""
    qemu = install(place)
    (place / "grid.toml").write_text(GRID)
    words = ("sweep", "--grid", place / "grid.toml", "--qemu", qemu, "--jobs", "1", "--state", place / "state")
    assert qshim(*words).returncode == 0
    whole = (place / "state").read_bytes()
    first = whole.index(b"\n") + 1
    (place / "state").unlink()
    # the fake's own log must fit, too
    limit = max(first + 10, len((place / "log").read_bytes()) * 3)
    (place / "state").write_bytes(whole[:first] * (limit // first))
    one_sentence(qshim(*words, limit=limit), f"cannot write {place / 'state'}")
    assert (place / "state").read_bytes().startswith(whole[:first])
    again = qshim(*words)
    assert again.returncode == 0, again.stderr
    assert again.stdout.endswith("     3 of 3      agree (3 same)\n")
    again = qshim(*words)
    assert again.returncode == 0, again.stderr


def test_a_cut_line_is_cut_off_before_the_next_one(place: Path) -> None:
    qemu = install(place)
    (place / "grid.toml").write_text(GRID)
    words = ("sweep", "--grid", place / "grid.toml", "--qemu", qemu, "--state", place / "state")
    for _ in range(3):
        assert qshim(*words).returncode == 0
        data = (place / "state").read_bytes()
        assert len([json.loads(line) for line in data.splitlines()]) == 3
        (place / "state").write_bytes(data[:-20])


def test_notes_are_not_taken_for_a_cut_line(place: Path) -> None:
    qemu = install(place)
    (place / "grid.toml").write_text(GRID)
    (place / "state").write_text("my notes of today")
    one_sentence(qshim("sweep", "--grid", place / "grid.toml", "--qemu", qemu, "--state", place / "state"), "line 1")
    assert (place / "state").read_text() == "my notes of today"


def test_a_killed_sweep_takes_its_workers_along(tmp_path: Path) -> None:
    """SIGKILL cannot be caught: the kernel ends what was started, so that no worker starts another QEMU."""
    qemu = install(tmp_path, hang=["info mtree -o -D"])
    (tmp_path / "grid.toml").write_text(GRID)
    words = ["sweep", "--grid", str(tmp_path / "grid.toml"), "--qemu", str(qemu), "--jobs", "2"]
    child = subprocess.Popen([sys.executable, "-m", "qshim", *words], stderr=subprocess.DEVNULL)
    wait_for(lambda: starts(tmp_path) >= 2)
    workers = [int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in pids(tmp_path)]
    assert all(alive(worker) for worker in workers)
    child.send_signal(signal.SIGKILL)
    child.wait(20)
    wait_for(lambda: not any(alive(pid) for pid in (*workers, *pids(tmp_path))))
    assert starts(tmp_path) == 2
