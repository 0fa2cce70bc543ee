"""What messages say, and that they keep within their limits; all are held against the schema."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from qshim.bridge.backoff import Backoff
from qshim.bridge.payloads import Limits, Payloads, Position, dropped, encoded, is_message, snapshot_of
from qshim.bridge.schema import MQTT_SCHEMA
from qshim.cli import main
from qshim.errors import RecordingError
from qshim.layout.snapshot import Snapshot
from qshim.layout.snapshot_text import render
from qshim.recording.format import load

DATA = Path(__file__).parents[2] / "qshim" / "data" / "recordings"
VALIDATOR = Draft202012Validator(MQTT_SCHEMA)
AT = Position("s", 1)


@pytest.fixture(scope="module")
def q35() -> Snapshot:
    return Snapshot.of_recording(load(DATA / "11.1" / "x86_64" / "pc-q35-11.1.qrec.xz"))


@pytest.fixture(scope="module")
def isapc() -> Snapshot:
    return Snapshot.of_recording(load(DATA / "11.1" / "x86_64" / "isapc.qrec.xz"))


def test_the_schema_is_one_and_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    Draft202012Validator.check_schema(MQTT_SCHEMA)
    assert main(["schema", "mqtt"]) == 0
    assert json.loads(capsys.readouterr().out) == MQTT_SCHEMA


def valid(payload: bytes) -> Any:
    document = json.loads(payload)
    VALIDATOR.validate(document)
    return document


def payloads(size: int = 128 << 10, compress: int = 16 << 10) -> Payloads:
    return Payloads("lab", "web", Limits(size, compress))


@pytest.mark.parametrize(
    ("limits", "encoding"),
    [((1 << 20, 1 << 20), "plain"), ((1 << 20, 100), "gzip+base64"), ((32 << 10, 1 << 20), "gzip+base64"),
     ((4096, 100), "omitted")],
)  # fmt: skip
def test_a_layout_is_plain_compressed_or_left_out(q35: Snapshot, limits: tuple[int, int], encoding: str) -> None:
    payload = payloads(*limits).full(q35)
    assert len(payload) <= limits[0]
    document = valid(payload)
    assert document["encoding"] == encoding
    assert document["bytes"] == len(render(q35).encode())
    if encoding == "omitted":
        with pytest.raises(RecordingError, match=f"{document['bytes']} bytes are more"):
            snapshot_of(payload)
    else:
        assert snapshot_of(payload) == q35


def test_the_same_layout_is_the_same_message(q35: Snapshot) -> None:
    assert payloads(compress=0).full(q35) == payloads(compress=0).full(q35)


def test_a_layout_in_short(q35: Snapshot) -> None:
    document = valid(payloads().layout(q35, 7))
    assert (document["machine"], document["qemu"], document["time"]) == ("pc-q35-11.1", "11.1", 7)
    assert document["counts"]["blocks"] == len(q35.layout.blocks) > 0
    assert document["totals"]["used_bytes"] == sum(block.used_length for block in q35.layout.blocks)
    assert valid(payloads().no_layout("why", 7))["error"] == "why"


@pytest.mark.parametrize("size", [4096, 8192, 128 << 10])
def test_a_diff_names_as_many_changes_as_fit(q35: Snapshot, isapc: Snapshot, size: int) -> None:
    payload = payloads(size).diff(isapc, q35, AT)
    assert len(payload) <= size
    document = valid(payload)
    whole = valid(payloads(1 << 20).diff(isapc, q35, AT))["changes"]
    assert document["changes"] == whole[: len(document["changes"])]
    assert document["omitted"] == len(whole) - len(document["changes"])
    assert (document["omitted"] > 0) == (size < 128 << 10)


@given(st.text(), st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_events(name: str, data: dict[str, Any]) -> None:
    payload = payloads(4096).event({"event": name, "timestamp": {"seconds": 1, "microseconds": 2}, "data": data}, AT)
    if len(name) < 300:
        document = valid(payload)
        assert len(payload) <= 4096
        assert document["data"] == data or document["omitted"] > 3000


def test_a_large_event_tells_its_size() -> None:
    document = valid(payloads(4096).event({"event": "X", "data": {"a": "x" * 5000}}, AT))
    assert (document["data"], document["omitted"] > 5000) == (None, True)


def test_replies() -> None:
    assert valid(payloads().reply("1", result=[1]))["return"] == [1]
    assert valid(payloads().reply("1", error={"class": "X", "desc": "y"}))["error"] == {"class": "X", "desc": "y"}
    assert valid(payloads().reply(None, refused="no"))["refused"] == "no"
    large = valid(payloads(4096).reply("1", result="x" * 5000))
    assert large["return"] is None
    assert "a message may have 4096" in large["refused"]


def test_verdicts() -> None:
    document = valid(payloads().verdict("crosscheck", "differs", 1, {"changes": [1, 2]}, 5))
    assert (document["found"], document["report"]) == (2, {"changes": [1, 2]})
    large = valid(payloads(4096).verdict("check", "findings", 1, {"findings": ["x" * 5000]}, 5))
    assert (large["found"], large["report"]) == (1, None)
    assert valid(payloads().verdict("check", "incomplete", 3, None, 5))["found"] == 0
    assert valid(dropped("lab", {"web": 2, "db": 1}))["total"] == 3


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{", b"[]", b"null", b"\xff", b'{"encoding":"plain"}', b'{"encoding":"gzip+base64","text":"!"}',
        encoded({"encoding": "gzip+base64", "text": b64encode(gzip.compress(b"x")[:-9]).decode()}),
        encoded({"encoding": "gzip+base64", "text": b64encode(gzip.compress(bytes(65 << 20))).decode()}),
        encoded({"encoding": "gzip+base64", "text": 5}), encoded({"encoding": "plain", "text": "no layout"}),
        encoded({"encoding": "omitted", "text": None}), b"[" * 100000,
    ],
)  # fmt: skip
def test_messages_that_hold_no_layout(payload: bytes) -> None:
    with pytest.raises(RecordingError, match=r"the message|snapshot"):
        snapshot_of(payload)


def test_a_saved_message_is_known_by_its_beginning(q35: Snapshot) -> None:
    payload = payloads().full(q35)
    assert is_message(payload + b"\n")
    assert is_message(json.dumps(json.loads(payload), indent=2).encode())
    assert not is_message(render(q35).encode())
    assert not is_message(b'{"schema": "qshim/recording/1"}')


def test_waits_double_and_vary() -> None:
    least, most = Backoff(1, 8, lambda: 0.0), Backoff(1, 8, lambda: 1.0)
    assert [least.wait() for _ in range(5)] == [0.5, 1, 2, 4, 4]
    assert [most.wait() for _ in range(5)] == [1, 2, 4, 8, 8]
    most.reset()
    assert most.wait() == 1
