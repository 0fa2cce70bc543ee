"""Make a recording from pasted monitor texts.

Bug reports and CI logs hold what people pasted: prompts, quotation marks and trailing words are
dropped, flags and the version's dialect are found out from the text.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from qshim.errors import RecordingError, UsageError
from qshim.recording.format import QemuVersion, save

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `qshim import`."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--mtree", metavar="FILE", help="info mtree, best with -o -D; - is stdin")
    source.add_argument(
        "--capture", metavar="FILE", help="a JSON file with the members hmp, qmp, version and argv, from one QEMU"
    )
    parser.add_argument("--flat", metavar="FILE", help="info mtree -f, best with -d -o")
    parser.add_argument("--ramblock", metavar="FILE", help="info ramblock")
    parser.add_argument("--qemu-version", metavar="V", help="the QEMU that printed it (default: by the text)")
    parser.add_argument("--target", metavar="NAME", help="its target, such as x86_64")
    parser.add_argument("--machine", metavar="NAME", help="its machine type, such as pc-q35-7.2")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the recording; .xz compresses")


def run(args: argparse.Namespace) -> int:
    """Read the texts and write the recording."""
    if args.qemu_argv is not None:
        raise UsageError("import starts no QEMU; leave out -- and what stands behind it")
    if args.capture is not None:
        return _from_capture(args)
    from qshim.recording.importing import from_texts

    version = None
    if args.qemu_version is not None:
        match = re.fullmatch(r"(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?", args.qemu_version)
        if match is None:
            raise UsageError(f"--qemu-version {args.qemu_version} is no version; give it as 7.2 or 10.0.13")
        version = QemuVersion(int(match[1]), int(match[2]), int(match[3] or 0))
    recording = from_texts(
        _read(args.mtree),
        None if args.flat is None else _read(args.flat),
        None if args.ramblock is None else _read(args.ramblock),
        version=version,
        target=args.target,
        machine=args.machine,
    )
    save(recording, args.output)
    guess = "" if version else f", taken for QEMU {recording.qemu} (--qemu-version overrides)"
    print(f"{args.output}: {', '.join(recording.hmp)}{guess}", file=sys.stderr)
    return 0


def _from_capture(args: argparse.Namespace) -> int:
    """A capture says all of it itself, so nothing else may be said."""
    import json

    from qshim.recording.importing import from_corpus

    for option in ("flat", "ramblock", "qemu_version", "target", "machine"):
        if getattr(args, option) is not None:
            raise UsageError(f"--capture holds everything; leave out --{option.replace('_', '-')}")
    try:
        capture = json.loads(_read(args.capture))
    except ValueError as error:
        raise RecordingError(f"{args.capture} is no capture: no valid JSON, {error}") from error
    if not isinstance(capture, dict):
        raise RecordingError(f"{args.capture} is no capture: not a JSON object")
    recording = from_corpus(capture)
    save(recording, args.output)
    print(f"{args.output}: {', '.join(recording.hmp)}", file=sys.stderr)
    return 0


def _read(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise RecordingError(f"cannot read {name}: {error.strerror}") from error
    return data.decode(errors="replace")
