"""One command line on our model and on real QEMU, compared: what the sweeps of all boards do (x86.py, virt.py).

Each line is either started by both with the same memory views and QMP answers, or refused by both
in the same words.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qshim.argv import Answered, OptionError, parse
from qshim.cli import modelled
from qshim.layout.canonical import canonical
from qshim.monitor.hmp.bridge import ask
from qshim.monitor.hmp.line import perform, understand
from qshim.monitor.registry import CommandError
from tests.support import oracle

__all__ = ["ASK", "HMP", "MORE", "Outcome", "Real", "compare", "errors_of", "main", "masked", "ours", "run"]

Generate = Callable[[random.Random, str, str], Sequence[str]]
"""Makes a command line of (chance, dialect, a directory for files that it names)."""

HMP = (
    "info mtree", "info mtree -D", "info mtree -o", "info mtree -f", "info mtree -f -o", "info mtree -f -d",
    "info ramblock", "info memdev", "info memory-devices", "info memory_size_summary", "info numa",
)  # fmt: skip
MORE = ("info qom-tree", "info qtree", "info pci")
"""Looked at with --more, with shares of their own."""
ASK = (
    "query-memdev", "query-memory-devices", "query-hotpluggable-cpus", "x-query-ramblock", "x-query-numa",
)  # fmt: skip


PATIENCE = 120.0
"""Seconds that a real QEMU has for everything it is asked; a hundred CPUs take many of them."""
_RANDOM = re.compile(r"#net\d+")
"""Names of networks that QEMU ends with random digits."""
_NAME = re.compile(r"qemu-system-\w+: ")
_NOISE = (
    "Please configure -smp options", "Limiting RAM size to 10 GiB", "qemu: module", "failed to initialize module",
    "Only modules from", "ALSA lib ", "alsa: ", "audio: ", "WARNING: Image format was not specified",
    "         Automatically detecting",
    "         Specify the 'raw' format",
)  # fmt: skip


class Real:
    """A real QEMU on a QMP pipe."""

    def __init__(self, binary: str, args: Sequence[str]) -> None:
        # a pipe would be full of warnings before anybody reads it
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [binary, *args, "-S", "-display", "none", "-qmp", "stdio"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip
        # one that hangs must not hang the sweep
        self.crashed = False
        """It ended by a signal of its own."""
        self.alive = True
        """It has not closed its output."""
        self._watch = threading.Timer(PATIENCE, self.process.kill)
        self._watch.daemon = True
        self._watch.start()

    def greet(self) -> bool:
        """Whether it started."""
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            self.alive = False
            return False
        # 7.2 greets before the machine is made
        return self.ask("qmp_capabilities") is not None and self.ask("query-status") is not None

    def ask(self, command: str, **arguments: object) -> Any:
        """The whole reply, None when it is gone."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        while line := self.process.stdout.readline():
            # some devices print what they think of the machine
            reply = json.loads(line) if line.startswith("{") else {"event": line}
            if "event" not in reply:
                return reply
        self.alive = False
        return None

    def end(self) -> str:
        """End it; returns what it printed on stderr."""
        self._watch.cancel()
        if not self.alive:
            # dying takes a moment, and the way tells a crash from a refusal
            self.process.wait(PATIENCE)
        self.crashed = self.process.poll() in (-signal.SIGABRT, -signal.SIGSEGV)
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        with self._errors as stream:
            stream.seek(0)
            return stream.read()


def errors_of(text: str) -> list[str]:
    """Lines of stderr without the program's name, warnings and modules that are missing."""
    rows = []
    for line in text.splitlines():
        line = _NAME.sub("", line)
        if line.startswith(_NOISE) or not line:
            continue
        if "warning: " in line[: line.find("warning: ") + 9] and "warning: " in line:
            continue
        rows.append(line)
    return rows


@dataclass
class Outcome:
    """What came of one command line."""

    args: str
    same: bool
    views: dict[str, bool] = field(default_factory=dict)
    what: str = ""
    diff: list[str] = field(default_factory=list)
    refused: bool = False
    crashed: bool = False
    """QEMU ended by a signal of its own."""


