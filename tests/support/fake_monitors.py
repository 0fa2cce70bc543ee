"""Many small QMP servers in one thread: machines with a tiny memory layout that fire events on request.

Each serves one client at a time, as QEMU does. They notice every command that they do not know or that would change a
machine: `Machine.asked` has them all.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["TREE", "Machine", "Monitors"]

TREE = (
    "address-space: memory\r\n"
    "  0000000000000000-ffffffffffffffff (prio 0, i/o): system parent:{obj path=/machine}\r\n\r\n"
)
"""What `info mtree -o -D` prints."""
_FLAT = 'FlatView #0\r\n AS "memory", root: system\r\n Root memory region: (none)\r\n  No rendered FlatView\r\n\r\n'
_SECONDS = 60
_HEAD = "              Block Name    PSize              Offset               Used              Total\r\n"


class Machine:
    """One fake machine; everything but `emit` and the attributes happens in the thread of its `Monitors`."""

    def __init__(self, name: str | None, path: Path) -> None:
        self.name = name
        self.path = path
        self.status = "running"
        self.blocks: list[tuple[str, int]] = []
        """(name, size) of each RAM block."""
        self.texts: dict[str, str] = {}
        """Line -> what the human monitor prints instead of what it should."""
        self.answers: dict[str, Any] = {}
        """Command -> what it returns instead of what it should."""
        self.asked: Counter[str] = Counter()
        self.sent = 0
        self.restless = False
        """Whether its layout changes whenever somebody looks."""
        self._server: asyncio.AbstractServer | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._free = asyncio.Lock()

    async def start(self) -> None:
        """Listen; who sees the socket can connect."""
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def stop(self) -> None:
        """Be gone."""
        assert self._server is not None
        self._server.close()
        self.path.unlink(missing_ok=True)
        for writer in self._writers:
            writer.close()

    async def fire(self, names: Sequence[str], pause_every: int = 100) -> None:
        """Tell these events."""
        assert self._writer is not None
        for number, name in enumerate(names, 1):
            now = time.time_ns()
            stamp = {"seconds": now // 10**9, "microseconds": now // 1000 % 10**6}
            self.sent += 1
            self._put({"timestamp": stamp, "event": name, "data": {"n": self.sent}})
            if number % pause_every == 0:
                await self._writer.drain()
                await asyncio.sleep(0)

    async def say(self, *values: object) -> None:
        """Tell these, whatever they are."""
        for value in values:
            self._put(value)

    def _put(self, value: object) -> None:
        assert self._writer is not None
        self._writer.write(json.dumps(value).encode() + b"\r\n")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        async with self._free:
            self._writer = writer
            with suppress(ConnectionError):
                version = {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": "fake"}
                self._put({"QMP": {"version": version, "capabilities": []}})
                decoder, buffer = json.JSONDecoder(), ""
                while data := await reader.read(1 << 16):
                    buffer = (buffer + data.decode()).lstrip()
                    while buffer:
                        try:
                            message, end = decoder.raw_decode(buffer)
                        except ValueError:
                            break
                        buffer = buffer[end:].lstrip()
                        self._put({**self._reply(message), "id": message.get("id")})
                    await writer.drain()
            writer.close()
            self._writers.discard(writer)
            self._writer = None

    def _reply(self, message: dict[str, Any]) -> dict[str, Any]:
        command = message["execute"]
        line = message.get("arguments", {}).get("command-line")
        self.asked[line or command] += 1
        if line is not None:
            texts = {
                "info mtree -o -D": TREE,
                "info mtree -f": _FLAT,
                "info ramblock": _HEAD + "".join(self._block(*block) for block in self.blocks),
                "info qom-tree /objects": "/objects (container)\r\n",
                "info status": f"VM status: {self.status}\r\n",
            }
            if self.restless:
                texts["info ramblock"] += self._block("restless", sum(self.asked.values()) * 4096)
            texts |= self.texts
            return {"return": texts.get(line, f"unknown command: '{line}'\r\n")}
        answers: dict[str, Any] = {
            "qmp_capabilities": {},
            "query-version": {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": "fake"},
            "query-status": {"status": self.status, "running": self.status == "running"},
            "query-name": {} if self.name is None else {"name": self.name},
            "query-kvm": {"enabled": False, "present": False},
            "query-target": {"arch": "x86_64"},
            "qom-get": "none-machine",
            "query-memdev": [],
            "query-memory-devices": [],
        }
        answers |= self.answers
        if command in answers:
            return {"return": answers[command]}
        return {"error": {"class": "CommandNotFound", "desc": f"The command {command} has not been found"}}

    @staticmethod
    def _block(name: str, size: int) -> str:
        return f"{name:>24}    4 KiB  0x{0:016x} 0x{size:016x} 0x{size:016x}\r\n"


class Monitors:
    """A thread with fake machines; a context manager."""

    def __init__(self, folder: Path, names: Sequence[str | None]) -> None:
        self.machines = [Machine(name, folder / f"vm{number}.sock") for number, name in enumerate(names)]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def addresses(self) -> list[str]:
        """Of all machines."""
        return [str(machine.path) for machine in self.machines]

    def do(self, *work: Any) -> None:
        """Run coroutines in the thread, side by side, and wait for them."""

        async def all_of_it() -> None:
            await asyncio.gather(*work)

        asyncio.run_coroutine_threadsafe(all_of_it(), self._loop).result(_SECONDS)

    def __enter__(self) -> Monitors:
        self._thread.start()
        self.do(*(machine.start() for machine in self.machines))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async def end() -> None:
            for machine in self.machines:
                await machine.stop()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            # they end by themselves, for their connections are closed
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
