"""What messages say: JSON documents `qshim/mqtt/1`, whose schema is in `schema.py`.

Only `<host>/status` is no JSON: it is `online` or `offline`, as Home Assistant and others expect of a last will.
"""

from __future__ import annotations

import gzip
import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qshim.bridge.defaults import COMPRESS_ABOVE, MAX_PAYLOAD
from qshim.errors import RecordingError
from qshim.layout.compare import Change, compare
from qshim.layout.snapshot import Snapshot
from qshim.layout.snapshot_text import digest, parse, render

__all__ = [
    "OFFLINE",
    "ONLINE",
    "SCHEMA",
    "Limits",
    "Payloads",
    "Position",
    "dropped",
    "encoded",
    "is_message",
    "snapshot_of",
]

SCHEMA = "qshim/mqtt/1"
ONLINE, OFFLINE = b"online", b"offline"
_MOST_TEXT = 64 << 20
"""Bytes that a compressed layout may become when it is read: far more than any, and not all of the memory."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes."""

    payload: int = MAX_PAYLOAD
    """No message is larger."""
    compress: int = COMPRESS_ABOVE
    """Texts of layouts that are larger are compressed."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where an event stands among those of its machine."""

    session: str
    """Another one for each start of a bridge."""
    sequence: int
    """1, 2, 3 ... within the session; a gap is an event that was lost, an equal one was sent twice."""


def encoded(document: Mapping[str, Any]) -> bytes:
    """The bytes of *document*."""
    return json.dumps(document, separators=(",", ":")).encode()


class Payloads:
    """Makes the messages about one machine."""

    def __init__(self, host: str, vm: str, limits: Limits) -> None:
        self._host = host
        self._vm = vm
        self._limits = limits

    def _document(self, kind: str, **members: object) -> Document:
        return {"schema": SCHEMA, "kind": kind, "host": self._host, "vm": self._vm, **members}

    def state(
        self, monitor: str, at: int, *, status: Mapping[str, Any] | None, qemu: str | None, reason: str | None
    ) -> bytes:
        """Whether the machine runs. *status*: what query-status returned, None while nobody can be asked; then
        *reason* says why. *at*: seconds since 1970."""
        known = status or {}
        return encoded(
            self._document(
                "state", attached=status is not None, status=known.get("status"), running=known.get("running"),
                reason=reason, monitor=monitor, qemu=qemu, time=at,
            )
        )  # fmt: skip

    def layout(self, snapshot: Snapshot, at: int) -> bytes:
        """Digest, totals and counts of *snapshot*, seen first at *at*."""
        tree, blocks = snapshot.layout.tree, snapshot.layout.blocks
        return encoded(
            self._document(
                "layout",
                digest=digest(snapshot),
                qemu=snapshot.qemu, target=snapshot.target, machine=snapshot.machine, taken=snapshot.state,
                totals={
                    "used_bytes": sum(block.used_length for block in blocks),
                    "max_bytes": sum(block.max_length for block in blocks),
                    "device_bytes": sum(int(device.get("size", 0)) for device in snapshot.devices),
                },
                counts={
                    "blocks": len(blocks),
                    "devices": len(snapshot.devices),
                    "spaces": sum(len(group.spaces) for group in tree.groups),
                    "regions": sum(len(group.regions) for group in tree.groups)
                    + sum(len(target.regions) for target in tree.targets),
                    "ranges": sum(len(view.ranges) for view in snapshot.layout.flat.views),
                },
                error=None, time=at,
            )
        )  # fmt: skip

    def no_layout(self, reason: str, at: int) -> bytes:
        """The layout cannot be had, for *reason*."""
        unknown = dict.fromkeys(("digest", "qemu", "target", "machine", "taken", "totals", "counts"))
        return encoded(self._document("layout", **unknown, error=reason, time=at))

    def full(self, snapshot: Snapshot) -> bytes:
        """The text of `qshim snapshot`: as it is, compressed, or, where even that is too large, left out."""
        data = render(snapshot).encode("utf-8", "surrogateescape")
        plain = len(data) <= self._limits.compress
        try:
            text, encoding = (data.decode(), "plain") if plain else _compressed(data)
        except UnicodeDecodeError:
            text, encoding = _compressed(data)
        document = self._document("layout-full", digest=digest(snapshot), encoding=encoding, bytes=len(data), text=text)
        payload = encoded(document)
        if len(payload) > self._limits.payload and encoding == "plain":
            text, encoding = _compressed(data)
            payload = encoded({**document, "encoding": encoding, "text": text})
        if len(payload) > self._limits.payload:
            payload = encoded({**document, "encoding": "omitted", "text": None})
        return payload

    def diff(self, before: Snapshot, after: Snapshot, position: Position) -> bytes:
        """What changed between two layouts, by meaning; what does not fit into a message is counted."""
        changes = [_change(change) for change in compare(before.layout, after.layout)]
        added, removed = _only(after.devices, before.devices), _only(before.devices, after.devices)
        document = self._document(
            "layout-diff", session=position.session, sequence=position.sequence,
            changes=[], omitted=len(changes), devices_added=added, devices_removed=removed,
            **{"from": digest(before), "to": digest(after)},
        )  # fmt: skip
        left = self._limits.payload - len(encoded(document))
        if left < 0:
            document.update(devices_added=None, devices_removed=None)
            left = self._limits.payload - len(encoded(document))
        for change in changes:
            left -= len(encoded(change)) + 1
            if left < 0:
                break
            document["changes"].append(change)
        document["omitted"] = len(changes) - len(document["changes"])
        return encoded(document)

    def event(self, event: Mapping[str, Any], position: Position) -> bytes:
        """A QMP event as the monitor told it; data that is too large is left out and its size told."""
        document = self._document(
            "event", session=position.session, sequence=position.sequence, event=event.get("event"),
            timestamp=event.get("timestamp"), data=event.get("data"), omitted=0,
        )  # fmt: skip
        payload = encoded(document)
        if len(payload) > self._limits.payload:
            size = len(encoded({"data": document["data"]}))
            payload = encoded({**document, "data": None, "omitted": size})
        return payload

    def verdict(self, kind: str, verdict: str, exit_status: int, report: Mapping[str, Any] | None, at: int) -> bytes:
        """The result of a `crosscheck` or `check`.

        *report* is the document of `--format json`, None where there is none; one that is too large is left out.
        """
        known = report or {}
        found = known.get("changes", known.get("findings", ()))
        document = self._document(
            kind, verdict=verdict, exit_status=exit_status, found=len(found), report=report, time=at
        )
        payload = encoded(document)
        return payload if len(payload) <= self._limits.payload else encoded({**document, "report": None})

    def reply(self, id_: str | None, *, result: object = None, error: Mapping[str, str] | None = None,
              refused: str | None = None) -> bytes:  # fmt: skip
        """The answer to the request *id_*: QEMU's *result*, its *error*, or why nobody asked it."""
        document = self._document("reply", id=id_, error=error, refused=refused, **{"return": result})
        payload = encoded(document)
        if len(payload) > self._limits.payload:
            refusal = f"the answer has {len(payload)} bytes, and a message may have {self._limits.payload}"
            payload = encoded({**document, "return": None, "error": None, "refused": refusal})
        return payload


