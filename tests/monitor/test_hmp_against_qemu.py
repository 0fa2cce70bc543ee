"""The same HMP lines to a real QEMU and to our machine must print the same text."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from qshim import versions
from qshim.memory import Topology
from qshim.monitor.hmp.catalogue import catalogue
from qshim.monitor.hmp.cursor import LineError
from qshim.monitor.hmp.line import run, understand
from qshim.recording.format import load
from qshim.vm import Vm
from tests.support.oracle import needs

ROOT = Path(__file__).parents[2]
NONE = ("-machine", "none")
Q35 = ("-machine", "q35", "-m", "64", "-name", "vmx")


def real(binary: str, machine: Sequence[str], lines: Sequence[str]) -> list[str]:
    """What the QEMU prints for each line."""
    requests = [{"execute": "qmp_capabilities"}]
    requests += [{"execute": "human-monitor-command", "arguments": {"command-line": line}} for line in lines]  # type: ignore[dict-item]
    text = "".join(json.dumps(request) + "\n" for request in [*requests, {"execute": "quit"}])
    command = [binary, *machine, "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=True)
    # what get_str complains about goes to stdout as well
    replies = re.findall(r'\{"return": .*\}(?=\r?$)', done.stdout, re.MULTILINE)
    return [json.loads(reply)["return"] for reply in replies][1:-1]


def refused(vm: Vm, line: str) -> bool:
    """Whether the words do not fit the command, so that asking a real QEMU changes nothing."""
    try:
        understand(vm, line)
    except LineError:
        return True
    return False


def compared(dialect: str, machine: Sequence[str], vm: Vm, lines: Sequence[str]) -> None:
    expected = real(needs(dialect, "x86_64"), machine, lines)
    assert len(expected) == len(lines)
    different = {line: (run(vm, line), wanted) for line, wanted in zip(lines, expected, strict=True)}
    assert {line: pair for line, pair in different.items() if pair[0] != pair[1]} == {}


TAILS = [
    "", " -", " -Q", " -Q x", " x y z u v w", " 1 2 3 4 5 6 7 8", " x", ' "', ' "\\q"', " 1)", " $", " a b c", "/q",
    " -d", " -f -f", " -n -f -c", " -s", " -d x", " 4294967296", " 0 4294967296", " -1", " x 1.5b", " on x", " /tmp",
    " on off on", " 5z", "\t-p\t-q", " -R -z", " x 1 2 3 4 5 6 7",
]  # fmt: skip


@pytest.mark.parametrize("dialect", versions.KNOWN)
def test_every_command_refuses_what_does_not_fit(dialect: str) -> None:
    vm = Vm(Topology(), quirks=versions.KNOWN[dialect])
    known = catalogue(dialect, "x86_64")
    names = [alias for entry in known.commands for alias in entry.aliases]
    names += [f"info {alias}" for entry in known.info for alias in entry.aliases]
    lines = [name + tail for name in names for tail in TAILS]
    compared(dialect, NONE, vm, [line for line in lines if refused(vm, line)])


@pytest.mark.parametrize("dialect", versions.KNOWN)
def test_help_of_every_command(dialect: str) -> None:
    vm = Vm(Topology(), quirks=versions.KNOWN[dialect])
    known = catalogue(dialect, "x86_64")
    lines = [
        "help", "?", "info", "help info", "help help", "help log", "help log x", "help nosuch", "help info nosuch",
        "help info status x", 'help "quit"', 'help "qu', "help info info", "help " + "x " * 20, "help  info   mtree",
    ]  # fmt: skip
    lines += [f"help {alias}" for entry in known.commands for alias in entry.aliases]
    lines += [f"help info {alias}" for entry in known.info for alias in entry.aliases]
    compared(dialect, NONE, vm, lines)


PIECES = [
    *"0123456789()+-*/%&|^~'$ ", "0x", "0b", "08", "1e", "$x", "'a'", "0xffffffffffffffff", "18446744073709551615",
    "9223372036854775807", "18446744073709551616", "a", "==", "<<", "\t", "(", ")", "\u00e9",
]  # fmt: skip


@pytest.mark.parametrize("dialect", versions.KNOWN)
def test_expressions(dialect: str) -> None:
    rng = random.Random(7)
    vm = Vm(Topology(), quirks=versions.KNOWN[dialect])
    lines = []
    for _ in range(1500):
        text = "".join(rng.choices(PIECES, k=rng.randrange(1, 8)))
        form = rng.choice(["", "", "/x", "/d", "/u", "/o", "/c", "/i", "/2xg", " /x", "/b", "/1000000000000x"])
        lines.append(f"print{form} {text}")
    # the bytes of a character that are printed one by one come back from QMP as U+FFFD
    expected = real(needs(dialect, "x86_64"), NONE, lines)
    ours = [run(vm, line) for line in lines]
    shown = [text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for text in ours]
    assert [(a, b, c) for a, b, c in zip(lines, shown, expected, strict=True) if b != c] == []


@pytest.mark.parametrize("dialect", versions.KNOWN)
def test_memory_in_every_format(dialect: str) -> None:
    rng = random.Random(8)
    vm = Vm.from_recording(load(ROOT / "fixtures" / "monitor" / "hmp" / f"q35-{dialect}.qrec.xz"))
    lines = []
    # RAM that is zero at reset, its end, and nothing at all
    places = ["0x1000", "0x3fffff0", "0x3fffff8+4", "0x4000000", "0xfffffffff0", "0x80000", "-8", "0x10000000001000"]
    for _ in range(600):
        form = "".join(rng.choices("0123oduxcbhwgL", k=rng.randrange(0, 5)))
        form = rng.choice(["/", " /", "/"]) + form if form else ""
        if re.search(r"[a-zL]\d", form) or re.search(r"\d{3}", form):
            continue
        lines.append(f"{rng.choice(['x', 'xp'])}{form} {rng.choice(places)}")
    lines += ["sum 0 16", "sum 0x1000 0x1000", "sum 0xffffffff 1", "sum 0x10000000 0x1000000"]
    lines += ["gva2gpa 0x1234", "gva2gpa 0"]
    lines += ["gpa2hva 0x10000000", "gpa2hva 0xfee00000", "gpa2hpa 0x10000000", "cpu 0", "cpu 1", "info cpus x"]
    compared(dialect, Q35, vm, lines)


SIZES = ["1.5", "0x10k", "0x10", "1e", "1e1", "1.5e", ".5", ".5b", "0x10M", "1.", "1kx", "-1", "9000000000000000",
         "1.3b", "1.5B", "1.0B", "+1", "inf", "1z", "9223372036854775807B", "9223372036854775808B", "0b1", "0x",
         "0x1.8", "010", "1.5k", "1.5K ", "0.1k", "1_000", "18446744073709551616", ""]  # fmt: skip


@pytest.mark.parametrize("dialect", versions.KNOWN)
def test_sizes(dialect: str) -> None:
    vm = Vm(Topology(), quirks=versions.KNOWN[dialect])
    lines = [f"block_resize x {size}" for size in SIZES]
    expected = real(needs(dialect, "x86_64"), NONE, lines)
    fits = "Error: Cannot find device='x' nor node-name=''\r\n"
    ours = [run(vm, line).replace("block_resize is not modelled by qshim\r\n", fits) for line in lines]
    assert [(a, b, c) for a, b, c in zip(SIZES, ours, expected, strict=True) if b != c] == []


OBJECTS = [
    "help", "memory-backend-ram,help", "memory-backend-file,help", "help,x", "memory-backend-ram,help=on", "=", "a,b",
    "memory-backend-ram,id=s,size", "memory-backend-ram,,x,id=s", "memory-backend-ram,id=s,size=1M,size=2M", "{", "{}",
    '{"qom-type":"memory-backend-ram","id":"j","size":"1M"}',
    '{"qom-type":"memory-backend-ram","id":"k","size":1,"z":1}',
    "memory-backend-ram,id=t,size=0x100000", "memory-backend-ram,id=t2,size=.5M", "memory-backend-ram,id=t3,size=1.5",
    "memory-backend-ram,id=t4,size=4096,", "memory-backend-ram,id.x=1,size=1",
    "memory-backend-ram,id=u,size=1M,dump=yes",
    "memory-backend-ram,id=u2,size=1M,dump=maybe", "memory-backend-ram,id=v,size=1M,policy=foo", "nope,id=x", "nope",
    "memory-backend-ram,id=v,size=1M,policy=bind", "memory-backend-ram,id=v,size=1M,host-nodes.0=0",
    "memory-backend-ram,id=v,size=1M,host-nodes.x=0", "memory-backend-ram,id=v,size=1M,host-nodes=0,policy=bind",
    "memory-backend-ram,id=v,size=1M,prealloc-threads=0", "memory-backend-ram,id=v,size=1M,prealloc-threads=zz",
    "memory-backend-ram,id=1x,size=1M", "memory-backend-ram,size=1M", "memory-backend-ram,id=v", "qom-type=,id=v",
    "memory-backend-ram,id=v,size=8Q", "memory-backend-ram,id=v,size=-1",
    "memory-backend-file,id=f,size=1M", "memory-backend-ram,id=t,size=1M", "id=v2,size=1M,qom-type=memory-backend-ram",
]  # fmt: skip


@pytest.mark.parametrize("dialect", versions.KNOWN)
def test_objects(dialect: str) -> None:
    vm = Vm.from_recording(load(ROOT / "fixtures" / "monitor" / "hmp" / f"q35-{dialect}.qrec.xz"))
    lines = [f"object_add {text}" for text in OBJECTS]
    lines += ["qom-get /objects/t size", "qom-get /objects/t policy", "qom-set /objects/t dump off", "qom-get t dump"]
    lines += ["qom-set /objects/t dump maybe", "qom-get /objects/t nope", "qom-list"]
    lines += [f"info qom-tree {path}" for path in ("/objects/t", "t", "machine/fw_cfg", "/nope", "nope", "")]
    lines += ["object_del t", "object_del t", "object_del pc.ram", "info memory_size_summary"]
    lines += ["info kvm", "info uuid", "info hotpluggable-cpus", "info iothreads", "info dump"]
    compared(dialect, Q35, vm, lines)
