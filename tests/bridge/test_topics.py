"""Names of topics."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qshim.bridge.broker import broker_of, machine_at
from qshim.bridge.topics import Names, Topics, escaped, stem, unescaped
from qshim.errors import UsageError

ANY_TEXT = st.text(st.characters(exclude_categories=()))
ANY_NAME = ANY_TEXT.filter(bool)


@given(ANY_NAME)
def test_a_name_becomes_one_level_that_mqtt_has(name: str) -> None:
    level = escaped(name)
    assert level
    assert not set("/+#\0") & set(level)
    assert len(level.encode()) < 4 * 256


@given(ANY_NAME)
def test_a_name_is_found_again(name: str) -> None:
    level = escaped(name)
    if len(level) < 200 and _is_file_name(name):
        assert unescaped(level) == name


def _is_file_name(name: str) -> bool:
    """Whether Python reads it back from the bytes that it stands for."""
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") == name
    except UnicodeEncodeError:
        return False


@given(ANY_NAME, ANY_NAME)
def test_two_names_are_two_levels(one: str, other: str) -> None:
    assert (escaped(one) == escaped(other)) == (one == other)


def test_long_names_differ_by_their_hash() -> None:
    assert escaped("x" * 300) != escaped("x" * 301)
    assert len(escaped("/" * 5000)) == 213


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["web", "web-2", "db"])), max_size=30))
def test_no_two_machines_have_one_name(claims: list[tuple[int, str]]) -> None:
    names = Names()
    now: dict[int, tuple[str, str]] = {}
    for machine, wanted in claims:
        before = now.get(machine)
        given = names.claim(machine, wanted)
        assert given == wanted or given.startswith(f"{wanted}-")
        if before is not None and before[0] == wanted:
            assert given == before[1], "a machine keeps its name"
        now[machine] = wanted, given
        assert len({name for _, name in now.values()}) == len(now)


@pytest.mark.parametrize(
    ("address", "name"),
    [("/run/qemu/web.sock", "web"), ("vm.sock", "vm"), ("./a/b.c.sock", "b.c"), ("host:4444", "host:4444"),
     ("[::1]:4444", "[::1]:4444"), ("/", "/"), ("/run/.sock", ".sock")],
)  # fmt: skip
def test_stems(address: str, name: str) -> None:
    assert stem(address) == name


def test_the_topics_of_a_machine() -> None:
    machine = Topics("lab/qemu", "host#1").machine("a/b")
    assert machine.base == "lab/qemu/host%231/a%2Fb"
    assert machine.event("STOP") == "lab/qemu/host%231/a%2Fb/event/STOP"


@pytest.mark.parametrize(
    ("url", "shown", "prefix"),
    [
        ("mqtt://broker", "mqtt://broker:1883", "qshim"),
        ("mqtt://broker:1/lab/x/", "mqtt://broker:1", "lab/x"),
        ("mqtts://broker", "mqtts://broker:8883", "qshim"),
        ("mqtt://[::1]:9/p", "mqtt://[::1]:9", "p"),
        ("ws://broker/mqtt", "ws://broker:80", "qshim"),
        ("wss://broker:8/x?prefix=a/b", "wss://broker:8", "a/b"),
        ("mqtt://broker?prefix=a", "mqtt://broker:1883", "a"),
    ],
)
def test_urls(url: str, shown: str, prefix: str) -> None:
    broker = broker_of(url)
    assert (str(broker), broker.prefix) == (shown, prefix)


@pytest.mark.parametrize(
    "url",
    ["", "broker", "http://broker", "mqtt://", "mqtt://broker:0", "mqtt://broker:70000", "mqtt://broker:x",
     "mqtt://broker/a//b", "mqtt://broker/$SYS", "mqtt://broker/a%2Bb", "mqtt://broker/a#b", "mqtt://broker?x=1",
     "mqtt://[::1", "ws://broker?prefix="],
)  # fmt: skip
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(UsageError, match="--mqtt"):
        broker_of(url)


@pytest.mark.parametrize("url", ["mqtt://me:hush@broker", "mqtt://hush@broker", "mqtt://me:hush@[::1", "mqtt://me:hush@h:x"])
def test_a_password_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        broker_of(url)
    assert "hush" not in str(caught.value)


def test_where_a_machine_is() -> None:
    broker, base = machine_at("mqtt://broker:5/qshim/lab/web%2F1 x")
    assert (str(broker), base) == ("mqtt://broker:5", "qshim/lab/web%2F1 x")
    broker, base = machine_at("ws://broker/mqtt?prefix=qshim/lab/web")
    assert (broker.websocket, base) == ("/mqtt", "qshim/lab/web")
    for wrong in ("mqtt://broker", "mqtt://broker/qshim/lab", "mqtt://broker/qshim//web", "mqtt://broker/qshim/+/web"):
        with pytest.raises(UsageError, match="PREFIX/HOST/VM"):
            machine_at(wrong)