def dropped(host: str, counts: Mapping[str, int]) -> bytes:
    """How many events of each machine were lost since the bridge started."""
    return encoded(
        {"schema": SCHEMA, "kind": "dropped", "host": host, "total": sum(counts.values()), "vms": dict(counts)}
    )


def is_message(data: bytes) -> bool:
    """Whether a file that begins with *data* is one of our messages, saved."""
    return data.lstrip().startswith(b"{") and f'"{SCHEMA}"'.encode() in data[:200]


def snapshot_of(payload: bytes, name: str = "the message") -> Snapshot:
    """The layout in a message of `layout/full`; *name* stands in complaints.

    :raises RecordingError: it is no such message, is damaged, or the layout was left out for its size.
    """
    try:
        document = json.loads(payload.decode())
        encoding, text = document["encoding"], document["text"]
        if encoding == "omitted":
            raise RecordingError(f"{name} has no layout: {document['bytes']} bytes are more than a message may have")
        data = str(text).encode() if encoding == "plain" else _decompressed(text)
    except (ValueError, LookupError, TypeError, OSError, zlib.error, RecursionError) as error:
        raise RecordingError(f"{name} holds no layout of a machine: {error}") from error
    return parse(data.decode("utf-8", "surrogateescape"), name)


def _compressed(data: bytes) -> tuple[str, str]:
    # the same bytes for the same layout: no time in it
    return b64encode(gzip.compress(data, mtime=0)).decode(), "gzip+base64"


def _decompressed(text: str) -> bytes:
    whole = zlib.decompressobj(wbits=31)
    data = whole.decompress(b64decode(text, validate=True), _MOST_TEXT)
    if not whole.eof:
        raise ValueError(f"the compressed text is cut, or has more than {_MOST_TEXT} bytes")
    return data


def _change(change: Change) -> Document:
    return {"kind": change.kind, "place": change.place, "what": change.what, "left": change.left, "right": change.right}


def _only(some: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [dict(device) for device in some if device not in others]
