"""A program that behaves like a QEMU with one tiny machine, and misbehaves as the file beside it says.

`install(folder, **faults)` writes an executable that can be started or served. Faults: `refuse` (text on stderr,
exit 1), `silent` (never greets), `hang` (commands that are never answered), `die` (a command on which it
exits), `changes` (how many readings of the tree differ from the one before).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

__all__ = ["install"]

_PROGRAM = r"""
import json, os, re, socket, sys, time

faults = json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "faults.json")))
with open(faults["log"], "a") as log:
    log.write(json.dumps({"pid": os.getpid(), "argv": sys.argv[1:]}) + "\n")
if "refuse" in faults:
    sys.stderr.write(faults["refuse"])
    sys.exit(1)
words = " ".join(sys.argv)
descriptor = re.search(r"socket,id=\S+?,fd=(\d+)", words)
if descriptor:
    peer = socket.socket(fileno=int(descriptor[1]))
else:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1] + ".new")
    listener.listen()
    os.rename(sys.argv[1] + ".new", sys.argv[1])  # who sees the name can connect
    peer, _ = listener.accept()
if "silent" in faults:
    time.sleep(60)

def send(value):
    peer.sendall(json.dumps(value).encode() + b"\r\n")

TREE = "address-space: memory\r\n  0000000000000000-ffffffffffffffff (prio 0, i/o): system%s\r\n\r\n"
FLAT = 'FlatView #0\r\n AS "memory", root: system\r\n Root memory region: (none)\r\n  No rendered FlatView\r\n\r\n'
BLOCKS = "              Block Name    PSize              Offset               Used              Total\r\n"
QMP = {
    "qmp_capabilities": {}, "cont": {}, "stop": {},
    "query-version": {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": "fake"},
    "query-status": {"status": "prelaunch", "running": False, "singlestep": False},
    "query-kvm": {"enabled": False, "present": False},
    "query-target": {"arch": "x86_64"},
    "query-machines": [{"name": "none", "cpu-max": 1}, {"name": "x-remote", "cpu-max": 255}],
    "query-chardev": [{"label": "qshim-monitor", "filename": "unix:"}, {"label": "serial0", "filename": "vc"}],
    "query-cpus-fast": [{"cpu-index": 0, "thread-id": os.getpid()}],
    "query-block": [{"device": "d", "file": "/home/someone/disk.img"}],
}
readings = 0

def hmp(line):
    global readings
    if line.startswith("info mtree -f"):
        return FLAT
    if line.startswith("info mtree"):
        readings += 1
        owner = " parent:{obj path=/machine/unattached}" if "-o" in line.split() else ""
        return TREE % (("" if readings > faults.get("changes", 0) else str(readings)) + owner)
    if line == "info ramblock":
        return BLOCKS
    if line == "info qom-tree":
        return "/machine (none-machine)\r\n  /unattached (container)\r\n    /system[0] (memory-region)\r\n"
    if line == "info qom-tree /objects":
        return "/objects (container)\r\n  /qshim-monitor (monitor-qmp)\r\n"
    return "unknown command: '%s'\r\n" % line

def answer(message):
    command, arguments = message["execute"], message.get("arguments", {})
    line = arguments.get("command-line", command)
    if line == faults.get("die"):
        sys.exit(7)
    if line in faults.get("hang", ()):
        time.sleep(60)
    if command == "human-monitor-command":
        return {"return": hmp(line)}
    if command == "qom-get":
        values = {"type": "none-machine", "container": "", "addr": 0, "size": 2**64 - 1, "priority": 2**32 - 1}
        return {"return": values[arguments["property"]]}
    if command == "query-pci":
        return {"error": {"class": "GenericError", "desc": "no PCI here"}}
    if command in QMP:
        return {"return": QMP[command]}
    return {"error": {"class": "CommandNotFound", "desc": "The command %s has not been found" % command}}

send({"QMP": {"version": QMP["query-version"], "capabilities": []}})
buffer = ""
while True:
    data = peer.recv(65536)
    if not data:
        break
    buffer += data.decode()
    while buffer.strip():
        try:
            message, end = json.JSONDecoder().raw_decode(buffer.lstrip())
        except ValueError:
            break
        buffer = buffer.lstrip()[end:]
        send({**answer(message), "id": message.get("id")})
time.sleep(0 if not descriptor else 60)
"""


def install(folder: Path, **faults: object) -> Path:
    """The executable in *folder*; each start of it adds a line with its pid to `folder/log`."""
    program = folder / "qemu-fake"
    program.write_text(f"#!{sys.executable}\n{_PROGRAM}")
    program.chmod(0o755)
    (folder / "log").touch()
    (folder / "faults.json").write_text(json.dumps({"log": str(folder / "log"), **faults}))
    return program
