"""A QMP session: negotiation, order, events, pausing, the end. What QEMU says is in test_qmp_cases."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from qshim import versions

NEGOTIATE = b'{"execute":"qmp_capabilities"}'
STATUS = b'{"execute":"query-status"}'
Converse = Callable[..., Any]


def test_the_greeting_is_one_message_with_the_version(converse: Converse) -> None:
    greeting = converse("10.0").greeting
    assert greeting == (
        b'{"QMP": {"version": {"qemu": {"micro": 0, "minor": 0, "major": 10}, "package": "qshim"}, '
        b'"capabilities": ["oob"]}}\r\n'
    )


@pytest.mark.parametrize(
    ("dialect", "status"),
    [("7.2", '{"status": "prelaunch", "singlestep": false, "running": false}'),
     ("10.0", '{"status": "prelaunch", "running": false}'),
     ("11.1", '{"status": "prelaunch", "running": false}')],
)  # fmt: skip
def test_query_status(converse: Converse, dialect: str, status: str) -> None:
    assert converse(dialect).say(NEGOTIATE + STATUS)[1] == f'{{"return": {status}}}'


def test_names(converse: Converse, vm_of: Callable[..., Any]) -> None:
    assert converse().say(NEGOTIATE + b'{"execute":"query-name"}')[1] == '{"return": {}}'
    assert (
        converse(vm=vm_of(name="vmx")).say(NEGOTIATE + b'{"execute":"query-name"}')[1] == '{"return": {"name": "vmx"}}'
    )


@pytest.mark.parametrize(("dialect", "count"), [("7.2", 216), ("10.0", 233), ("11.1", 242)])
def test_query_commands_lists_what_that_qemu_lists(converse: Converse, dialect: str, count: int) -> None:
    names = [
        row["name"]
        for row in json.loads(converse(dialect).say(NEGOTIATE + b'{"execute":"query-commands"}')[1])["return"]
    ]
    assert len(names) == len(set(names)) == count
    assert names[0] == "device_add"
    assert {"qmp_capabilities", "human-monitor-command", "x-query-ramblock", "quit"} <= set(names)


def test_every_modelled_command_exists_in_qemu() -> None:
    from qshim.monitor.qmp import families
    from qshim.monitor.qmp.extensions import EXTENSIONS
    from qshim.monitor.qmp.table import QMP
    from qshim.monitor.schema import schema_of

    assert families
    known = {name for dialect in versions.KNOWN for name in schema_of(dialect).command_names()}
    assert set(QMP) - known == set(EXTENSIONS)


def test_a_known_command_without_behaviour_says_so(converse: Converse) -> None:
    talk = converse()
    command = b'{"execute":"query-cpu-model-expansion","arguments":{"type":"full","model":{"name":"max"}}}'
    assert talk.say(NEGOTIATE + command)[1:] == [
        '{"error": {"class": "GenericError", "desc": "query-cpu-model-expansion is not modelled by qshim"}}'
    ]


def test_quit_is_the_last_answer_on_every_session(converse: Converse, vm_of: Callable[..., Any]) -> None:
    vm = vm_of()
    first, second, silent = converse(vm=vm), converse(vm=vm), converse(vm=vm)
    second.say(NEGOTIATE)
    event, reply = first.say(NEGOTIATE + b'{"execute":"quit","id":7}' + STATUS)[1:]
    assert json.loads(event)["event"] == "SHUTDOWN"
    assert json.loads(event)["data"] == {"guest": False, "reason": "host-qmp-quit"}
    assert reply == '{"return": {}, "id": 7}'
    assert second.say(b"") == [event]
    assert silent.say(b"") == []
    assert first.say(STATUS) == []


def test_hmp_quit_over_qmp(converse: Converse) -> None:
    talk = converse()
    command = b'{"execute":"human-monitor-command","arguments":{"command-line":"q"}}'
    event, reply = talk.say(NEGOTIATE + command + STATUS)[1:]
    assert '"SHUTDOWN"' in event
    assert reply == '{"return": ""}'


def test_a_closed_session_gets_no_more_events(converse: Converse, vm_of: Callable[..., Any]) -> None:
    vm = vm_of()
    talk = converse(vm=vm)
    talk.say(NEGOTIATE)
    talk.session.stop()
    vm.emit("RESUME")
    assert talk.say(b"") == []


def test_an_event_without_data_has_no_such_member(converse: Converse, vm_of: Callable[..., Any]) -> None:
    vm = vm_of()
    talk = converse(vm=vm)
    talk.say(NEGOTIATE)
    vm.emit("RESUME")
    [event] = talk.say(b"")
    assert event.startswith('{"timestamp": {"seconds": ')
    assert event.endswith(', "event": "RESUME"}')
    assert set(json.loads(event)) == {"timestamp", "event"}


def test_a_paused_session_answers_later_and_in_order(converse: Converse) -> None:
    talk = converse()
    talk.say(NEGOTIATE)
    talk.session.pause()
    assert talk.say(b"".join(b'{"execute":"query-name","id":%d}' % i for i in range(3))) == []
    assert talk.say(b"}") == []
    assert talk.session.busy
    talk.session.resume()
    replies = talk.say(b'{"execute":"query-name","id":3}')
    assert [json.loads(reply).get("id") for reply in replies] == [0, 1, 2, None, 3]


def test_a_peer_that_blocks_in_the_middle_stops_the_work(vm_of: Callable[..., Any]) -> None:
    from qshim.monitor.qmp.session import QmpSession

    sent: list[bytes] = []

    def send(data: bytes) -> None:
        sent.append(data)
        if len(sent) == 4:
            session.pause()

    session = QmpSession(vm_of(), send)
    session.start()
    session.receive(NEGOTIATE + STATUS * 10)
    assert len(sent) == 4
    session.resume()
    assert len(sent) == 12


def test_pretty_replies(converse: Converse) -> None:
    talk = converse(pretty=True)
    assert talk.greeting.startswith(b'{\r\n    "QMP": {\r\n        "version": {')
    assert "\n".join(talk.say(NEGOTIATE)) == '{\n    "return": {\n    }\n}'
