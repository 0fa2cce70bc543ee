"""What a QMP session keeps and orders: out-of-band queue, descriptors, held-back events, objects, extensions."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qshim import versions
from qshim.events import Event, Throttle
from qshim.monitor.qmp.session import QmpMonitor
from qshim.recording.format import load
from qshim.vm import Vm

NEGOTIATE = b'{"execute":"qmp_capabilities"}'
OOB = b'{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}'
RECORDINGS = Path(__file__).parents[2] / "fixtures" / "monitor" / "recordings"
Converse = Callable[..., Any]


def command(name: str, **arguments: object) -> bytes:
    return json.dumps({"execute": name, "arguments": arguments}).encode()


def returned(talk: Any, name: str, **arguments: object) -> Any:
    """What the command returns; it must not fail."""
    reply = json.loads(talk.say(command(name, **arguments))[-1])
    assert "return" in reply, reply
    return reply["return"]


def refused(talk: Any, name: str, **arguments: object) -> str:
    """The text of the command's error."""
    return str(json.loads(talk.say(command(name, **arguments))[-1])["error"]["desc"])


def the_q35(dialect: str) -> Vm:
    return Vm.from_recording(load(RECORDINGS / f"q35-{dialect}.qrec.xz"))


@pytest.fixture
def q35(converse: Converse) -> Any:
    """A conversation with a recorded q35 of 11.1."""
    talk = converse(vm=the_q35("11.1"))
    talk.say(NEGOTIATE)
    return talk


# --- out-of-band (monitor.md 1.9) ---


@pytest.mark.parametrize(("queued", "place"), [(0, 0), (7, 0), (8, 0), (9, 1)])
def test_out_of_band_overtakes_what_is_queued(converse: Converse, queued: int, place: int) -> None:
    talk = converse()
    talk.say(OOB)
    talk.session.pause()
    said = b"".join(b'{"execute":"query-name","id":%d}' % i for i in range(queued))
    first = talk.say(said + b'{"exec-oob":"query-yank","id":"o"}')
    talk.session.resume()
    ids = [json.loads(reply)["id"] for reply in first + talk.say(b"")]
    assert ids.index("o") == place
    assert [i for i in ids if i != "o"] == list(range(queued))


def test_without_it_requests_stay_in_order(converse: Converse) -> None:
    talk = converse()
    talk.say(NEGOTIATE)
    talk.session.pause()
    talk.say(b'{"execute":"query-name","id":1}{"execute":"query-status","id":2}')
    talk.session.resume()
    assert [json.loads(reply)["id"] for reply in talk.say(b"")] == [1, 2]


# --- descriptors ---


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def null() -> int:
    return os.open(os.devnull, os.O_RDONLY)


def test_a_descriptor_may_come_on_a_space_before_its_command(converse: Converse) -> None:
    talk = converse()
    talk.say(NEGOTIATE)
    fd = null()
    talk.session.receive(b" ", [fd])
    assert returned(talk, "getfd", fdname="x") == {}
    assert talk.vm.fds == {"x": fd}
    assert refused(talk, "getfd", fdname="y") == "No file descriptor supplied via SCM_RIGHTS"
    assert returned(talk, "closefd", fdname="x") == {}
    assert not is_open(fd)
    assert refused(talk, "closefd", fdname="x") == "File descriptor named 'x' not found"


def test_later_descriptors_replace_those_that_nobody_took(converse: Converse) -> None:
    talk = converse()
    talk.say(NEGOTIATE)
    first, second, third = null(), null(), null()
    talk.session.receive(b" ", [first])
    talk.session.receive(b" ", [second, third])
    assert not is_open(first)
    returned(talk, "getfd", fdname="x")
    assert is_open(second)
    assert not is_open(third)
    returned(talk, "closefd", fdname="x")


def test_a_client_that_goes_leaves_names_but_not_loose_descriptors(
    converse: Converse, vm_of: Callable[..., Any]
) -> None:
    from qshim.monitor.qmp.session import QmpSession

    vm, monitor = vm_of(), QmpMonitor()
    session = QmpSession(vm, lambda data: None, monitor=monitor)
    named, loose = null(), null()
    session.receive(NEGOTIATE)
    session.receive(command("getfd", fdname="x"), [named])
    session.receive(b" ", [loose])
    session.stop()
    assert not is_open(loose)
    sent: list[bytes] = []
    again = QmpSession(vm, sent.append, monitor=monitor)
    again.receive(NEGOTIATE + command("closefd", fdname="x"))
    assert sent[-1] == b'{"return": {}}\r\n'
    assert not is_open(named)


