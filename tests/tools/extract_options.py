"""Ask real QEMUs which command line options they have and what they print for `help`; write qshim/data/.

    python -m tests.tools.extract_options [--objects]

`options.json`: QEMU version -> option -> whether it takes a value. `option-help.json.xz`: version ->
target -> option and value -> exit status, stdout. `object-help.json.xz`: version -> type -> what `-object TYPE,help`
prints, which is the same for all targets; --objects makes this one only. Warnings about modules of a graphical user
interface that is not installed are no part of it.
"""

from __future__ import annotations

import argparse
import json
import lzma
import re
import subprocess
from pathlib import Path

from tests.support.oracle import LABELS, binaries

DATA = Path(__file__).parents[2] / "qshim" / "data"
TARGETS = ("x86_64", "i386", "aarch64", "arm", "riscv64", "riscv32")
HELP = (
    "-h", "-M help", "-accel help", "-cpu help", "-device help", "-object help", "-chardev help", "-netdev help",
    "-smp help", "-display help", "-d help",
)  # fmt: skip
UNLISTED = (
    "help", "qmp", "no-user-config", "nouserconfig", "M", "nic", "net", "hda", "hdb", "hdc", "hdd", "fda", "fdb",
    "no-acpi", "no-hpet", "no-fd-bootchk", "chroot", "runas", "singlestep", "win2k-hack", "enable-fips", "alt-grab",
    "ctrl-grab", "no-quit", "virtfs_synth", "vnc", "spice", "curses", "sdl", "tb-size", "mem-path", "mem-prealloc",
    "mtdblock", "sd", "pflash", "nodefconfig", "enable-sync-profile", "semihosting", "semihosting-config", "old-param",
    "prom-env", "g", "iscsi", "tdf", "async-teardown", "action", "run-with", "only-migratable", "version",
    "preconfig", "qtest", "qtest-log", "no-user-config",
)  # fmt: skip
"""Options that a help text may leave out, or name only in passing."""


WITHOUT_MODULES = (
    "unshare", "-rm", "sh", "-c", 'for d in /usr/lib/*/qemu; do mount -t tmpfs none "$d"; done; exec "$0" "$@"',
)  # fmt: skip
"""Runs a command that does not see modules of QEMU: some end a QEMU of another build when it lists devices."""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def options(binary: str, text: str) -> dict[str, bool]:
    """The options of *binary*; QEMU looks at every word before it does anything, so none of these runs starts it."""
    names = {name for line in text.splitlines() for name in re.findall(r"(?:^|or |/)-([a-z][\w-]*)", line, re.I)}
    found = {}
    for name in sorted(names.union(UNLISTED)):
        # an option with a value takes the second word and lacks the third; one without stumbles over the second
        told = run(binary, f"-{name}", "-!", f"-{name}").stderr
        if f"-{name}: invalid option" not in told:
            assert "requires an argument" in told or "-!: invalid option" in told, f"{name}: {told}"
            found[name] = "requires an argument" in told
    return found


def objects(binary: str) -> dict[str, str]:
    """What `-object TYPE,help` prints for each type of `-object help`."""
    listed = run(binary, "-object", "help").stdout
    found = {}
    for name in re.findall(r"^  ([\w-]+)$", listed, re.M):
        told = run(binary, "-object", f"{name},help")
        if told.returncode == 0:
            found[name] = told.stdout
    return found


def packed(document: object) -> bytes:
    text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    return lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--objects", action="store_true", help="ask for the help of objects only")
    only = parser.parse_args().objects
    help_of_objects = {label: objects(binaries()[label, "x86_64"]) for label in LABELS}
    (DATA / "object-help.json.xz").write_bytes(packed(help_of_objects))
    if only:
        return
    known: dict[str, dict[str, bool]] = {}
    texts: dict[str, dict[str, dict[str, tuple[int, str]]]] = {}
    for label in LABELS:
        texts[label] = {}
        for target in TARGETS:
            binary = binaries().get((label, target))
            if binary is None:
                print(f"QEMU {label} for {target} is not installed")
                continue
            answers = {words: run(binary, *words.split()) for words in HELP}
            if not answers["-device help"].stdout:
                answers["-device help"] = run(*WITHOUT_MODULES, binary, "-device", "help")
            name = f"qemu-system-{target}"
            program = Path(answers["-h"].stdout.partition("usage: ")[2].split()[0]).name
            texts[label][target] = {
                # a module that is not installed may end QEMU behind the list of devices
                words: (max(told.returncode, 0), told.stdout.replace(program, name))
                for words, told in answers.items()
            }
            if target == "x86_64":
                known[label] = options(binary, answers["-h"].stdout)
                print(label, len(known[label]))
    (DATA / "options.json").write_text(json.dumps(known, sort_keys=True, separators=(",", ":")) + "\n")
    (DATA / "option-help.json.xz").write_bytes(packed(texts))


if __name__ == "__main__":
    main()
