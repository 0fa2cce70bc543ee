"""Ask a QMP monitor for the memory views with qemu.qmp, QEMU's own client, and print them.

    python ask.py SOCKET                                       print info mtree, info mtree -f, info ramblock
    python ask.py SOCKET --compare QEMU -- QEMU-OPTIONS        and compare with a real QEMU
    python ask.py --find                                       a real QEMU on this machine: VERSION PATH
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from qemu.qmp import QMPClient

from qshim.edge.real_qemu import started
from qshim.layout.canonical import canonical

VIEWS = ("info mtree", "info mtree -f", "info ramblock")


async def ask(socket: str) -> dict[str, str]:
    client = QMPClient("quickstart")
    await client.connect(socket)
    try:
        print("connected; query-version:", await client.execute("query-version"))
        return {
            view: str(await client.execute("human-monitor-command", {"command-line": view})).replace("\r\n", "\n")
            for view in VIEWS
        }
    finally:
        await client.disconnect()


async def compare(ours: dict[str, str], binary: str, options: list[str]) -> int:
    differing = 0
    async with started(binary, options) as qemu:
        for view, text in ours.items():
            same = canonical(await qemu.hmp(view) or ()) == canonical(text)
            differing += not same
            print(f"{view}: {'equal to' if same else 'DIFFERS from'} {binary}")
    return 1 if differing else 0


def find() -> str:
    """`VERSION PATH` of a QEMU whose machine comes with qshim, or nothing."""
    data = Path(__file__).parents[1] / "qshim" / "data" / "recordings"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qshim-qemu"
    directory = Path(os.environ.get("QSHIM_QEMU_DIR") or cache) / "bin"
    candidates = [shutil.which("qemu-system-x86_64"), *map(str, sorted(directory.glob("qemu-*-system-x86_64")))]
    for path in filter(None, candidates):
        told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"version (\d+\.\d+)", told)
        if version is not None and (data / version[1]).is_dir():
            return f"{version[1]} {path}"
    return ""


def main(words: list[str]) -> int:
    if words == ["--find"]:
        print(find())
        return 0
    views = asyncio.run(ask(words[0]))
    for view, text in views.items():
        print(f"\n(qemu) {view}\n{text}", end="")
    print()
    if "--compare" not in words:
        print("no real QEMU of a known version is installed: not compared")
        return 0
    place = words.index("--compare")
    return asyncio.run(compare(views, words[place + 1], words[place + 3 :]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