def test_sets_of_descriptors(converse: Converse) -> None:
    talk = converse()
    talk.say(NEGOTIATE)
    first, second = null(), null()
    talk.session.receive(b" ", [first])
    assert returned(talk, "add-fd", opaque="log") == {"fdset-id": 0, "fd": first}
    talk.session.receive(b" ", [second])
    assert returned(talk, "add-fd", **{"fdset-id": 5}) == {"fdset-id": 5, "fd": second}
    assert returned(talk, "query-fdsets") == [
        {"fdset-id": 0, "fds": [{"fd": first, "opaque": "log"}]},
        {"fdset-id": 5, "fds": [{"fd": second}]},
    ]
    assert refused(talk, "remove-fd", **{"fdset-id": 5, "fd": 999}) == (
        "File descriptor named 'fdset-id:5, fd:999' not found"
    )
    assert returned(talk, "remove-fd", **{"fdset-id": 0}) == {}
    assert returned(talk, "remove-fd", **{"fdset-id": 5, "fd": second}) == {}
    assert returned(talk, "query-fdsets") == []
    assert not is_open(first)
    assert not is_open(second)


def test_a_name_does_not_begin_with_a_digit(converse: Converse) -> None:
    talk = converse()
    talk.say(NEGOTIATE)
    talk.session.receive(b" ", [null()])
    assert refused(talk, "getfd", fdname="1x") == "Parameter 'fdname' expects a name not starting with a digit"


# --- events ---


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.at = 0.0
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.calls.append((self.at + seconds, call))

    def pass_(self, seconds: float) -> None:
        self.at += seconds
        due = [call for when, call in self.calls if when <= self.at]
        self.calls = [(when, call) for when, call in self.calls if when > self.at]
        for call in due:
            call()


def test_limited_events_come_once_a_second() -> None:
    told: list[int] = []
    clock = Clock()
    throttle = Throttle(lambda event: told.append(event.seconds))
    throttle.later = clock.later
    for i in (1, 2, 3):
        throttle.take(Event("RTC_CHANGE", i, 0))
    assert told == [1]
    clock.pass_(1)
    assert told == [1, 3]
    throttle.take(Event("RTC_CHANGE", 4, 0))
    assert told == [1, 3]
    clock.pass_(1)
    assert told == [1, 3, 4]
    clock.pass_(1)
    throttle.take(Event("RTC_CHANGE", 5, 0))
    assert told == [1, 3, 4, 5]


def test_limited_events_of_different_devices_do_not_wait_for_each_other() -> None:
    told: list[object] = []
    throttle = Throttle(lambda event: told.append(event.data))
    throttle.later = Clock().later
    for port in ("a", "b", "a"):
        throttle.take(Event("VSERPORT_CHANGE", 0, 0, {"id": port}))
        throttle.take(Event("STOP", 0, 0))
    assert told == [{"id": "a"}, None, {"id": "b"}, None, None]


def test_which_events_are_limited_depends_on_the_release(vm_of: Callable[..., Any]) -> None:
    for dialect, heard in (("7.2", 2), ("10.0", 1)):
        vm = vm_of(dialect)
        vm.set_clock(Clock().later)
        events: list[Event] = []
        vm.subscribe(events.append)
        for _ in range(2):
            vm.emit("BLOCK_IO_ERROR", {"qom-path": "/x", "action": "report"})
        assert len(events) == heard


@pytest.mark.parametrize("dialect", versions.KNOWN)
def test_run_states(converse: Converse, dialect: str) -> None:
    talk = converse(dialect)
    talk.say(NEGOTIATE)

    def events(name: str) -> list[str]:
        return [json.loads(line).get("event", "return") for line in talk.say(command(name))]

    assert events("stop") == ["return"]
    assert talk.vm.run_state == "prelaunch"
    assert events("cont") == ["RESUME", "return"]
    assert events("cont") == ["return"]
    assert events("system_reset") == ["RESET", "return"]
    assert talk.vm.run_state == "running"
    assert events("stop") == ["STOP", "return"]
    assert talk.vm.run_state == "paused"
    assert events("system_powerdown") == ["POWERDOWN", "return"]
    assert events("system_reset") == ["RESET", "return"]
    assert talk.vm.run_state == "prelaunch"


