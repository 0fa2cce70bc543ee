"""The `qshim` command: one module for each subcommand, imported only when it is chosen.

A subcommand module has `configure(parser)`, which adds its options, and `run(args) -> int`, which
does the work and returns the exit status. Whatever stands behind `--` is QEMU's own command line and
reaches the module untouched as `args.qemu_argv` (None when there was no `--`).

Exit status: 0 same or done, 1 findings, 2 usage, 3 could not, 70 our own bug, 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from qshim.errors import QshimError

__all__ = ["COMMANDS", "main"]

COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("qshim.cli.serve", "bring a machine to life and serve its monitors"),
    "show": ("qshim.cli.show", "print one view of a machine"),
    "explain": ("qshim.cli.explain", "how a guest address resolves, down to the host address"),
    "record": ("qshim.cli.record", "capture a machine of a real QEMU into a file"),
    "import": ("qshim.cli.import_", "make a recording from pasted monitor texts"),
    "crosscheck": ("qshim.cli.crosscheck", "compare a real QEMU with our model, or with another QEMU"),
    "sweep": ("qshim.cli.sweep", "cross-check a grid of command lines"),
    "fuzz": ("qshim.cli.fuzz", "random monitor commands on a real QEMU and on our model"),
    "snapshot": ("qshim.cli.snapshot", "write a machine's memory layout as a text for review and for goldens"),
    "diff": ("qshim.cli.diff", "what differs between two memory layouts"),
    "migrate-check": ("qshim.cli.migrate_check", "would QEMU accept a migration, as far as RAM blocks go"),
    "check": ("qshim.cli.check", "compare the layouts of a project with its goldens, and judge the changes"),
    "rules": ("qshim.cli.rules", "the rules of qshim check"),
    "bridge": ("qshim.cli.bridge", "tell an MQTT broker about machines: state, events, memory layouts"),
    "watch": ("qshim.cli.watch", "a live table of what bridges tell a broker"),
    "schema": ("qshim.cli.schema", "print the JSON Schema of a document that qshim writes"),
}
"""Subcommand -> its module and one line of help."""


_CANNOT_WRITE = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one `qshim` command line (default: the process's own) and return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    qemu_argv: list[str] | None = None
    if "--" in words:
        cut = words.index("--")
        words, qemu_argv = words[:cut], words[cut + 1 :]
    try:
        status = _dispatch(words, qemu_argv)
        sys.stdout.flush()
        return status
    except QshimError as error:
        print(f"qshim: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # the reader went away (`| head`); nothing may be flushed into the pipe at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            return _internal(error)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"qshim: cannot write the output: {error.strerror}", file=sys.stderr)
        return 3
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 0
    except Exception as error:
        return _internal(error)


def _internal(error: Exception) -> int:
    print(f"qshim: internal error: {type(error).__name__}: {error} ({_where(error)})", file=sys.stderr)
    return 70


def _dispatch(words: list[str], qemu_argv: list[str] | None) -> int:
    if words and words[0] in COMMANDS:
        name = words[0]
        module = import_module(COMMANDS[name][0])
        parser = argparse.ArgumentParser(prog=f"qshim {name}", description=(module.__doc__ or "").partition("\n\n")[0])
        module.configure(parser)
        args = parser.parse_args(words[1:])
        args.qemu_argv = qemu_argv
        status: int = module.run(args)
        return status
    parser = argparse.ArgumentParser(
        prog="qshim",
        description="QEMU's memory model and monitors without QEMU.",
        epilog="qshim COMMAND --help says more. What stands behind -- is QEMU's own command line.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"qshim {_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (_, line) in COMMANDS.items():
        commands.add_parser(name, help=line)
    parser.parse_args(words)
    raise AssertionError(f"no subcommand in {words}")


def _version() -> str:
    from importlib.metadata import version

    return version("qshim")


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "unknown place"
    return f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
