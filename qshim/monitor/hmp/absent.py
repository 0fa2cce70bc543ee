"""HMP commands about what no machine here has: block devices, VNC, tracing, a running CPU.

Each answers as QEMU does where there is none of it (asked of 7.2, 10.0 and 11.1, x86_64, aarch64 and riscv64).
What would make one is left out, and so refused.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

from qshim.monitor.hmp.bridge import ask
from qshim.monitor.hmp.cursor import LineError
from qshim.monitor.hmp.table import HMP, Call
from qshim.monitor.network import network_of
from qshim.monitor.registry import CommandError
from qshim.vm import Vm

__all__ = [
    "boot_set", "calc_dirty_rate", "dumpdtb", "expire_password", "gdbserver", "info_migrate", "info_mmu", "mce",
    "one_insn_per_tb", "sendkey", "set_password", "sync_profile",
]  # fmt: skip

_PROFILING: WeakKeyDictionary[Vm, bool] = WeakKeyDictionary()
_TERMINALS: WeakKeyDictionary[Vm, str] = WeakKeyDictionary()
_LINE = "-" * 79 + "\n"
_MOST_DEVICES = "abcdefghijklmnop"
_NO_SNAPSHOTS = "no block device can store vmstate for snapshot"
_NO_VNC = "No VNC display is present"
_BARE = ("null", "pty", "msmouse", "wctablet", "braille", "testdev", "stdio", "vc")
_CHARDEVS = (*_BARE, "mon", "con", "tcp", "telnet", "tn3270", "websocket", "udp", "unix", "file", "pipe")
"""What begins the description of a character device, alone or with a colon behind it."""
_MCI_VALID = 1 << 63


def _says(name: str, text: str = "") -> None:
    """*name* prints the same whatever it is told."""
    HMP.command(name)(lambda call: text)


def _lacks(name: str, desc: str, argument: str = "", *, plain: Callable[[Call], bool] | None = None) -> None:
    """*name* fails: *desc*, with its *argument* for {}; *plain* says whether `Error: ` is left out."""

    def handler(call: Call) -> str:
        said = desc.format(call.text(argument)) if argument else desc
        if plain is not None and plain(call):
            return f"{said}\n"
        raise CommandError(said)

    HMP.command(name)(handler)


def _old_errors(call: Call) -> bool:
    return not call.vm.quirks.all_errors_say_so


for _name in ("announce_self", "delvm", "info usernet", "mouse_move", "mouse_button"):
    _says(_name)
_lacks("block_resize", "Cannot find device='{}' nor node-name=''", "device")
_lacks("block_job_cancel", "Block job '{}' not found", "device")
_lacks("drive_del", "Device '{}' not found", "id", plain=_old_errors)
_lacks("info snapshots", _NO_SNAPSHOTS, plain=_old_errors)
_lacks("loadvm", _NO_SNAPSHOTS)
_lacks("savevm", _NO_SNAPSHOTS)
_lacks("nbd_server_stop", "NBD server not running")
_lacks("nbd_server_remove", "Export '{}' is not found", "name")
_lacks("nbd_server_add", "Cannot find device='{0}' nor node-name='{0}'", "device")
_lacks("info rocker", "rocker {} not found", "name")
_lacks("info rocker-ports", "rocker {} not found", "name")
_lacks("info rocker-of-dpa-flows", "rocker {} not found", "name")
_lacks("info rocker-of-dpa-groups", "rocker {} not found", "name")
_lacks("block_job_complete", "Block job '{}' not found", "device")
_lacks("block_job_pause", "Block job '{}' not found", "device")
_lacks("block_job_resume", "Block job '{}' not found", "device")
_lacks("block_job_set_speed", "Block job '{}' not found", "device")
_lacks("block_stream", "Cannot find device='{0}' nor node-name='{0}'", "device")
_lacks("snapshot_delete_blkdev_internal", "Cannot find device='{0}' nor node-name='{0}'", "device")
_lacks("migrate_start_postcopy", "Enable postcopy with migrate_set_capability before the start of migration")
_says("replay_delete_break", "replay breakpoints are allowed only in play mode\n")


@HMP.command("hostfwd_add", "hostfwd_remove")
def _forward(call: Call) -> str:
    """Lead a port of the host to the guest: of the back end that is named, or of the one that there is."""
    name = call.text("arg1")
    if call.maybe_text("arg2") is None:
        return "user mode network stack not in use\n"
    if name in network_of(call.vm).devices:
        raise LineError("forwarding of ports is not modelled by qshim\n")
    return f"unrecognized netdev id '{name}'\n"


@HMP.command("change")
def _change(call: Call) -> str:
    """Another medium, or the password of a display: neither drive nor display is there."""
    device, target = call.text("device"), call.text("target")
    if device == "vnc":
        if target not in ("passwd", "password"):
            expected = "Expected 'password' after 'vnc'"
            if call.vm.quirks.absent_is_error:
                raise CommandError(expected)
            return f"{expected}\n"
        password = call.maybe_text("arg")
        if password is None:
            raise LineError("change vnc password without the password is not modelled by qshim\n")
        return _of_a_display(call.vm, "vnc", "set_password", password=password)
    mode = call.maybe_text("read-only-mode")
    if mode not in (None, "retain", "read-only", "read-write"):
        raise CommandError(f"invalid parameter value: {mode}")
    raise CommandError(f"Device '{device}' not found")


@HMP.command("client_migrate_info")
def _client_migrate_info(call: Call) -> str:
    """Tell clients of a display where the machine goes."""
    ask(call.vm, "client_migrate_info", {"protocol": call.text("protocol")})
    return ""


@HMP.command("pcie_aer_inject_error")
def _inject_error(call: Call) -> str:
    """An error of a function: of none that is there are any registers modelled."""
    from qshim.monitor.qmp.devices import device_named

    name = call.text("id")
    try:
        device_named(call.vm, name)
    except CommandError:
        said = call.vm.quirks.no_function.format(name)
        if call.vm.quirks.absent_is_error:
            raise CommandError(said) from None
        return f"{said}\n"
    raise LineError("pcie_aer_inject_error is not modelled by qshim\n")


@HMP.command("mouse_set")
def _mouse_set(call: Call) -> str:
    """Choose a pointing device."""
    number = call.number("index")
    if any(mouse["index"] == number for mouse in ask(call.vm, "query-mice")):
        raise LineError("mouse_set is not modelled by qshim for a mouse that is there\n")
    if 0 <= number < 4:
        raise LineError("mouse_set is not modelled by qshim\n")
    said = f"Mouse at index '{number}' not found"
    if call.vm.quirks.absent_is_error:
        raise CommandError(said)
    return f"{said}\n"


for _name, _command in (
    ("info virtio-status", "x-query-virtio-status"),
    ("info virtio-queue-status", "x-query-virtio-queue-status"),
    ("info virtio-vhost-queue-status", "x-query-virtio-vhost-queue-status"),
    ("info virtio-queue-element", "x-query-virtio-queue-element"),
):

    def _of_a_queue(call: Call, command: str = _command) -> str:
        ask(call.vm, command, {"path": call.text("path")})
        return ""

    HMP.command(_name)(_of_a_queue)


@HMP.command("commit")
def _commit(call: Call) -> str:
    """Write snapshots back: `all` of none is done, and no other name is known."""
    name = call.text("device")
    if name == "all":
        return ""
    if _old_errors(call):
        return f"Device '{name}' not found\n"
    raise CommandError(f"Device '{name}' not found")


for _name, _member in (("eject", "device"),):

    def _by_qmp(call: Call, command: str = _name, member: str = _member) -> str:
        ask(call.vm, command, {member: call.text(member)})
        return ""

    HMP.command(_name)(_by_qmp)


@HMP.command("x_colo_lost_heartbeat")
def _lost_heartbeat(call: Call) -> str:
    raise CommandError(call.vm.quirks.no_colo)


@HMP.command("info migrate")
def info_migrate(call: Call) -> str:
    """A migration: there was none; older releases print their settings."""
    return call.vm.quirks.migrate_globals


@HMP.command("boot_set")
def boot_set(call: Call) -> str:
    """The order of boot devices: only a PC can be told another one, and its firmware does not run."""
    devices = call.text("bootdevice")
    if not _is_pc(call.vm) or call.vm.machine.startswith("microvm"):
        return "no function defined to set boot device list for this architecture\n"
    for number, device in enumerate(devices):
        if device not in _MOST_DEVICES:
            return f"Invalid boot device '{device}'\n"
        if device in devices[:number]:
            return f"Boot device '{device}' was given twice\n"
    # its non-volatile memory has room for three
    if len(devices) > 3:
        return "Too many boot devices for PC\n"
    for device in devices:
        if device not in "abcdn":
            return f"Invalid boot device for PC: '{device}'\n"
    return f"boot device list now set to {devices}\n"


def _is_pc(vm: Vm) -> bool:
    return vm.target in ("x86_64", "i386") and vm.machine != "none"


@HMP.command("dumpdtb")
def dumpdtb(call: Call) -> str:
    """The device tree: PCs have none."""
    if call.vm.target not in ("x86_64", "i386") and call.vm.machine != "none":
        raise CommandError("dumpdtb is not modelled by qshim")
    raise CommandError(call.vm.quirks.no_device_tree)


@HMP.command("set_password")
def set_password(call: Call) -> str:
    """Of VNC or SPICE, which are not there."""
    connected = call.maybe_text("connected")
    if connected not in (None, "fail", "disconnect", "keep"):
        raise CommandError(f"invalid parameter value: {connected}")
    return _of_a_display(call.vm, call.text("protocol"), "set_password", password=call.text("password"))


@HMP.command("expire_password")
def expire_password(call: Call) -> str:
    """Likewise."""
    return _of_a_display(call.vm, call.text("protocol"), "expire_password", time=call.text("time"))


def _of_a_display(vm: Vm, protocol: str, command: str, **members: str) -> str:
    if protocol not in ("vnc", "spice"):
        raise CommandError(f"invalid parameter value: {protocol}")
    try:
        ask(vm, command, {"protocol": protocol, **members})
    except CommandError as error:
        if error.desc == _NO_VNC:
            raise LineError(f"Error: {_NO_VNC}\nTo enable it, use '-vnc ...'") from None
        raise
    return ""


@HMP.command("sendkey")
def sendkey(call: Call) -> str:
    """Press keys: nobody feels it. Names are those of the schema, or numbers."""
    from qshim.monitor.qmp.extensions import schema_for

    enums = (each["values"] for each in schema_for(call.vm).types.values() if each["meta-type"] == "enum")
    known = next(values for values in enums if "kp_divide" in values)
    for key in call.text("keys").split("-"):
        if key not in known and key != "<" and not _is_number(key):
            return f"invalid parameter: {key}\n"
    return ""


def _is_number(text: str) -> bool:
    try:
        return text.startswith("0x") and int(text, 16) >= 0
    except ValueError:
        return False


@HMP.command("calc_dirty_rate")
def calc_dirty_rate(call: Call) -> str:
    """Measure how fast the guest writes: it does not, and only what is wrong about the question is said."""
    if call.number("second") == 0:
        return "Incorrect period length specified!\n"
    if call.flag("dirty_ring") and call.flag("dirty_bitmap"):
        return "Either dirty ring or dirty bitmap can be specified!\n"
    pages = call.maybe_number("sample_pages_per_GB")
    if pages is not None and not 128 <= pages <= 16384:
        raise CommandError("sample-pages is out of range[128, 16384].")
    raise LineError("calc_dirty_rate is not modelled by qshim\n")


@HMP.command("gdbserver")
def gdbserver(call: Call) -> str:
    """A debugger would find no CPU that executes; `none` ends what never began."""
    device = call.maybe_text("device")
    if not call.vm.cpus:
        reason = "gdbstub: meaningless to attach gdb to a machine without any CPU."
        return call.vm.quirks.gdb_without_cpu.format(reason, device or "tcp::1234")
    if device == "none":
        _make_terminal(call.vm)
        return "Disabled gdbserver\n"
    wrong = None if device is None else _no_character_device(call.vm, device)
    if wrong is not None:
        return f"{wrong}{call.vm.quirks.gdb_without_device.format(device)}"
    raise LineError("gdbserver is not modelled by qshim\n")


def _make_terminal(vm: Vm) -> None:
    """The debugger's own monitor, which is there from the first use of gdbserver on."""
    if not vm.quirks.monitors_are_objects or vm in _TERMINALS:
        return
    from qshim.monitor.qmp.objects import objects_of
    from qshim.qom import QomObject

    _TERMINALS[vm] = f"compat_monitor{len(vm.monitors)}"
    objects_of(vm).add_child(_TERMINALS[vm], QomObject("monitor-hmp"))


