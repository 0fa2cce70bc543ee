"""Real clients against qshim: those that tests/clients/install.sh puts into .cache/clients, each as its own process."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import qshim
from qshim.testing import RunningVm

PLACE = Path(__file__).parents[2] / ".cache" / "clients"
BIN = PLACE / "venv" / "bin"
SECONDS = 60


@pytest.fixture
def vm() -> Iterator[RunningVm]:
    with qshim.running("q35", version="7.2") as vm:
        yield vm


def needs(module: str) -> str:
    """The interpreter that has *module*; skips the test where there is none."""
    if not list(PLACE.glob(f"venv/lib/*/site-packages/{module}")):
        pytest.skip(f"{module} is not installed (tests/clients/install.sh), so it was not tried")
    return str(BIN / "python")


def told(*words: str, stdin: str = "", cwd: Path | None = None) -> str:
    """What a client printed; it has to be content."""
    done = subprocess.run(
        words, input=stdin, capture_output=True, text=True, timeout=SECONDS, cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_qmp_shell(vm: RunningVm) -> None:
    needs("qemu/qmp/qmp_shell.py")
    lines = "query-status\nqom-get path=/machine property=type\nqom-list path=/\nquery-bogus\n"
    out = told(str(BIN / "qmp-shell"), vm.address, stdin=lines)
    assert "Connected to QEMU 7.2.22" in out
    assert '{"return": {"status": "prelaunch", "singlestep": false, "running": false}}' in out
    assert '"pc-q35-7.2-machine"' in out
    assert '"name": "machine", "type": "child<pc-q35-7.2-machine>"' in out
    assert "The command query-bogus has not been found" in out


def test_qmp_shell_in_human_mode(vm: RunningVm) -> None:
    needs("qemu/qmp/qmp_shell.py")
    out = told(str(BIN / "qmp-shell"), "-H", vm.address, stdin="info mtree -f\ninfo version\nbogus\n")
    assert 'AS "memory", root: system' in out
    assert "7.2.22qshim" in out
    assert "unknown command: 'bogus'" in out


QOM_TREE = """
import asyncio, sys
from qemu.qmp import QMPClient, ExecuteError

async def tree(qmp, path):
    print(path)
    count = 1
    for item in await qmp.execute("qom-list", {"path": path}):
        if item["type"].startswith("child<"):
            try:
                count += await tree(qmp, (path if path != "/" else "") + "/" + item["name"])
            except ExecuteError as error:
                print(error)
        elif path == "/machine" and item["name"] == "type":
            print(await qmp.execute("qom-get", {"path": path, "property": "type"}))
    return count

async def main():
    qmp = QMPClient("qom-tree")
    await qmp.connect(sys.argv[1])
    print(await tree(qmp, "/"))
    await qmp.disconnect()

asyncio.run(main())
"""


def test_walking_the_object_tree_as_qom_tree_does(vm: RunningVm) -> None:
    out = told(sys.executable, "-c", QOM_TREE, vm.address)
    assert "/machine/unattached\n" in out
    assert "\npc-q35-7.2-machine\n" in out


DRGN = """
import sys, drgn
prog = drgn.Program()
prog.set_qemu_qmp(sys.argv[1])
print(prog.platform)
print(prog.read(0x1000, 16, physical=True).hex(), prog.read(0xfffc0000, 2000, physical=True)[:1].hex())
try:
    prog.read(0xc0000000, 16, physical=True)
except drgn.FaultError as error:
    print(error)
