"""Ask real QEMUs for the names of their QMP and HMP commands; write qshim/data/command-names.json.gz.

    python tests/tools/extract_command_names.py 7.2:x86_64=/usr/bin/qemu-system-x86_64 ... [-o FILE]

Each argument is DIALECT:TARGET=BINARY. QMP names keep the order of query-commands; HMP names are
those that `help` and `help info` print, aliases included (`quit|q`). The file names the version of
every binary that was asked.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
from pathlib import Path

DATA = Path(__file__).parents[2] / "qshim" / "data" / "command-names.json.gz"
QUESTIONS = (
    {"execute": "qmp_capabilities"},
    {"execute": "query-version"},
    {"execute": "query-commands"},
    {"execute": "human-monitor-command", "arguments": {"command-line": "help"}},
    {"execute": "human-monitor-command", "arguments": {"command-line": "help info"}},
    {"execute": "quit"},
)
_HELP_LINE = re.compile(r"(?:info )?([a-z?][\w|?.-]*)(?: |$)")


def ask(binary: str) -> dict[str, object]:
    """The names that *binary* knows."""
    lines = "".join(json.dumps(question) + "\n" for question in QUESTIONS)
    command = [binary, "-machine", "none", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60, check=True)
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    _, version, commands, hmp, info = [reply["return"] for reply in replies if "return" in reply][:5]
    return {
        "origin": "{major}.{minor}.{micro} ".format(**version["qemu"]) + version["package"],
        "qmp": [command["name"] for command in commands],
        "hmp": names(hmp),
        "info": names(info),
    }


def names(text: str) -> list[str]:
    """The first word of each line of help that begins a command."""
    found = [match[1] for line in text.split("\r\n") if (match := _HELP_LINE.match(line))]
    return list(dict.fromkeys(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("binaries", nargs="+", metavar="DIALECT:TARGET=BINARY")
    parser.add_argument("-o", "--output", type=Path, default=DATA)
    args = parser.parse_args()
    document: dict[str, dict[str, object]] = {}
    for spec in args.binaries:
        key, _, binary = spec.partition("=")
        dialect, _, target = key.partition(":")
        document.setdefault(dialect, {})[target] = ask(binary)
    text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    # no time stamp: the same answers give the same file
    args.output.write_bytes(gzip.compress(text, 9, mtime=0))
    print(f"{args.output}: {len(text)} bytes of JSON")


if __name__ == "__main__":
    main()
