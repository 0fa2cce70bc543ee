"""HMP commands about what no machine here has going on: migration, replay, displays, block jobs."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from qshim.monitor.hmp.bridge import ask, ask_list
from qshim.monitor.hmp.catalogue import fixed_text
from qshim.monitor.hmp.table import HMP, Call, Handler, plain_errors
from qshim.monitor.registry import CommandError
from qshim.vm import Vm

__all__ = [
    "info_accelerators",
    "info_block_jobs",
    "info_capture",
    "info_mice",
    "info_migrate_capabilities",
    "info_replay",
    "info_sev",
    "info_sgx",
    "info_spice",
    "info_virtio",
    "info_vm_generation_id",
    "info_vnc",
    "log",
    "migrate",
    "migrate_set_capability",
    "replay_break",
    "replay_seek",
    "stopcapture",
    "system_wakeup",
    "watchdog_action",
]  # fmt: skip


_WARNED: WeakKeyDictionary[Vm, set[str]] = WeakKeyDictionary()
"""Commands that have said that they are deprecated."""

def _silent(command: str) -> Handler:
    """A handler that asks QMP's *command* and prints nothing."""

    def handler(call: Call) -> str:
        ask(call.vm, command)
        return ""

    return handler


def _human(command: str) -> Handler:
    """A handler that prints what QMP's *command* has as text."""

    def handler(call: Call) -> str:
        return str(ask(call.vm, command)["human-readable-text"])

    return handler


for _name, _command in (
    ("exit_preconfig", "x-exit-preconfig"), ("migrate_cancel", "migrate_cancel"), ("migrate_pause", "migrate-pause"),
    ("nmi", "inject-nmi"), ("xen-event-list", "xen-event-list"),
):  # fmt: skip
    HMP.command(_name)(_silent(_command))
for _name, _command in (
    ("info usb", "x-query-usb"), ("info rdma", "x-query-rdma"), ("info opcount", "x-query-opcount"),
    ("info profile", "x-query-profile"),
):  # fmt: skip
    HMP.command(_name)(_human(_command))


@HMP.command("migrate")
def migrate(call: Call) -> str:
    """Send the machine to another QEMU."""
    ask(call.vm, "migrate", {"uri": call.text("uri")})
    return ""


@HMP.command("info block-jobs")
def info_block_jobs(call: Call) -> str:
    """Operations on block devices."""
    if ask_list(call.vm, "query-block-jobs"):
        raise CommandError("info block-jobs is not modelled by qshim for this machine")
    return "No active jobs\n"


@HMP.command("info mice")
def info_mice(call: Call) -> str:
    """Pointing devices; the one that gets events has a star."""
    mice = ask_list(call.vm, "query-mice")
    if not mice:
        return "No mouse devices connected\n"
    return "".join(
        f"{'*' if m['current'] else ' '} Mouse #{m['index']}: {m['name']}{' (absolute)' if m['absolute'] else ''}\n"
        for m in mice
    )


def _nothing(command: str, name: str) -> Handler:
    """A handler that prints nothing where QMP's *command* lists nothing."""

    def handler(call: Call) -> str:
        if ask(call.vm, command):
            raise CommandError(f"{name} is not modelled by qshim for this machine")
        return ""

    return handler


for _name, _command in (
    ("info tpm", "query-tpm"), ("info cryptodev", "query-cryptodev"), ("info firmware-log", "query-firmware-log"),
    ("info blockstats", "query-blockstats"),
):  # fmt: skip
    HMP.command(_name)(_nothing(_command, _name))


def _fixed(name: str) -> Handler:
    """A handler that prints what the binary does, since no command of ours changes what it is about."""
    return lambda call: fixed_text(call.vm.quirks.label, name) or ""


for _name in ("info dirty_rate", "info migrate_parameters", "info via"):
    HMP.command(_name)(_fixed(_name))


@HMP.command("info migrate_capabilities")
def info_migrate_capabilities(call: Call) -> str:
    """Which capabilities a migration would have."""
    rows = ask_list(call.vm, "query-migrate-capabilities")
    return "".join(f"{row['capability']}: {'on' if row['state'] else 'off'}\n" for row in rows)


@HMP.command("migrate_set_capability")
def migrate_set_capability(call: Call) -> str:
    """Switch one on or off."""
    name, on = call.text("capability"), call.flag("state")
    if name not in {row["capability"] for row in ask_list(call.vm, "query-migrate-capabilities")}:
        raise CommandError(f"invalid parameter value: {name}")
    ask(call.vm, "migrate-set-capabilities", {"capabilities": [{"capability": name, "state": on}]})
    return ""


