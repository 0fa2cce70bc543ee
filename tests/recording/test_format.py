"""The recording file: round trips, what is refused and in which words, and that writing is all or nothing."""

from __future__ import annotations

import json
import lzma
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qshim.errors import RecordingError
from qshim.recording.format import QemuVersion, QomRegion, Recording, dumps, lines_of, load, loads, save

VERSION = QemuVersion(10, 0, 13, "Debian 1:10.0.13")
SMALL = Recording(
    VERSION,
    target="x86_64",
    machine="none",
    argv=("qemu-system-x86_64", "-M", "none"),
    hmp={"info mtree": ("address-space: memory", "  ...", "")},
    qmp={"query-kvm": {"enabled": False, "present": True}},
    qom={"/machine/unattached/system[0]": QomRegion("", 0, (1 << 64) - 1, -1)},
    skipped={"info mtree -o": "no answer within 20 s"},
)

text = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=20)
words = st.integers(0, (1 << 64) - 1)
recordings = st.builds(
    Recording,
    st.builds(QemuVersion, st.integers(0, 99), st.integers(0, 9), st.integers(0, 99), text),
    target=st.none() | text,
    machine=st.none() | text,
    when=st.sampled_from(["reset", "firmware", "running"]),
    kvm=st.booleans(),
    argv=st.lists(text, max_size=3).map(tuple),
    page_bits=st.none() | st.integers(8, 16),
    hmp=st.dictionaries(text, st.lists(text, max_size=4).map(tuple), max_size=3),
    qmp=st.dictionaries(text, st.none() | st.booleans() | words | text | st.lists(text, max_size=2), max_size=3),
    qom=st.dictionaries(text, st.builds(QomRegion, text, words, words, st.integers(-9, 9)), max_size=3),
    skipped=st.dictionaries(text, text, max_size=2),
)


@given(recordings)
def test_what_is_written_is_read_back_equal(recording: Recording) -> None:
    data = dumps(recording)
    assert loads(data) == recording
    assert dumps(loads(data)) == data
    assert loads(lzma.compress(data)) == recording


@given(st.lists(text, max_size=5))
def test_a_text_is_its_lines(lines: list[str]) -> None:
    hmp = "".join(f"{line}\r\n" for line in lines)
    assert Recording(VERSION, hmp={"x": lines_of(hmp)}).text("x") == hmp.replace("\r\n", "\n")


def test_keys_are_sorted_so_that_insertion_order_does_not_show() -> None:
    one = Recording(VERSION, hmp={"info b": (), "info a": ()})
    other = Recording(VERSION, hmp={"info a": (), "info b": ()})
    assert dumps(one) == dumps(other)


def test_a_reader_decides_by_content_not_by_name(tmp_path: Path) -> None:
    save(SMALL, tmp_path / "a.qrec.xz")
    (tmp_path / "a.qrec.xz").rename(tmp_path / "a.qrec")
    assert (tmp_path / "a.qrec").read_bytes().startswith(b"\xfd7zXZ")
    assert load(tmp_path / "a.qrec") == SMALL


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("schema",), "qshim/other/1", "is not a recording: its schema is 'qshim/other/1', not 'qshim/recording/1'"),
        (("when",), "later", "when is 'later', not one of reset, firmware, running"),
        (("kvm",), 1, "kvm must be true or false, but is the number 1"),
        (("page_bits",), 99, "page_bits is 99, outside 1..30"),
        (("page_bits",), True, "page_bits must be an integer, but is a boolean"),
        (("argv",), "-M none", "argv must be a list of strings, but is the string '-M none'"),
        (("hmp", "info mtree"), ["ok", 7], "hmp 'info mtree' line 2 must be a string, but is the number 7"),
        (("hmp", "info mtree"), ["a\nb"], "hmp 'info mtree' line 1 holds a line end; each line is one string"),
        (("hmp",), [], "hmp must be an object, but is a list"),
        (("qemu", "major"), "10", "qemu major must be an integer, but is the string '10'"),
        (("qemu", "codename"), "x", "qemu has the unknown member 'codename'"),
        (("qom", "/machine/unattached/system[0]", "size"), 1 << 64, "size is 18446744073709551616, outside 0.."),
        (("extra",), 1, "the whole file has the unknown member 'extra'"),
        (("skipped", "x"), None, "skipped 'x' must be a string, but is null"),
    ],
)
def test_a_wrong_member_is_named(path: tuple[str, ...], value: object, complaint: str) -> None:
    document = json.loads(dumps(SMALL))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(RecordingError) as caught:
        loads(json.dumps(document).encode(), "some.qrec")
    assert str(caught.value).startswith("some.qrec is ")
    assert complaint in str(caught.value)


@pytest.mark.parametrize("member", ["qemu", "when", "kvm", "argv", "hmp", "qmp", "qom", "skipped"])
def test_a_missing_member_is_named(member: str) -> None:
    document = json.loads(dumps(SMALL))
    del document[member]
    with pytest.raises(RecordingError, match=f"some.qrec has no member '{member}'"):
        loads(json.dumps(document).encode(), "some.qrec")


@given(st.data())
def test_every_truncation_is_refused(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([dumps(SMALL).rstrip(), lzma.compress(dumps(SMALL))]))
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(RecordingError):
        loads(whole[:cut])


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused_without_a_traceback(junk: bytes) -> None:
    with pytest.raises(RecordingError):
        loads(junk)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(RecordingError):
        loads(b"[" * 100_000)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"cannot read the recording .*gone\.qrec: No such file or directory"):
        load(tmp_path / "gone.qrec")


def test_saving_replaces_whole_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.qrec"
    save(SMALL, path)
    before = path.read_bytes()

    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RecordingError, match="No space left on device"):
        save(Recording(VERSION), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.qrec"]


def test_saving_into_a_missing_directory_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file or directory"):
        save(SMALL, tmp_path / "no" / "a.qrec")


def test_the_json_schema_names_the_same_members() -> None:
    from qshim.recording.schema import RECORDING

    properties = RECORDING["properties"]
    assert isinstance(properties, dict)
    assert set(properties) == set(json.loads(dumps(SMALL)))
    assert set(properties["qemu"]["properties"]) == {"major", "minor", "micro", "package"}