# --- objects ---


def test_a_backend_is_live_memory(q35: Any) -> None:
    before = returned(q35, "x-query-ramblock")["human-readable-text"]
    made = {"qom-type": "memory-backend-ram", "id": "m0", "size": 1 << 20, "share": True}
    assert returned(q35, "object-add", **made) == {}
    after = returned(q35, "x-query-ramblock")["human-readable-text"]
    assert len(after.splitlines()) == len(before.splitlines()) + 1
    [entry] = [e for e in returned(q35, "query-memdev") if e["id"] == "m0"]
    assert (entry["size"], entry["share"]) == (1 << 20, True)
    assert returned(q35, "qom-get", path="m0", property="size") == 1 << 20
    assert returned(q35, "qom-list-get", paths=["/objects/m0"])[0]["properties"][0]["name"] == "type"
    assert returned(q35, "object-del", id="m0") == {}
    assert returned(q35, "x-query-ramblock")["human-readable-text"] == before
    assert refused(q35, "object-del", id="m0") == "object 'm0' not found"


def test_a_backend_that_cannot_be_made_leaves_nothing(q35: Any) -> None:
    before = returned(q35, "x-query-ramblock")
    for made in (
        {"size": 4096, "policy": "bind"},
        {"size": 0},
        {"size": (1 << 64) - 1},
        {"size": 4096, "id": "pc.ram"},
    ):
        refused(q35, "object-add", **{"qom-type": "memory-backend-ram", "id": "m", **made})
    assert returned(q35, "x-query-ramblock") == before
    assert [e["id"] for e in returned(q35, "query-memdev")] == ["pc.ram"]


def test_a_file_is_only_made_where_files_may_be_written(q35: Any, tmp_path: Path) -> None:
    path = tmp_path / "ram"
    made = {"qom-type": "memory-backend-file", "id": "m", "size": 4096, "mem-path": str(path)}
    assert refused(q35, "object-add", **made).startswith(f"can't open backing store {path} for guest RAM: ")
    assert not path.exists()


# --- qshim's own commands ---


def test_extensions_exist_only_when_wanted(converse: Converse) -> None:
    for wanted in (False, True):
        vm = the_q35("10.0")
        vm.extensions = wanted
        talk = converse(vm=vm)
        talk.say(NEGOTIATE)
        names = {row["name"] for row in returned(talk, "query-commands")}
        schema = {row["name"] for row in returned(talk, "query-qmp-schema")}
        for name in ("x-qshim-query-mtree", "x-qshim-query-flatview", "x-qshim-query-ramblock"):
            assert (name in names) == (name in schema) == wanted
            if wanted:
                assert returned(talk, name)["schema"].startswith("qshim/")
            else:
                assert refused(talk, name) == f"The command {name} has not been found"


# --- nesting ---


def test_arguments_nested_as_deep_as_json_goes(converse: Converse) -> None:
    talk = converse()
    talk.say(NEGOTIATE)
    inner = '{"driver":"raw","file":' * 1000 + "7" + "}" * 1000
    reply = talk.say(b'{"execute":"blockdev-add","arguments":%s}' % inner.encode())
    assert json.loads(reply[0])["error"]["desc"] == "Invalid parameter type for 'file', expected: BlockdevRef"


# --- ring buffers ---


def test_a_ring_buffer_keeps_the_newest_bytes(converse: Converse) -> None:
    talk = converse()
    talk.say(NEGOTIATE)
    returned(talk, "chardev-add", id="r", backend={"type": "ringbuf", "data": {"size": 8}})
    returned(talk, "ringbuf-write", device="r", data="0123456789")
    returned(talk, "ringbuf-write", device="r", data="w6k=", format="base64")
    assert returned(talk, "ringbuf-read", device="r", size=3) == "456"
    assert returned(talk, "ringbuf-read", device="r", size=99, format="base64") == "Nzg5w6k="
    assert returned(talk, "ringbuf-read", device="r", size=1) == ""
    assert refused(talk, "ringbuf-write", device="r", data="?", format="base64") == (
        "Base64 data contains invalid characters"
    )
    assert [each["label"] for each in returned(talk, "query-chardev")] == ["r"]
    assert returned(talk, "chardev-remove", id="r") == {}
    assert refused(talk, "ringbuf-read", device="r", size=1) == "Device 'r' not found"
