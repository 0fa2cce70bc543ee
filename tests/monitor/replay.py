"""Rows that real QEMUs answered, sent again to a drop-in with the command line that they were recorded at.

    python -m tests.monitor.replay [--config NAME] [--version LABEL] [-v]

Prints how many rows of qmp-commands.jsonl and hmp-cases.jsonl agree, and with -v those that do not. The drop-in
is a process of its own, asked through a socket; its firmware has the few bytes that rows read.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from qshim.layout.canonical import canonical
from qshim.versions import KNOWN
from tests.monitor.masks import masked

__all__ = ["CONFIGS", "HMP", "Outcome", "Served", "commands", "lines", "replayed"]

HERE = Path(__file__).parents[2] / "fixtures" / "monitor"
CONFIGS = ("q35", "none", "pc-numa", "q35-hotplug", "preconfig")
HMP = "hmp"
HMP_ARGUMENTS = ("-nodefaults", "-display", "none", "-S", "-machine", "q35", "-m", "64", "-name", "vmx")
CUT = "...<truncated>"
FIRMWARE = {0xFFFF0: "ea5be000f030362f32332f393900fc00", 0xFE000: "0050325000910000"}
"""What the firmware has where rows look."""
_BIOS, _MIB = 256 << 10, 1 << 20
_SECONDS = 60.0
_SYNC = "replay-sync"


class Outcome(NamedTuple):
    """A row, what was answered, and whether that is what QEMU answered."""

    name: str
    """Number of a command in its configuration, or the line of HMP."""
    text: str
    ours: list[str]
    told: list[str]
    same: bool


class Served:
    """A drop-in with a QMP monitor; a context manager."""

    def __init__(self, arguments: Sequence[str], label: str, folder: Path) -> None:
        bios = bytearray(_BIOS)
        for addr, data in FIRMWARE.items():
            at = _BIOS - _MIB + addr
            bios[at : at + len(data) // 2] = bytes.fromhex(data)
        (folder / "bios-256k.bin").write_bytes(bios)
        path = folder / "q"
        monitor = ("-qmp", f"unix:{path},server=on,wait=off", "-L", str(folder))
        code = "import sys; from qshim.cli.system import x86_64; sys.exit(x86_64())"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments, *monitor],
            env={**os.environ, "QSHIM_QEMU_VERSION": label},
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_SECONDS)
        until = time.monotonic() + _SECONDS
        while True:
            try:
                self._socket.connect(str(path))
                break
            except OSError:
                ended = self._process.poll() is not None
                if ended or time.monotonic() > until:
                    assert self._process.stderr is not None
                    said = self._process.stderr.read() if ended else "nothing"
                    self.close()
                    raise AssertionError(f"the drop-in does not listen; it said: {said}") from None
                time.sleep(0.01)
        self._input = self._socket.makefile("r", encoding="utf-8", newline="\n")
        self._input.readline()
        self.say('{"execute": "qmp_capabilities"}')

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def say(self, text: str) -> list[str]:
        """Everything that comes until *text* has been answered; `<<EOF>>` where the connection ends."""
        replies: list[str] = []
        try:
            self._socket.sendall(f'{text}\n{{"execute": "query-version", "id": "{_SYNC}"}}\n'.encode())
        except OSError:
            return ["<<EOF>>"]
        while True:
            line = self._input.readline()
            if not line:
                return [*replies, "<<EOF>>"]
            line = line.rstrip("\r\n")
            if line.endswith(f'"id": "{_SYNC}"}}'):
                return replies
            replies.append(line)


    def until(self, text: str) -> list[str]:
        """Lines that come by themselves, up to one with *text* in it."""
        lines = [self._input.readline().rstrip("\r\n")]
        while text not in lines[-1]:
            assert lines[-1], "the drop-in ended"
            lines.append(self._input.readline().rstrip("\r\n"))
        return lines


@cache
def commands() -> tuple[dict[str, Any], ...]:
    """The rows of qmp-commands.jsonl."""
    text = lzma.decompress((HERE / "qmp-commands.jsonl.xz").read_bytes()).decode()
    # somebody may have a file of that name after all
    return tuple(json.loads(line) for line in text.replace("/nonexistent", "/proc/self/nonexistent").splitlines())


@cache
def lines() -> tuple[dict[str, Any], ...]:
    """The rows of hmp-cases.jsonl."""
    text = lzma.decompress((HERE / "hmp" / "hmp-cases.jsonl.xz").read_bytes()).decode()
    return tuple(json.loads(line) for line in text.replace("/nonexistent", "/nonexisting").splitlines())


def agree(command: str, replies: list[str], told: list[str]) -> bool:
    """Whether the replies are the same; long ones were recorded with their end cut off."""
    ours = [masked(command, line) for line in replies]
    if told and told[-1].endswith(CUT):
        whole = told[-1].removesuffix(CUT)
        return len(ours) == len(told) and ours[-1].startswith(whole)
    return ours == [masked(command, line) for line in told]


def _masked_text(line: str, text: str) -> object:
    """What the HMP *line* printed without what monitor.md 7 lets differ."""
    text = re.sub(r"\) is 0x[0-9a-f]+\r\n", ") is HVA\r\n", text)
    text = re.sub(r"thread_id=\d+", "thread_id=N", text)
    if line == "info version":
        return text[: len(text) - len(text.lstrip("0123456789."))]
    if line == "info chardev":
        return re.sub(r"unix:[^,]*", "unix:PATH", text)
    if line == "info memdev":
        return sorted(part.strip() for part in text.split("memory backend: "))
    if line.startswith("qom-list /"):
        return sorted(text.splitlines())
    if line.startswith(("info mtree", "info ramblock")):
        return canonical(text)
    return text


def replayed(config: str, label: str, folder: Path) -> list[Outcome]:
    """Every row of *config*, in order on one machine; of an HMP line that occurs twice the last answer counts."""
    return _lines_replayed(label, folder) if config == HMP else _commands_replayed(config, label, folder)


def _commands_replayed(config: str, label: str, folder: Path) -> list[Outcome]:
    rows = [row for row in commands() if row["config"] == config]
    outcomes = []
    with Served(rows[0]["qemu_args"], label, folder) as machine:
        for row in rows:
            ours = machine.say(row["input"].replace("/tmp/out/", f"{folder}/"))
            if '"detach": true' in row["input"]:
                ours += machine.until("DUMP_COMPLETED")
            told = row["replies"][label]
            command = json.loads(row["input"])["execute"]
            outcomes.append(Outcome(str(row["seq"]), row["input"], ours, told, agree(command, ours, told)))
    return outcomes


def _lines_replayed(label: str, folder: Path) -> list[Outcome]:
    outcomes: dict[str, Outcome] = {}
    with Served(HMP_ARGUMENTS, label, folder) as machine:
        for row in lines():
            line = row["line"]
            request = {"execute": "human-monitor-command", "arguments": {"command-line": line}}
            text = json.dumps(request).replace("/tmp/out", str(folder))
            replies = [reply for reply in map(json.loads, machine.say(text)) if "event" not in reply]
            ours = replies[0].get("return", replies[0].get("error")).replace(str(folder), "/tmp/out")
            told = row["replies"][label]
            same = _masked_text(line, ours) == _masked_text(line, told)
            outcomes[line] = Outcome(line, line, [ours], [told], same)
    return list(outcomes.values())


@contextmanager
def _somewhere() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def main() -> int:
    """Print what agrees."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--config", choices=(*CONFIGS, HMP))
    parser.add_argument("--version", choices=tuple(KNOWN))
    parser.add_argument("-v", "--verbose", action="store_true", help="print the rows that differ")
    args = parser.parse_args()
    different = 0
    for config in (args.config,) if args.config else (*CONFIGS, HMP):
        for label in (args.version,) if args.version else KNOWN:
            with _somewhere() as folder:
                outcomes = replayed(config, label, folder)
            wrong = [each for each in outcomes if not each.same]
            different += len(wrong)
            print(f"{config} {label}: {len(outcomes) - len(wrong)} of {len(outcomes)}")
            for each in wrong if args.verbose else ():
                print(f"  {each.name} {each.text if each.name != each.text else ''}")
                print(f"    ours: {each.ours}\n    told: {each.told}")
    return int(bool(different))


if __name__ == "__main__":
    raise SystemExit(main())
