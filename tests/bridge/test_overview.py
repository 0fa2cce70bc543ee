"""The table of `qshim watch` takes whatever anybody publishes."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from qshim.bridge.overview import Overview, filters
from qshim.bridge.payloads import Limits, Payloads, dropped

TOPICS = st.lists(
    st.sampled_from(
        ["qshim", "lab", "web", "%FF", "%", "status", "state", "layout", "crosscheck", "check", "dropped", "\x1b[2J"]
    ),
    min_size=1, max_size=5,
).map("/".join)  # fmt: skip
DOCUMENTS = st.fixed_dictionaries(
    {"schema": st.just("qshim/mqtt/1")},
    optional={
        name: st.none() | st.integers() | st.text() | st.lists(st.integers()) | st.just({"used_bytes": "x"})
        for name in ("status", "totals", "digest", "verdict", "total")
    },
).map(lambda d: json.dumps(d).encode())


@given(st.lists(st.tuples(TOPICS, st.binary() | DOCUMENTS | st.just(b"online"))))
def test_nothing_that_is_published_breaks_it(messages: list[tuple[str, bytes]]) -> None:
    overview = Overview("qshim")
    for topic, payload in messages:
        overview.receive(topic, payload)
    for row in overview.rows:
        for text in (row.host, row.machine, row.state, row.layout, row.crosscheck, row.check):
            assert text.isprintable()
            assert len(text) <= 40


def state(status: str | None) -> bytes:
    known = None if status is None else {"status": status, "running": status == "running"}
    return Payloads("lab", "web", Limits()).state("/s", 0, status=known, qemu="7.2.22", reason=None)


def test_rows_come_and_go() -> None:
    overview = Overview("qshim")
    assert overview.receive("qshim/lab/status", b"online")
    assert overview.receive("qshim/lab/web/state", state("running"))
    verdict = Payloads("lab", "web", Limits()).verdict("check", "clean", 0, None, 0)
    assert overview.receive("qshim/lab/web/check", verdict)
    (row,) = overview.rows
    assert (row.host, row.machine, row.state, row.check, row.online) == ("lab", "web", "running", "clean", True)
    overview.receive("qshim/lab/web/state", state(None))
    overview.receive("qshim/lab/status", b"offline")
    (row,) = overview.rows
    assert (row.state, row.online) == ("unreachable", False)
    overview.receive("qshim/lab/dropped", dropped("lab", {"web": 3, "db": 4}))
    assert overview.dropped == 7
    assert overview.receive("qshim/lab/web/state", b"")
    assert overview.rows == ()


def test_what_is_none_of_ours_is_passed_over() -> None:
    overview = Overview("qshim")
    for topic in ("other/lab/web/state", "qshim/lab", "qshim/lab/web/event/STOP", "qshim/a/b/c/d"):
        assert not overview.receive(topic, state("running"))
    assert not overview.receive("qshim/lab/web/state", b"{}")
    assert overview.passed_over == 1
    assert overview.rows == ()


def test_there_is_a_limit() -> None:
    overview = Overview("qshim")
    for number in range(6000):
        overview.receive(f"qshim/lab/vm{number}/state", state("running"))
        overview.receive(f"qshim/host{number}/status", b"online")
    assert len(overview.rows) == 5000


def test_filters_cover_what_is_shown() -> None:
    assert filters("p")[:2] == ("p/+/status", "p/+/dropped")
    assert "p/+/+/crosscheck" in filters("p")