"""


def test_drgn(vm: RunningVm) -> None:
    out = told(needs("drgn"), "-c", DRGN, vm.address)
    assert "Architecture.X86_64" in out
    assert f"{'00' * 16} 00\n" in out
    assert "QEMU could not access memory: 0xc0000000" in out


AVOCADO = """
import sys
from virttest import qemu_monitor
kind = {"qmp": qemu_monitor.QMPMonitor, "human": qemu_monitor.HumanMonitor}[sys.argv[1]]
monitor = kind(qemu_monitor.VM("vm1"), "monitor", {"monitor_filename": sys.argv[2]})
print(monitor.info("status"))
print(monitor.human_monitor_cmd("info ramblock"))
print(monitor.cmd("query-memory-size-summary") if sys.argv[1] == "qmp" else monitor.cmd("info memory_size_summary"))
monitor.close()
"""


@pytest.mark.parametrize("kind", ["qmp", "human"])
def test_avocado_vt(vm: RunningVm, tmp_path: Path, kind: str) -> None:
    address = vm.address if kind == "qmp" else vm.human_address
    out = told(needs("virttest"), "-c", AVOCADO, kind, address, cwd=tmp_path)
    assert "prelaunch" in out
    assert "pc.ram    4 KiB  0x0000000000000000 0x0000000008000000" in out
    assert "134217728" in out


LABGRID = """
import json, sys
from labgrid import Environment
from labgrid.driver import QEMUDriver
target = Environment(sys.argv[1]).get_target("main")
qemu = target.get_driver(QEMUDriver)
target.activate(qemu)
qemu.on()
print(json.dumps(qemu.monitor_command("query-status")))
qemu.monitor_command("stop")
print(json.dumps(qemu.monitor_command("query-status")))
qemu.monitor_command("system_reset")
qemu.off()
qemu.on()
qemu.off()
target.deactivate(qemu)
"""


def test_labgrid_over_stdio(tmp_path: Path) -> None:
    python = needs("labgrid")
    emulator = tmp_path / "qemu-system-x86_64"
    emulator.write_text(f"#!{sys.executable}\nimport sys\nfrom qshim.cli.system import x86_64\nsys.exit(x86_64())\n")
    emulator.chmod(0o755)
    config = {
        "targets": {"main": {"drivers": [{"QEMUDriver": {
            "qemu_bin": "qemu", "machine": "q35", "cpu": "qemu64", "memory": "128M", "extra_args": "",
            "display": "none",
        }}]}},
        "tools": {"qemu": str(emulator)},
    }  # fmt: skip
    (tmp_path / "env.yaml").write_text(json.dumps(config))
    out = told(python, "-W", "ignore", "-c", LABGRID, str(tmp_path / "env.yaml"), cwd=tmp_path)
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["running", "paused"]


NODE = {
    "qemu-qmp": """
        const Qmp = require("qemu-qmp"), qmp = new Qmp();
        qmp.connect(ADDRESS, error => {
            qmp.execute("query-status", (error, status) => {
                qmp.execute("human-monitor-command", {"command-line": "info mtree"}, (error, text) => {
                    console.log(JSON.stringify({status, lines: text.split("\\r\\n").length}));
                    process.exit(0);
                });
            });
        });
    """,
    "node-qemu": """
        const {QMPClient} = require("node-qemu");
        (async () => {
            const client = new QMPClient({socketPath: ADDRESS});
            await client.connect();
            const status = await client.queryStatus();
            const text = await client.humanMonitorCommand("info mtree");
            console.log(JSON.stringify({status, lines: text.split("\\r\\n").length}));
            process.exit(0);
        })();
    """,
}


@pytest.mark.parametrize("package", NODE)
def test_npm(vm: RunningVm, package: str) -> None:
    node = shutil.which("node")
    if node is None or not (PLACE / "node_modules" / package).exists():
        pytest.skip(f"{package} is not installed (tests/clients/install.sh), so it was not tried")
    found = json.loads(told(node, "-e", NODE[package].replace("ADDRESS", json.dumps(vm.address)), cwd=PLACE))
    assert found["status"]["status"] == "prelaunch"
    assert found["lines"] > 100


class Screen:
    """A terminal that somebody types in."""

    def __init__(self, socket: Path, command: str) -> None:
        self._tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        subprocess.run([*self._tmux, "new-session", "-d", "-x", "100", "-y", "40", command], check=True)

    def type(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", *keys], check=True)

    def shows(self, text: str) -> None:
        """Wait until the screen ends in *text*."""
        deadline = time.monotonic() + SECONDS
        while True:
            screen = self.screen()
            if screen.rstrip().endswith(text):
                return
            assert time.monotonic() < deadline, screen
            time.sleep(0.02)

    def has(self, text: str, key: str) -> None:
        """Press *key* until *text* stands somewhere on the screen."""
        deadline = time.monotonic() + SECONDS
        while text not in (screen := self.screen()):
            assert time.monotonic() < deadline, screen
            time.sleep(0.05)
            self.type(key)

    def screen(self) -> str:
        """What is there to see."""
        shown = subprocess.run([*self._tmux, "capture-pane", "-p"], capture_output=True, text=True, check=False)
        return shown.stdout + shown.stderr

    def end(self) -> None:
        """Take the terminal away."""
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, check=False)

    def ended(self) -> bool:
        return subprocess.run([*self._tmux, "has-session"], capture_output=True, check=False).returncode != 0


def test_qmp_tui(vm: RunningVm, tmp_path: Path) -> None:
    """It greets, negotiates, and shows what happens; its editor cannot be reached without a mouse."""
    needs("urwid_readline")
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed, so nobody looked at it")
    screen = Screen(tmp_path / "t", f"{BIN / 'qmp-tui'} {vm.address}")
    try:
        # it draws what came before its first key when that is pressed
        screen.has('"execute": "qmp_capabilities"', "Down")
        screen.has("[Connected ", "Down")
        with socket.socket(socket.AF_UNIX) as human:
            human.connect(vm.human_address)
            human.sendall(b"system_reset\n")
            screen.has('"event": "RESET"', "Down")
    finally:
        screen.end()


def test_a_person_at_the_human_monitor(tmp_path: Path) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed, so nobody typed anything")
    program = "import sys; from qshim.cli.system import emulate; sys.exit(emulate('x86_64', program='qemu'))"
    command = f'{sys.executable} -c "{program}" -M q35 -S -display none -monitor stdio'
    screen = Screen(tmp_path / "t", command)
    screen.shows("(qemu)")
    screen.type("info stutus", *["BSpace"] * 4, "atus", "Enter")
    screen.shows("(qemu) info status\nVM status: paused (prelaunch)\n(qemu)")
    # in the middle of the line
    screen.type("info nme", "Left", "Left", "a", "C-a", "C-e", "Enter")
    screen.shows("(qemu) info name\n(qemu)")
    screen.type("info memory_", "Tab", "Enter")
    screen.shows("(qemu) info memory_size_summary\nbase memory: 134217728\nplugged memory: 0\n(qemu)")
    screen.type("info st", "Tab")
    screen.shows("stats     status\n(qemu) info stat")
    screen.type("us", "Enter")
    screen.shows("VM status: paused (prelaunch)\n(qemu)")
    screen.type("Up", "Up", "Up")
    screen.shows("(qemu) info name")
    screen.type("Down", "Enter")
    screen.shows("plugged memory: 0\n(qemu)")
    screen.type("quit", "Enter")
    deadline = time.monotonic() + SECONDS
    while not screen.ended():
        assert time.monotonic() < deadline, "quit does not end it"
        time.sleep(0.02)