def _no_character_device(vm: Vm, text: str) -> str | None:
    """What is said of *text*, where it describes none; None where one can be made of it."""
    if text.startswith("chardev:"):
        return None if text.removeprefix("chardev:") in vm.chardevs else ""
    kind = text.partition(":")[0]
    if kind in _CHARDEVS and (":" in text or kind in _BARE):
        return None
    return f"'{text}' is not a valid char driver\n"


@HMP.command("mce")
def mce(call: Call) -> str:
    """Inject a machine check: what is no valid one is refused; a CPU that does not run takes none."""
    if call.number("cpu_index") >= call.vm.cpus or call.number("cpu_index") < 0:
        return ""
    if not call.number("status") & _MCI_VALID:
        return "Invalid MCE status code\n"
    raise LineError("mce is not modelled by qshim\n")


@HMP.command("info mem", "info tlb")
def info_mmu(call: Call) -> str:
    """The MMU of a CPU that was just reset is off."""
    vm = call.vm
    if not vm.cpus:
        return "No CPU available\n"
    if vm.recording is not None and vm.recording.when != "reset":
        raise LineError("the recording of this machine was not taken at reset, and holds no CPU registers\n")
    if vm.target in ("riscv32", "riscv64"):
        return "No translation or protection\n"
    if vm.target in ("x86_64", "i386"):
        return "PG disabled\n"
    raise LineError("the MMU is not modelled by qshim for this CPU\n")


@HMP.command("singlestep", "one-insn-per-tb")
def one_insn_per_tb(call: Call) -> str:
    """How the guest would execute; 7.2 says so in `info status`."""
    option = call.maybe_text("option")
    if option not in (None, "on", "off"):
        return f"unexpected option {option}\n"
    call.vm.single_step = option != "off"
    return ""


@HMP.command("sync-profile")
def sync_profile(call: Call) -> str:
    """Switch the profiler of QEMU's own locks: there are none here."""
    op = call.maybe_text("op")
    if op is None:
        return f"sync-profile is {'on' if _PROFILING.get(call.vm) else 'off'}\n"
    if op not in ("on", "off", "reset"):
        raise CommandError(call.vm.quirks.bad_sync_profile.format(op))
    if op != "reset":
        _PROFILING[call.vm] = op == "on"
    return ""


HMP.command("info sync-profile")(
    lambda call: f"Type               Object  Call site  Wait Time (s)         Count  Average (us)\n{_LINE}{_LINE}"
)
