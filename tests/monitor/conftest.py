"""A QMP session on a machine without memory: `converse(dialect)` gives one, for tests of the conversation itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qshim import versions
from qshim.memory import Topology
from qshim.monitor.qmp.session import QmpMonitor, QmpSession
from qshim.vm import MonitorState, Vm


def empty_vm(dialect: str = "11.1", *, name: str | None = None, cpus: int = 1) -> Vm:
    """A paused machine with no region."""
    return Vm(Topology(), quirks=versions.KNOWN[dialect], cpus=cpus, name=name)


class Conversation:
    """A session and what it has sent so far."""

    def __init__(self, vm: Vm, *, pretty: bool = False) -> None:
        self.vm = vm
        self.sent: list[bytes] = []
        state = vm.monitors.get("compat_monitor0") or MonitorState("", control=True, pretty=pretty)
        self.session = QmpSession(vm, self.sent.append, monitor=QmpMonitor(state=state))
        self.session.start()
        self.greeting = self.sent.pop()

    def say(self, data: bytes, step: int = 0) -> list[str]:
        """Send *data*, whole or *step* bytes at a time; the replies to it, without line ends."""
        for at in range(0, len(data), step or len(data) or 1):
            self.session.receive(data[at : at + (step or len(data))])
        replies = b"".join(self.sent)
        self.sent.clear()
        lines = replies.decode("ascii").split("\r\n")
        assert lines.pop() == "", "every message ends with CR LF"
        return lines


@pytest.fixture
def vm_of() -> Callable[..., Vm]:
    return empty_vm


@pytest.fixture
def converse() -> Callable[..., Conversation]:
    """`converse(dialect)`, or `converse(vm=vm)` for a second session on the same machine."""

    def start(dialect: str = "11.1", vm: Vm | None = None, pretty: bool = False) -> Conversation:
        return Conversation(vm or empty_vm(dialect), pretty=pretty)

    return start