@HMP.command("info accelerators")
def info_accelerators(call: Call) -> str:
    """What could execute the guest; the one in use stands in brackets."""
    told = ask(call.vm, "query-accelerators")
    names = [f"[{name}]" if name == told["enabled"] else str(name) for name in told["present"]]
    return f"{' '.join(names)}\n"


@HMP.command("info vm-generation-id")
def info_vm_generation_id(call: Call) -> str:
    """The id that tells a copy of a machine from the original."""
    return f"{ask(call.vm, 'query-vm-generation-id')['guid']}\n"


@HMP.command("info sgx")
def info_sgx(call: Call) -> str:
    """Enclave memory."""

    def told() -> str:
        ask(call.vm, "query-sgx")
        raise CommandError("info sgx is not modelled by qshim for this machine")

    return plain_errors(told)


@HMP.command("info sev")
def info_sev(call: Call) -> str:
    """Memory encryption."""
    try:
        if ask(call.vm, "query-sev")["enabled"]:
            raise CommandError("info sev is not modelled by qshim for this machine")
    except CommandError as error:
        if "not modelled" in error.desc:
            raise
    return "SEV is not enabled\n"


@HMP.command("info spice")
def info_spice(call: Call) -> str:
    """The SPICE server."""
    if ask(call.vm, "query-spice")["enabled"]:
        raise CommandError("info spice is not modelled by qshim for this machine")
    return "Server: disabled\n"


@HMP.command("info vnc")
def info_vnc(call: Call) -> str:
    """The VNC servers."""
    if ask(call.vm, "query-vnc")["enabled"]:
        raise CommandError("info vnc is not modelled by qshim for this machine")
    return "None\n"


@HMP.command("info replay")
def info_replay(call: Call) -> str:
    """Recording and replaying of the guest's execution."""
    if ask(call.vm, "query-replay")["mode"] != "none":
        raise CommandError("info replay is not modelled by qshim for this machine")
    return "Record/replay is not active\n"


@HMP.command("replay_seek")
def replay_seek(call: Call) -> str:
    """Nothing is replayed."""
    return "replay must be enabled to seek\n"


@HMP.command("replay_break")
def replay_break(call: Call) -> str:
    """Nothing is replayed."""
    return "setting the breakpoint is allowed only in play mode\n"


@HMP.command("info virtio")
def info_virtio(call: Call) -> str:
    """Virtio devices."""
    if ask(call.vm, "x-query-virtio"):
        raise CommandError("info virtio is not modelled by qshim for this machine")
    if call.vm.quirks.no_virtio_is_error:
        raise CommandError("No virtio devices found")
    return "No VirtIO devices\n"


@HMP.command("watchdog_action")
def watchdog_action(call: Call) -> str:
    """What happens when the watchdog fires."""
    action = call.text("action").lower()
    if action not in ("reset", "shutdown", "poweroff", "pause", "debug", "none", "inject-nmi"):
        raise CommandError(f"invalid parameter value: {action}")
    ask(call.vm, "watchdog-set-action", {"action": action})
    return ""


@HMP.command("system_wakeup")
def system_wakeup(call: Call) -> str:
    """Wake a suspended guest: none is."""
    ask(call.vm, "system_wakeup")
    return ""


@HMP.command("log")
def log(call: Call) -> str:
    """Choose what is logged: qshim logs nothing that QEMU does, so only the end of it is taken."""
    items = call.text("items")
    known = (fixed_text(call.vm.quirks.label, "help log") or "").splitlines()[1:]
    names = {line.split()[0] for line in known if line.strip()}
    wanted = items.split(",")
    if any(name not in names and not name.startswith("trace:") for name in wanted):
        return fixed_text(call.vm.quirks.label, "help log") or ""
    if items == "none":
        return ""
    raise CommandError("log is not modelled by qshim")


@HMP.command("info capture")
def info_capture(call: Call) -> str:
    """Audio captures: there is none."""
    return _deprecated(call, "info capture")


@HMP.command("stopcapture")
def stopcapture(call: Call) -> str:
    """End an audio capture: there is none."""
    return _deprecated(call, "stopcapture")


def _deprecated(call: Call, name: str) -> str:
    told = _WARNED.setdefault(call.vm, set())
    if call.vm.quirks.capture_is_deprecated and name not in told:
        # once in the life of a process
        told.add(name)
        return f"warning: '{name}' is deprecated since v10.2, to be removed\n"
    return ""
