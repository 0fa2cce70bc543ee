"""The drop-ins: `qshim-system-x86_64` and its kin take the command line of `qemu-system-x86_64`.

Messages, exit statuses and sockets are those of QEMU. Environment:

    QSHIM_QEMU_VERSION   7.2, 10.0 or 11.1 (default)
    QSHIM_ALLOW_REMOTE   1: TCP may use other addresses than loopback

The name before the first colon of a message is the base name of argv[0], so that a link called
`qemu-system-x86_64` speaks as that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from qshim import versions
from qshim.errors import QshimError

__all__ = ["aarch64", "arm", "emulate", "i386", "riscv32", "riscv64", "x86_64"]


def emulate(target: str, argv: Sequence[str] | None = None, *, program: str | None = None) -> int:
    """Be the system emulator for *target* on the command line *argv* (default: the process's own)."""
    program = program or os.path.basename(sys.argv[0])
    label = os.environ.get("QSHIM_QEMU_VERSION", versions.DEFAULT.label)
    if label not in versions.KNOWN:
        known = ", ".join(versions.KNOWN)
        print(f"{program}: QSHIM_QEMU_VERSION is '{label}'; qshim speaks QEMU {known}", file=sys.stderr)
        return 1
    from qshim.argv import Answered, OptionError

    try:
        return _run(target, label, sys.argv[1:] if argv is None else argv, program)
    except Answered as answer:
        sys.stdout.write(answer.text.replace(f"qemu-system-{target}", program))
        return answer.status
    except OptionError as error:
        for said in (*error.warnings, *error.reports):
            # what firmware and kernels lack is said by `qemu`, whatever the program is called
            print(said if said.startswith("qemu: ") else f"{program}: {said}", file=sys.stderr)
        return 1
    except QshimError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(target: str, label: str, words: Sequence[str], program: str) -> int:
    from qshim.argv import parse
    from qshim.argv.dialect import DIALECTS
    from qshim.cli import machines

    if any(",help" in word or ",?" in word for word in words):
        status = _help(target, label, words, program)
        if status is not None:
            return status
    line = parse(words, label, target, _text)
    if line.version:
        print(f"QEMU emulator version {_version(label)} (qshim)")
        print(f"Copyright (c) 2003-{DIALECTS[label].year} Fabrice Bellard and the QEMU Project developers")
        return 0
    for text in line.printed:
        print(text, flush=True)
    for warning in line.warnings:
        print(f"{program}: {warning}", file=sys.stderr)
    vm = machines.machine(line, target, label, put_off=not line.daemonize)

    from qshim.edge.chardevs import Policy
    from qshim.edge.files import HostFiles
    from qshim.edge.process import serve

    vm.files = HostFiles(None)
    allow_remote = os.environ.get("QSHIM_ALLOW_REMOTE") == "1"
    serve(vm, line, Policy(allow_remote, "QSHIM_ALLOW_REMOTE=1 permits more", owner_only=False), program=program)
    if vm.failure is not None:
        raise vm.failure
    return 0


def _help(target: str, label: str, words: Sequence[str], program: str) -> int | None:
    """Print the properties that somebody asks for; None if nobody does, or they are not known."""
    from qshim.argv import CommandLine
    from qshim.cli import machines
    from qshim.views.property_help import asked, help_of

    question = asked(words)
    if question is None:
        return None
    option, value, name = question
    if option.lstrip("-") != "device":
        name = machines.type_named(CommandLine(machine=name), target, label)
    text = help_of(label, target, option, name)
    if text is not None:
        sys.stdout.write(text)
    elif option.lstrip("-") == "device":
        # QEMU says so and still exits with 0
        print(f"{program}: {option} {value}: Device '{name}' not found", file=sys.stderr)
    else:
        return None
    return 0


def _version(label: str) -> str:
    """The release that the recordings of *label* were made with."""
    from qshim.cli.recordings import find

    return str(find(f"{label}/x86_64/none").qemu).partition(" ")[0]


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def x86_64() -> int:
    """`qshim-system-x86_64`"""
    return emulate("x86_64")


def i386() -> int:
    """`qshim-system-i386`"""
    return emulate("i386")


def aarch64() -> int:
    """`qshim-system-aarch64`"""
    return emulate("aarch64")


def arm() -> int:
    """`qshim-system-arm`"""
    return emulate("arm")


def riscv64() -> int:
    """`qshim-system-riscv64`"""
    return emulate("riscv64")


def riscv32() -> int:
    """`qshim-system-riscv32`"""
    return emulate("riscv32")