def masked(value: object) -> object:
    """A reply without process ids."""
    if isinstance(value, dict):
        return {key: 0 if key == "thread-id" else masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return value


def compare(
    label: str, binary: str, args: Sequence[str], more: Sequence[str] = (), target: str = "x86_64"
) -> Outcome:
    """Start both and compare."""
    real = Real(binary, args)
    try:
        started = real.greet()
        theirs: dict[str, Any] = {}
        if started:
            for command in (*HMP, *more):
                theirs[command] = real.ask("human-monitor-command", **{"command-line": command})["return"]
            for command in ASK:
                theirs[command] = real.ask(command)
    finally:
        errors = errors_of(real.end())
    shown = shlex.join(args)
    try:
        vm = ours(label, args, target)
    except OptionError as error:
        said = [line for report in error.reports for line in report.split("\n")]
        if started:
            return Outcome(shown, False, what=f"we refuse: {said[0]}")
        # a crash is no way to start either
        crashed = real.crashed or "Assertion `" in "".join(errors)
        same = errors == said or crashed
        what = "" if same else f"refusal differs: {errors} != {said}"
        return Outcome(shown, same, what=what, refused=True, crashed=crashed)
    except Answered as answer:
        return Outcome(shown, not started, what=f"answered {answer.text[:40]!r}", refused=True)
    if not started:
        return Outcome(shown, False, what=f"only QEMU refuses: {errors[:1]}", refused=True)
    outcome = Outcome(shown, True)
    for command in (*HMP, *more):
        found = understand(vm, command)
        assert found is not None
        try:
            text = perform(vm, found)
        except CommandError as error:
            text = f"error: {error}"
        left, right = (canonical(_RANDOM.sub("#net", side)) for side in (theirs[command], text))
        outcome.views[command] = left == right
        if left != right and command not in more:
            outcome.same = False
        if left != right and not outcome.diff:
            outcome.what = command
            outcome.diff = list(difflib.unified_diff(left, right, "real", "ours", lineterm="", n=1))
    for command in ASK:
        try:
            reply: Any = {"return": ask(vm, command)}
        except CommandError as error:
            reply = {"error": {"class": error.class_, "desc": str(error)}}
        told: Any = masked(theirs[command])
        made: Any = masked(json.loads(json.dumps(reply)))
        if command == "x-query-ramblock" and "return" in told and "return" in made:
            told = canonical(told["return"]["human-readable-text"])
            made = canonical(made["return"]["human-readable-text"])
        if command == "query-memdev" and "return" in told and "return" in made:
            told, made = (sorted(json.dumps(row, sort_keys=True) for row in side["return"]) for side in (told, made))
        outcome.views[command] = told == made
        if told != made:
            outcome.same = False
            if not outcome.diff:
                outcome.what = command
                outcome.diff = [f"real {json.dumps(told)[:1500]}", f"ours {json.dumps(made)[:1500]}"]
    return outcome


def ours(label: str, args: Sequence[str], target: str = "x86_64") -> Any:
    """Our machine of *args*."""
    from qshim.cli.machines import type_named

    line = parse([*args, "-qmp", "stdio"], label, target)
    return modelled.modelled(line, type_named(line, target, label), target, label)


def run(
    label: str, binary: str, lines: Iterable[Sequence[str]], more: Sequence[str], show: int, target: str = "x86_64"
) -> Counter[str]:
    """Compare *lines*; print what differs and the shares."""
    tally: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    began = time.monotonic()
    for args in lines:
        try:
            outcome = compare(label, binary, args, more, target)
        except Exception as error:
            import traceback

            outcome = Outcome(shlex.join(args), False, what=f"{type(error).__name__}: {error}")
            if show:
                traceback.print_exc()
        tally["lines"] += 1
        tally["same"] += outcome.same
        tally["refused"] += outcome.refused
        tally["crashed"] += outcome.crashed
        for view, same in outcome.views.items():
            tally[f"{view} asked"] += 1
            tally[view] += same
        if not outcome.same or (outcome.diff and more):
            reasons[outcome.what[:90]] += 1
            if show > 0:
                show -= 1
                print(f"-- {label} {target} {outcome.args}\n   {outcome.what}")
                print("\n".join(f"   {line}" for line in outcome.diff[: int(os.environ.get("LINES_SHOWN", "14"))]))
    print(f"{label} {target}: {tally['same']} of {tally['lines']} command lines the same, {tally['refused']} refused "
          f"(by a crash of QEMU: {tally['crashed']}), {time.monotonic() - began:.0f} s")  # fmt: skip
    for view in (*HMP, *ASK, *more):
        if tally[f"{view} asked"] != tally[view]:
            print(f"   {view}: {tally[view]} of {tally[f'{view} asked']}")
    for reason, count in reasons.most_common(25):
        print(f"   {count} x {reason}")
    return tally


def keep(path: Path, target: str, label: str, told: dict[str, int]) -> None:
    """Write into the file at *path* what a sweep of *target* found (tests/tools/support_matrix.py shows it)."""
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    known.setdefault(target, {})[label] = told
    path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", "utf-8")


def main(generators: dict[str, Generate], text: str, argv: Sequence[str] | None = None) -> int:
    """Compare random command lines of the targets that have *generators*; *text* is the script's own.

    Exit status 0: all the same; 1: something differs; 3: nothing could be compared.
    """
    parser = argparse.ArgumentParser(description=text.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--version", action="append")
    parser.add_argument("--show", type=int, default=3)
    parser.add_argument("--more", action="store_true")
    parser.add_argument("--target", action="append", choices=tuple(generators))
    parser.add_argument("--keep", type=Path, help="a JSON file that is told how many lines were the same")
    words = list(sys.argv[1:] if argv is None else argv)
    at = words.index("--") if "--" in words else len(words)
    rest = words[at + 1 :]
    known = parser.parse_args(words[:at])
    binaries = oracle.binaries()
    compared = failed = 0
    with tempfile.TemporaryDirectory() as place:
        for target in known.target or generators:
            for label in known.version or oracle.LABELS:
                binary = binaries.get((label, target))
                if binary is None:
                    print(f"skipped: no QEMU {label} for {target} is installed")
                    continue
                chance = random.Random(known.seed)
                generate = generators[target]
                lines = [rest] if rest else (generate(chance, label, place) for _ in range(known.count))
                tally = run(label, binary, lines, MORE if known.more else (), known.show, target)
                compared += tally["lines"]
                failed += tally["lines"] - tally["same"]
                if known.keep is not None:
                    told = {key: tally[key] for key in ("lines", "same", "refused")} | {"seed": known.seed}
                    keep(known.keep, target, label, told)
    # nothing compared is not the same as nothing different
    return 3 if not compared else int(failed > 0)
