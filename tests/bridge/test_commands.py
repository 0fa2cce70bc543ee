"""Requests from the broker: nothing that was not allowed gets through, whatever they look like."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qshim.bridge.commands import LARGEST, AllowList, Refusal, Request, read_request
from qshim.bridge.defaults import ALLOWED
from qshim.errors import UsageError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
MEMBERS = st.fixed_dictionaries(
    {}, optional={"id": JSON, "execute": JSON, "arguments": JSON, "info": JSON, "exec-oob": JSON, "control": JSON}
)


def request(**members: Any) -> Request:
    return read_request(json.dumps({"id": "1", **members}).encode())


@given(st.binary() | MEMBERS.map(lambda m: json.dumps(m).encode()))
def test_anything_is_read_or_refused(payload: bytes) -> None:
    try:
        read = read_request(payload)
    except Refusal:
        return
    assert 0 < len(read.id) <= 128
    assert (read.command == "info") == (read.line is not None)
    if read.line is not None:
        assert read.line.split(" ")[0] == "info"
        assert read.line.isprintable()


@given(st.from_regex(r"(x-)?(query-|qom-)?[A-Za-z0-9_-]+", fullmatch=True))
def test_a_pattern_allows_only_what_reads(name: str) -> None:
    """Whatever the name: `*` passes on nothing that could change a machine."""
    refusal = AllowList("*").refusal(Request("1", name, {}))
    reads = name.startswith(("query-", "x-query-")) or name in ("qom-list", "qom-get", "qom-list-get", "info")
    assert (refusal is None) == reads


@pytest.mark.parametrize("name", ["human-monitor-command", "qmp_capabilities"])
@pytest.mark.parametrize("allowed", ["*", "query-*,info", "h*", "?uman-monitor-command"])
def test_there_is_no_way_around(name: str, allowed: str) -> None:
    refusal = AllowList(allowed).refusal(request(execute=name, arguments={"command-line": "quit"}))
    assert refusal is not None
    assert "never" in refusal


def test_what_changes_a_machine_is_named_in_full() -> None:
    assert AllowList("stop").refusal(request(execute="stop")) is None
    refusal = AllowList("st*").refusal(request(execute="stop"))
    assert refusal is not None
    assert "may change" in refusal
    refusal = AllowList(ALLOWED).refusal(request(execute="stop"))
    assert refusal == "stop is not allowed here; allowed: query-*, info"


@pytest.mark.parametrize(
    "words", ["", "a,,b", "query-*,", "human-monitor-command", "qmp_capabilities", "a b", "query/*"]
)
def test_lists_that_are_none(words: str) -> None:
    with pytest.raises(UsageError, match="--allow-commands"):
        AllowList(words)


BOMBS = {
    "deep lists": b'{"id":"1","execute":"query-status","arguments":' + b"[" * 30000 + b"]" * 30000 + b"}",
    "deep objects": b'{"id":"1","execute":"query-status","arguments":' + b'{"a":' * 10000 + b"1" + b"}" * 10000 + b"}",
    "as deep as JSON goes": b'{"id":"1","execute":"q","arguments":{"a":' + b"[" * 33 + b"]" * 33 + b"}}",
    "a huge number": b'{"id":"1","execute":"query-status","arguments":{"a":' + b"9" * 60000 + b"}}",
    "a large number": b'{"id":"1","execute":"query-status","arguments":{"a":18446744073709551616}}',
    "infinity": b'{"id":"1","execute":"query-status","arguments":{"a":1e999}}',
    "not a number": b'{"id":"1","execute":"query-status","arguments":{"a":NaN}}',
    "half a pair": b'{"id":"1","execute":"query-status","arguments":{"a":"\\ud800"}}',
    "a zero character": b'{"id":"1","execute":"query-status","arguments":{"a\\u0000":1}}',
    "too large": b'{"id":"1","execute":"query-status","arguments":{"a":"' + b"x" * LARGEST + b'"}}',
    "no UTF-8": b'{"id":"1","execute":"query-\xff"}',
    "UTF-16": '{"id":"1","execute":"query-status"}'.encode("utf-16"),
    "two documents": b'{"id":"1","execute":"query-status"}{"execute":"quit"}',
    "a list": b'[{"id":"1","execute":"query-status"}]',
    "nothing": b"",
    "no id": b'{"execute":"query-status"}',
    "an id that is a number": b'{"id":1,"execute":"query-status"}',
    "an endless id": json.dumps({"id": "x" * 129, "execute": "query-status"}).encode(),
    "out of band": b'{"id":"1","exec-oob":"query-status"}',
    "both": b'{"id":"1","execute":"query-status","info":"status"}',
    "a name that is none": b'{"id":"1","execute":"query-status\\r\\nquit"}',
    "a name that is a list": b'{"id":"1","execute":["quit"]}',
    "arguments that are a list": b'{"id":"1","execute":"query-status","arguments":[]}',
    "two lines": b'{"id":"1","info":"status\\nquit"}',
    "a long line": json.dumps({"id": "1", "info": "x" * 2000}).encode(),
    "a line that is a number": b'{"id":"1","info":7}',
    "execute info": b'{"id":"1","execute":"info"}',
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str) -> None:
    with pytest.raises(Refusal):
        read_request(BOMBS[name])


def test_of_two_equal_keys_the_last_counts_once() -> None:
    read = read_request(b'{"id":"1","execute":"quit","execute":"query-status"}')
    assert read.command == "query-status", "what is checked is what is sent"
