"""The recording file, `qshim/recording/1`: what a real QEMU said about one machine, as a value and as JSON.

A `Recording` is a plain value; `loads`/`dumps` turn bytes into it and back, `load`/`save` do so with
a file. `.qrec` is the JSON itself, `.qrec.xz` the same compressed; a reader decides by content, never
by name. Keys are sorted, texts are lists of lines, and what differs between two processes of one
machine is gone (`recording.canonical`), so that two captures of a machine are the same bytes.

Text lines have no line end. HMP ends each line with "\\r\\n"; every text ends with a line end, so
`"\\n".join(lines) + "\\n"` is the text that QEMU gave, with "\\n" as views print it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, NoReturn

from qshim.errors import RecordingError

__all__ = [
    "FLAT_COMMAND", "RAMBLOCK_COMMAND", "SCHEMA", "TREE_COMMAND", "WHENS",
    "QemuVersion", "QomRegion", "Recording", "dumps", "is_recording", "lines_of", "load", "loads", "save",
]  # fmt: skip

SCHEMA = "qshim/recording/1"
WHENS = ("reset", "firmware", "running")
"""Paused before the first instruction (-S); stopped after the firmware ran; a machine that was in use."""

TREE_COMMAND = "info mtree -o -D"
FLAT_COMMAND = "info mtree -f -d -o"
RAMBLOCK_COMMAND = "info ramblock"

_XZ_MAGIC = b"\xfd7zXZ\x00"
_MISSING = object()


class QemuVersion(NamedTuple):
    """The version of a QEMU binary, as query-version names it; *package* is "" where nobody knows it."""

    major: int
    minor: int
    micro: int = 0
    package: str = ""

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.micro}"


class QomRegion(NamedTuple):
    """The four properties that QOM shows of a memory region (spec/recordings.md 6).

    *container* is a QOM path, "" without one; *size* 2^64 - 1 means 2^64.
    """

    container: str
    addr: int
    size: int
    priority: int


@dataclass(frozen=True, slots=True)
class Recording:
    """One captured machine. Texts are tuples of lines without line ends."""

    qemu: QemuVersion
    target: str | None = None
    """`x86_64`, `aarch64` ...; None where pasted text does not tell."""
    machine: str | None = None
    """The machine type with its version (`pc-q35-7.2`), never an alias; None where nobody knows."""
    when: str = "reset"
    kvm: bool = False
    """KVM was the accelerator, so RAM ranges end in ` KVM`."""
    argv: tuple[str, ...] = ()
    """The command line with paths replaced; empty for pasted text and for a QEMU that was attached to."""
    page_bits: int | None = None
    """The target's page size as a power of two, where something told it; no monitor text names it."""
    hmp: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    qmp: Mapping[str, object] = field(default_factory=dict)
    """What each QMP command returned (the value of `return`)."""
    qom: Mapping[str, QomRegion] = field(default_factory=dict)
    """Every memory region of the QOM tree by its path; empty where nobody asked."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Commands that this QEMU has but did not answer, with the reason."""

    def __post_init__(self) -> None:
        if self.when not in WHENS:
            raise RecordingError(f"a recording is taken at one of {', '.join(WHENS)}, not {self.when!r}")

    def text(self, command: str) -> str | None:
        r"""What *command* printed, lines ending in "\n"; None where it is not in the recording.

        >>> Recording(QemuVersion(7, 2), hmp={"info numa": ("0 nodes",)}).text("info numa")
        '0 nodes\n'
        """
        lines = self.hmp.get(command)
        return None if lines is None else "".join(f"{line}\n" for line in lines)

    @property
    def label(self) -> str:
        """A short name for messages: machine, target and version."""
        return f"{self.machine or 'unknown machine'} ({self.target or 'unknown target'}, QEMU {self.qemu})"


def lines_of(text: str) -> tuple[str, ...]:
    r"""The lines of a monitor text, whichever line ends it has.

    >>> lines_of("a\r\n\r\nb\r\n")
    ('a', '', 'b')
    """
    lines = text.replace("\r\n", "\n").split("\n")
    if not lines[-1]:
        del lines[-1]
    return tuple(lines)


