"""Monitors that are made and removed while a machine runs (11.1): one script for our drop-in and for a real QEMU."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.oracle import needs
from tests.support.talk import NONE, OURS, QUIET_SECONDS, SECONDS, Talk, both


def with_clients(talk: Talk) -> None:
    """Clients that were there before the monitor, whose monitor goes, and who remove each other's."""
    talk.socket("a")
    early = talk.join("a")
    early.send('{"execute": "qmp_capabilities"}\n')
    talk.silent("nobody is there", early)
    talk.ask("query-chardev")
    talk.ask("object-add", qom_type="monitor-qmp", id="first", chardev="a")
    talk.hear("greeting of who waits", early)
    talk.hear("and its request is read", early)
    talk.ask("query-status", early)
    talk.ask("stop")
    talk.ask("object-del", id="first")
    early.send("\x15")
    talk.silent("monitor removed", early)
    talk.ask("query-chardev")
    talk.ask("object-add", qom_type="monitor-hmp", id="human", chardev="a")
    talk.hear("banner", early, "(qemu) ")
    early.send("info name\n")
    talk.hear("the line", early, "\r\n(qemu) ")
    talk.ask("object-del", id="human")
    talk.ask("chardev-remove", id="a")

    talk.socket("b")
    talk.ask("object-add", qom_type="monitor-qmp", id="brief", chardev="b", close_action="delete", pretty=True)
    client = talk.join("b")
    talk.hear("pretty greeting", client, "\r\n}\r\n")
    client.close()
    time.sleep(QUIET_SECONDS)
    talk.ask("query-chardev")
    talk.ask("qom-list", path="/objects")

    talk.socket("c")
    talk.ask("object-add", qom_type="monitor-qmp", id="other", chardev="c")
    other = talk.join("c")
    talk.hear("greeting", other)
    talk.ask("qmp_capabilities", other)
    talk.ask("object-del", other, id="other")
    talk.ask("object-del", other, id="compat_monitor0")
    talk.main.send('{"execute": "query-status"}\n')
    talk.silent("monitor removed by another", talk.main)
    talk.ask("query-chardev", other)
    talk.ask("chardev-remove", other, id="compat_monitor0")
    other.send('{"execute": "quit"}\n')
    talk.hear("end", other, '"host-qmp-quit"}}\r\n')


def with_commands(talk: Talk) -> None:
    """What is refused, and properties."""
    talk.socket("s")
    talk.ask("chardev-add", id="n", backend={"type": "null", "data": {}})
    talk.ask("chardev-add", id="r", backend={"type": "ringbuf", "data": {"size": 1024}})
    made: dict[str, Any] = {"qom_type": "monitor-qmp", "id": "m", "chardev": "s"}
    wrongs: list[dict[str, Any]] = [
        {"id": "1m"}, {"chardev": "nope"}, {"bogus": 1}, {"readline": True}, {"close_action": "x"},
    ]  # fmt: skip
    for wrong in wrongs:
        talk.ask("object-add", **{**made, **wrong})
    talk.ask("object-add", qom_type="monitor-qmp", id="m")
    talk.ask("object-add", **made)
    talk.ask("object-add", **made)
    talk.ask("object-add", **{**made, "id": "m2"})
    talk.ask("object-add", **{**made, "id": "m3", "chardev": "compat_monitor0"})
    talk.ask("object-add", **{**made, "id": "ring", "chardev": "r", "pretty": True})
    talk.ask("ringbuf-read", device="r", size=20)
    talk.ask("object-add", qom_type="monitor-hmp", id="h", chardev="n", readline=False)
    for path in ("/objects", "/objects/m", "/objects/h", "/objects/compat_monitor0"):
        talk.ask("qom-list", path=path)
    talk.ask("qom-list-get", paths=["/objects/m", "/objects/h"])
    for name, value in (("pretty", True), ("pretty", 1), ("chardev", "n"), ("chardev", 1), ("close-action", "delete"),
                        ("close-action", "x"), ("close-action", 0), ("type", "x"), ("nope", 1)):  # fmt: skip
        talk.ask("qom-set", path="/objects/m", property=name, value=value)
        talk.ask("qom-get", path="/objects/m", property=name)
    for name in ("s", "n"):
        talk.ask("chardev-remove", id=name)
        talk.ask("chardev-change", id=name, backend={"type": "null", "data": {}})
    for name in ("h", "m", "m", "compat_monitor0"):
        talk.ask("object-del", id=name)
    talk.ask("query-chardev")
    for line in ("object_add monitor-qmp,id=k,chardev=s", "object_add monitor-hmp,id=k2,chardev=s,readline=maybe",
                 "object_del k", "object_del h", "object_del compat_monitor0", "info qom-tree /objects"):  # fmt: skip
        talk.ask("human-monitor-command", command_line=line)


