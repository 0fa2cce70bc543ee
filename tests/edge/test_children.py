"""Workers: a request that kills or hangs its process costs that request alone."""

from __future__ import annotations

import os
import sys
from contextlib import aclosing
from pathlib import Path

from qshim.edge.children import side_by_side

WORKER = (
    sys.executable,
    "-c",
    "import os, sys, time\n"
    "for line in sys.stdin:\n"
    "    word = line.strip()\n"
    "    if word == 'die': sys.exit('no more')\n"
    "    if word == 'crash': os.kill(os.getpid(), 11)\n"
    "    if word == 'hang': time.sleep(600)\n"
    "    if word == 'large': word = 'x' * 1_000_000\n"
    "    print(word, os.getpid(), flush=True)\n",
)


def gone(pids: set[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


async def test_one_request_is_lost_and_the_rest_answered() -> None:
    requests = ["a", "die", "b", "hang", "c", "crash", "large", "d"]
    ended = {}
    async with aclosing(side_by_side(WORKER, requests, 1, limit_seconds=2)) as answers:
        async for answer in answers:
            ended[requests[answer.number]] = answer
    assert set(ended) == set(requests)
    said = {name: None if e.answer is None else e.answer.split()[0] for name, e in ended.items()}
    assert said == {"a": "a", "die": None, "b": "b", "hang": None, "c": "c", "crash": None, "large": "x" * 1_000_000,
                    "d": "d"}  # fmt: skip
    assert ended["die"].reason == "no more"
    assert ended["hang"].reason == "did not end within 2 s"
    assert ended["crash"].reason.startswith("it ended")
    pids = {int(e.answer.split()[1]) for e in ended.values() if e.answer is not None}
    assert len(pids) == 4
    assert gone(pids)


async def test_several_at_once_and_stopped_in_the_middle() -> None:
    pids = set()
    async with aclosing(side_by_side(WORKER, [str(n) for n in range(50)], 3)) as answers:
        async for answer in answers:
            assert answer.answer is not None
            pids.add(int(answer.answer.split()[1]))
            if answer.number >= 2:
                break
    assert 1 <= len(pids) <= 3
    assert os.getpid() not in pids
    assert gone(pids)


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    async with aclosing(side_by_side([f"{tmp_path}/program"], ["a"], 2)) as answers:
        (only,) = [answer async for answer in answers]
    assert only.answer is None
    assert only.reason == f"{tmp_path}/program: No such file or directory"
