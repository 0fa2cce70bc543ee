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
    parser.add_argument("--mtree", metavar="FILE", required=True, help="info mtree, best with -o -D; - is stdin")
    parser.add_argument("--flat", metavar="FILE", help="info mtree -f, best with -d -o")
    parser.add_argument("--ramblock", metavar="FILE", help="info ramblock")
    parser.add_argument("--qemu-version", metavar="V", help="the QEMU that printed it (default: by the text)")
    parser.add_argument("--target", metavar="NAME", help="its target, such as x86_64")
    parser.add_argument("--machine", metavar="NAME", help="its machine type, such as pc-q35-7.2")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the recording; .xz compresses")


def run(args: argparse.Namespace) -> int:
    """Read the texts and write the recording."""
    from qshim.recording.importing import from_texts

    if args.qemu_argv is not None:
        raise UsageError("import starts no QEMU; leave out -- and what stands behind it")
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


def _read(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise RecordingError(f"cannot read {name}: {error.strerror}") from error
    return data.decode(errors="replace")