@pytest.mark.parametrize("script", [with_clients, with_commands])
def test_as_real_qemu(script: Any, tmp_path: Path) -> None:
    theirs, ours = both(needs("11.1", "x86_64"), "11.1", tmp_path, script)
    assert ours == theirs


LINES = [
    "-chardev null,id=a -mon chardev=a,mode=control", "-chardev null,id=a -mon chardev=a,id=foo",
    "-chardev null,id=a -object monitor-qmp,id=m,chardev=a", "-object monitor-qmp,id=m,chardev=a -chardev null,id=a",
    "-chardev null,id=a -object monitor-hmp,id=m,chardev=a,readline=off", "-object monitor-qmp,id=m,chardev=a",
    "-object monitor-qmp,id=m", "-object monitor-qmp,id=m,chardev=a,pretty=maybe",
    "-chardev null,id=a -monitor chardev:a",
    "-object monitor-qmp,id=m,chardev=a,readline=on", "-object monitor-hmp,id=m,chardev=a,close-action=none",
    "-chardev null,id=a -object monitor-qmp,id=m,chardev=a -object monitor-hmp,id=n,chardev=a",
    "-chardev null,id=a,mux=on -object monitor-hmp,id=m,chardev=a -object monitor-hmp,id=n,chardev=a",
    "-chardev null,id=a -object monitor-qmp,id=z,chardev=a -mon chardev=a", "-serial mon:null",
    "-chardev null,id=a -chardev null,id=b -qmp null -mon a -mon b -monitor null",
    "-chardev null,id=a -chardev null,id=b -mon a,id=compat_monitor1 -mon b",
    "-chardev null,id=a -object monitor-qmp,id=m,chardev=a -object iothread,id=m",
    "-chardev null,id=a -object monitor-qmp,id=m,chardev=a,close-action=delete", "-object monitor-qmp,help",
    "-chardev null,id=a -mon a,mode=control,pretty=on", "-M none -object monitor-qmp,id=m,chardev=a,close-action=x",
]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_command_lines(line: str) -> None:
    binary = needs("11.1", "x86_64")
    questions = [
        {"execute": "qmp_capabilities"},
        {"execute": "human-monitor-command", "arguments": {"command-line": "info qom-tree /objects"}},
        {"execute": "query-chardev"},
        {"execute": "qom-list-get", "arguments": {"paths": ["/objects/m"]}},
        {"execute": "quit"},
    ]
    text = "".join(json.dumps(question) + "\n" for question in questions)
    outcomes = []
    for command in ([binary], OURS):
        done = subprocess.run(
            [*command, *NONE, *line.split(), "-qmp", "stdio"], input=text, capture_output=True, text=True,
            timeout=SECONDS, check=False, env={**os.environ, "QSHIM_QEMU_VERSION": "11.1"},
        )  # fmt: skip
        replies = [reply for reply in done.stdout.splitlines() if '"QMP"' not in reply and '"event"' not in reply]
        errors = [error.partition(": ")[2] for error in done.stderr.splitlines()]
        outcomes.append((done.returncode, replies, errors))
    assert outcomes[1] == outcomes[0]