def dumps(recording: Recording) -> bytes:
    """The JSON of *recording*: sorted keys, one line of text each, the same bytes for equal recordings."""
    version = recording.qemu
    members: dict[str, object] = {
        "schema": SCHEMA,
        "qemu": {
            "major": version.major,
            "minor": version.minor,
            "micro": version.micro,
            "package": version.package,
        },
        "target": recording.target,
        "machine": recording.machine,
        "when": recording.when,
        "kvm": recording.kvm,
        "argv": list(recording.argv),
        "page_bits": recording.page_bits,
        "hmp": {command: list(lines) for command, lines in recording.hmp.items()},
        "qmp": dict(recording.qmp),
        "qom": {
            path: {"container": r.container, "addr": r.addr, "size": r.size, "priority": r.priority}
            for path, r in recording.qom.items()
        },
        "skipped": dict(recording.skipped),
    }
    return (json.dumps(members, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def loads(data: bytes, name: str = "recording") -> Recording:
    """The recording in *data*, plain or xz; *name* stands in error texts.

    :raises RecordingError: not a recording, truncated, or a member of the wrong type.
    """
    if data.startswith(_XZ_MAGIC):
        data = _unpacked(data, name)
    try:
        document = json.loads(data.decode())
    except UnicodeDecodeError as error:
        raise RecordingError(f"{name} is not a recording: byte {error.start} is no UTF-8") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise RecordingError(f"{name} is not a recording, or is cut short: no valid JSON, {error}") from error
    return _Reader(name).recording(document)


def load(path: str | os.PathLike[str]) -> Recording:
    """The recording in a file, plain or xz.

    :raises RecordingError: unreadable, or not a recording.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise RecordingError(f"cannot read the recording {os.fspath(path)}: {error.strerror}") from error
    return loads(data, os.fspath(path))


def is_recording(path: str | os.PathLike[str]) -> bool:
    """Whether *path* is a recording rather than a program: by its first bytes, or its name if it is not there."""
    try:
        with open(path, "rb") as file:
            head = file.read(len(_XZ_MAGIC))
    except OSError:
        return str(path).endswith((".qrec", ".qrec.xz"))
    return head == _XZ_MAGIC or head[:1] == b"{"


def save(recording: Recording, path: str | os.PathLike[str]) -> None:
    """Write *recording* to a file, compressed when its name ends in `.xz`; all of it or nothing.

    :raises RecordingError: the file cannot be written; what stood there before stays.
    """
    import tempfile

    target = Path(path)
    data = dumps(recording)
    if target.name.endswith(".xz"):
        import lzma

        data = lzma.compress(data, check=lzma.CHECK_CRC32, preset=9 | lzma.PRESET_EXTREME)
    scratch = None
    try:
        handle, scratch = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            umask = os.umask(0)
            os.umask(umask)
            os.fchmod(stream.fileno(), 0o666 & ~umask)
        os.replace(scratch, target)
        scratch = None
    except OSError as error:
        raise RecordingError(f"cannot write the recording {os.fspath(path)}: {error.strerror}") from error
    finally:
        if scratch is not None:
            os.unlink(scratch)


def _unpacked(data: bytes, name: str) -> bytes:
    import lzma

    try:
        return lzma.decompress(data, format=lzma.FORMAT_XZ)
    except lzma.LZMAError as error:
        raise RecordingError(f"{name} is cut short or damaged: {error}") from error


class _Reader:
    """Checks each member while it reads; every complaint names the file and the member."""

    def __init__(self, name: str) -> None:
        self.name = name

    def recording(self, document: object) -> Recording:
        top = self.mapping(document, "the whole file")
        schema = top.get("schema")
        if schema != SCHEMA:
            raise RecordingError(f"{self.name} is not a recording: its schema is {schema!r}, not {SCHEMA!r}")
        self.only(
            top,
            "the whole file",
            ("schema", "qemu", "target", "machine", "when", "kvm", "argv", "page_bits", "hmp", "qmp", "qom", "skipped"),
        )
        when = self.string(self.member(top, "when"), "when")
        if when not in WHENS:
            self.complain("when", f"is {when!r}, not one of {', '.join(WHENS)}")
        kvm = self.member(top, "kvm")
        if not isinstance(kvm, bool):
            self.wrong("kvm", "true or false", kvm)
        page_bits = top.get("page_bits")
        return Recording(
            qemu=self.version(self.member(top, "qemu")),
            target=self.maybe_string(top.get("target"), "target"),
            machine=self.maybe_string(top.get("machine"), "machine"),
            when=when,
            kvm=kvm,
            argv=self.lines(self.member(top, "argv"), "argv"),
            page_bits=None if page_bits is None else self.integer(page_bits, "page_bits", 1, 30),
            hmp={c: self.lines(v, f"hmp {c!r}") for c, v in self.mapping(self.member(top, "hmp"), "hmp").items()},
            qmp=self.mapping(self.member(top, "qmp"), "qmp"),
            qom={p: self.region(v, p) for p, v in self.mapping(self.member(top, "qom"), "qom").items()},
            skipped={
                c: self.string(v, f"skipped {c!r}")
                for c, v in self.mapping(self.member(top, "skipped"), "skipped").items()
            },
        )

    def version(self, value: object) -> QemuVersion:
        members = self.mapping(value, "qemu")
        self.only(members, "qemu", ("major", "minor", "micro", "package"))
        return QemuVersion(
            major=self.integer(members.get("major", _MISSING), "qemu major", 0, 999),
            minor=self.integer(members.get("minor", _MISSING), "qemu minor", 0, 999),
            micro=self.integer(members.get("micro", _MISSING), "qemu micro", 0, 999),
            package=self.string(members.get("package", ""), "qemu package"),
        )

    def region(self, value: object, path: str) -> QomRegion:
        where = f"qom {path!r}"
        members = self.mapping(value, where)
        self.only(members, where, ("container", "addr", "size", "priority"))
        word = (1 << 64) - 1
        return QomRegion(
            container=self.string(members.get("container", _MISSING), f"{where} container"),
            addr=self.integer(members.get("addr", _MISSING), f"{where} addr", 0, word),
            size=self.integer(members.get("size", _MISSING), f"{where} size", 0, word),
            priority=self.integer(members.get("priority", _MISSING), f"{where} priority", -(1 << 31), (1 << 31) - 1),
        )

    def member(self, top: Mapping[str, object], key: str) -> object:
        if key not in top:
            raise RecordingError(f"{self.name} has no member {key!r}; was it cut by hand?")
        return top[key]

    def only(self, members: Mapping[str, object], where: str, known: tuple[str, ...]) -> None:
        foreign = sorted(set(members) - set(known))
        if foreign:
            self.complain(where, f"has the unknown member {foreign[0]!r}; {SCHEMA} knows {', '.join(known)}")

    def mapping(self, value: object, where: str) -> dict[str, object]:
        if not isinstance(value, dict):
            self.wrong(where, "an object", value)
        return value

    def string(self, value: object, where: str) -> str:
        if not isinstance(value, str):
            self.wrong(where, "a string", value)
        return value

    def maybe_string(self, value: object, where: str) -> str | None:
        return None if value is None else self.string(value, where)

    def integer(self, value: object, where: str, low: int, high: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            self.wrong(where, "an integer", value)
        if not low <= value <= high:
            self.complain(where, f"is {value}, outside {low}..{high}")
        return value

    def lines(self, value: object, where: str) -> tuple[str, ...]:
        if not isinstance(value, list):
            self.wrong(where, "a list of strings", value)
        for number, line in enumerate(value):
            if not isinstance(line, str):
                self.wrong(f"{where} line {number + 1}", "a string", line)
            if "\n" in line:
                self.complain(f"{where} line {number + 1}", "holds a line end; each line is one string")
        return tuple(value)

    def wrong(self, where: str, wanted: str, value: object) -> NoReturn:
        found = "missing" if value is _MISSING else _kind(value)
        self.complain(where, f"must be {wanted}, but is {found}")

    def complain(self, where: str, what: str) -> NoReturn:
        raise RecordingError(f"{self.name} is no valid recording: {where} {what}")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the string {value[:40]!r}"
    return "a list" if isinstance(value, list) else "an object"
