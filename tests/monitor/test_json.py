"""QEMU's JSON dialect: laws over any input and any chunking, against the standard library where both agree."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qshim.monitor.json import JsonError, Scanner, dumps
from qshim.monitor.json.scanner import MAX_DEPTH, MAX_TOKENS
from qshim.monitor.json.writer import bucket

DIALECTS = [False, True]
# the alphabet of the lexer's decisions, and whole tokens, so that soup gets far into the grammar
SOUP = st.lists(
    st.one_of(
        st.sampled_from([
            b"{", b"}", b"[", b"]", b":", b",", b'"', b"'", b"\\", b"\\u", b"\\ud83d", b"\\ude00", b"0", b"1", b"-",
            b".", b"e", b"+", b"true", b"null", b"nul", b" ", b"\n", b"\t", b"\r", b"\0", b"\x1f", b"\x7f", b"\xff",
            b"\xfe", b"\xc3\xa9", b"\xc0\x80", b"\xed\xa0\x80", b"\xef\xbf\xbf", b"%", b"@", b'"a"', b"'b'", b'"a":1',
            b"12.5e3", b'{"execute":"x"}', b"18446744073709551616",
        ]),
        st.binary(max_size=3),
    ),
    max_size=40,
).map(b"".join)  # fmt: skip
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def scan(data: bytes, incremental: bool, step: int = 0) -> list[str]:
    """Everything that *data* gives, as text (NaN is not equal to itself, a text is)."""
    scanner = Scanner(incremental)
    items: list[object] = []
    for at in range(0, len(data), step or len(data) or 1):
        items += scanner.feed(data[at : at + (step or len(data))])
    return [repr(item) if isinstance(item, JsonError) else dumps(item) for item in items]


@pytest.mark.parametrize("incremental", DIALECTS)
@given(data=SOUP, step=st.integers(1, 9))
def test_chunking_changes_nothing(incremental: bool, data: bytes, step: int) -> None:
    assert scan(data, incremental, step) == scan(data, incremental)


@pytest.mark.parametrize("incremental", DIALECTS)
@given(data=SOUP)
def test_0xff_and_a_bracket_bring_any_stream_back(incremental: bool, data: bytes) -> None:
    scanner = Scanner(incremental)
    scanner.feed(data)
    scanner.feed(b"\xff\xff")
    assert scanner.feed(b'{"a":1}') == [{"a": 1}]


@given(data=SOUP)
def test_both_dialects_take_the_same_values(data: bytes) -> None:
    # after an error they may differ in where the next message begins; before one they may not
    for old, new in zip(scan(data, False), scan(data, True), strict=False):
        if old.startswith("JsonError") or new.startswith("JsonError"):
            break
        assert old == new


@pytest.mark.parametrize("incremental", DIALECTS)
@given(value=st.dictionaries(st.text(max_size=5), PLAIN, max_size=5), ascii_only=st.booleans())
def test_what_the_standard_library_writes_is_read(
    incremental: bool, value: dict[str, object], ascii_only: bool
) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    items = Scanner(incremental).feed(data)
    if isinstance(items[0], JsonError):
        # QEMU has no raw control characters (the library escapes them) and no noncharacters
        assert "valid Unicode" in items[0].text or "invalid UTF-8" in items[0].text
    else:
        assert items == [value]


@given(value=PLAIN, pretty=st.booleans())
def test_what_is_written_is_json_and_reads_back(value: object, pretty: bool) -> None:
    assert json.loads(dumps(value, pretty)) == value


@given(value=PLAIN)
def test_depth_does_not_change_what_is_written(value: object) -> None:
    deep = value
    for _ in range(30):
        deep = [deep]
    assert dumps(deep) == "[" * 30 + dumps(value) + "]" * 30


@pytest.mark.parametrize("incremental", DIALECTS)
@given(value=st.dictionaries(st.text(max_size=5), PLAIN, max_size=5))
def test_the_fast_path_gives_what_the_exact_one_gives(incremental: bool, value: dict[str, object]) -> None:
    data = json.dumps(value).encode()
    exact = Scanner(incremental)
    # a message that has begun goes on on the exact path
    items = exact.feed(data[:1]) + exact.feed(data[1:])
    assert [repr(item) for item in items] == [repr(item) for item in Scanner(incremental).feed(data)]


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}',
        '{"a":NaN}',
        '{"a":0e1}',
        '{"a":01}',
        '{"a":1}}',
        '{"a":"\t"}',
        '{"a":"\\ud800"}',
        '{"a":-Infinity}',
    ],
)
def test_what_the_standard_library_would_let_through_is_refused(text: str) -> None:
    assert any(item.startswith("JsonError") for item in scan(text.encode(), False))


@pytest.mark.parametrize(
    ("number", "printed"),
    [("9223372036854775807", "9223372036854775807"), ("18446744073709551615", "18446744073709551615"),
     ("18446744073709551616", "1.8446744073709552e+19"), ("-9223372036854775809", "-9.2233720368547758e+18"),
     ("1" + "0" * 5000, "inf"), ("1e400", "inf"), ("-0", "0"), ("-0.0", "-0"), ("0.1", "0.10000000000000001")],
)  # fmt: skip
def test_numbers(number: str, printed: str) -> None:
    assert scan(f"[{number}]".encode(), False) == [f"[{printed}]"]


def test_keys_are_printed_in_qemus_order_and_equal_slots_latest_first() -> None:
    assert bucket("status") == bucket("singlestep")
    assert dumps({"running": 1, "singlestep": 2, "status": 3}) == '{"status": 3, "singlestep": 2, "running": 1}'
    assert dumps({"status": 3, "singlestep": 2}) == '{"singlestep": 2, "status": 3}'


def test_pretty_form() -> None:
    assert dumps({"return": {}, "id": [1, []]}, pretty=True) == (
        '{\n    "return": {\n    },\n    "id": [\n        1,\n        [\n        ]\n    ]\n}'
    )


@pytest.mark.parametrize("incremental", DIALECTS)
def test_depth_limit(incremental: bool) -> None:
    limit = "JsonError('JSON nesting depth limit exceeded')"
    assert scan(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, incremental) == ["[" * MAX_DEPTH + "]" * MAX_DEPTH]
    assert scan(b"[" * 1025 + b"]" * 1025, incremental)[0] == limit
    # also for a message that the standard library could take
    assert scan(b'{"a":' + b"[" * 1024 + b"]" * 1024 + b"}", incremental)[0] == limit


@pytest.mark.parametrize("incremental", DIALECTS)
def test_token_limit(incremental: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_TOKENS == 2_097_152
    monkeypatch.setattr("qshim.monitor.json.scanner.MAX_TOKENS", 1000)
    assert scan(b"[" + b"1," * 498 + b"11]", incremental)[0].startswith("[1, ")
    assert scan(b"[" + b"1," * 499 + b"1]", incremental)[0] == "JsonError('JSON token count limit exceeded')"


@pytest.mark.parametrize("incremental", DIALECTS)
def test_an_endless_string_is_given_up(incremental: bool) -> None:
    scanner = Scanner(incremental)
    piece = b"x" * (1 << 20)
    assert scanner.feed(b'"' + piece) == []
    items: list[object] = []
    for _ in range(64):
        items += scanner.feed(piece)
    assert items[0] == JsonError("JSON token size limit exceeded")
    assert len(scanner._partial) <= 64 << 20
