"""HMP commands about what the machine consists of."""

from __future__ import annotations

from qshim.monitor.hmp.bridge import ask, ask_list
from qshim.monitor.hmp.registers import at_reset
from qshim.monitor.hmp.table import HMP, Call

__all__ = [
    "balloon", "info_balloon", "info_chardev", "info_cpus", "info_hotpluggable_cpus", "info_iothreads", "info_kvm",
    "info_numa", "info_pci", "info_registers", "info_roms",
]  # fmt: skip

_MIB = 1 << 20


@HMP.command("info cpus")
def info_cpus(call: Call) -> str:
    """The CPUs; the monitor's own has a star."""
    lines = []
    for cpu in ask_list(call.vm, "query-cpus-fast"):
        star = "*" if cpu["cpu-index"] == call.monitor.cpu else " "
        line = f"{star} CPU #{cpu['cpu-index']}: thread_id={cpu['thread-id']}"
        if call.vm.quirks.cpus_show_model:
            line += f" model={_model(str(cpu['qom-type']))}"
        lines.append(line + "\n")
    return "".join(lines)


def _model(qom_type: str) -> str:
    """The CPU model of a type: `qemu64` of `qemu64-x86_64-cpu`."""
    return qom_type.removesuffix("-cpu").rpartition("-")[0] if qom_type.count("-") > 1 else qom_type


@HMP.command("info kvm")
def info_kvm(call: Call) -> str:
    """Whether KVM runs the guest."""
    kvm = ask(call.vm, "query-kvm")
    word = ("enabled" if kvm["enabled"] else "disabled") if kvm["present"] else "not compiled"
    return f"kvm support: {word}\n"


@HMP.command("info chardev")
def info_chardev(call: Call) -> str:
    """The character devices."""
    return "".join(f"{each['label']}: filename={each['filename']}\n" for each in ask_list(call.vm, "query-chardev"))


@HMP.command("info iothreads")
def info_iothreads(call: Call) -> str:
    """The I/O threads."""
    text = ""
    for each in ask_list(call.vm, "query-iothreads"):
        text += f"{each['id']}:\n  thread_id={each['thread-id']}\n"
        for name in ("poll-max-ns", "poll-grow", "poll-shrink", "poll-weight", "aio-max-batch"):
            if name in each:
                text += f"  {name}={each[name]}\n"
    return text


@HMP.command("info hotpluggable-cpus")
def info_hotpluggable_cpus(call: Call) -> str:
    """Places for CPUs and who is there."""
    text = "Hotpluggable CPUs:\n"
    for each in ask_list(call.vm, "query-hotpluggable-cpus"):
        text += f'  type: "{each["type"]}"\n  vcpus_count: "{each["vcpus-count"]}"\n'
        if "qom-path" in each:
            text += f'  qom_path: "{each["qom-path"]}"\n'
        text += "  CPUInstance Properties:\n"
        for name in _PLACE:
            if name in each["props"]:
                text += f'    {name}: "{each["props"][name]}"\n'
    return text


_PLACE = (
    "node-id", "drawer-id", "book-id", "socket-id", "die-id", "cluster-id", "module-id", "core-id", "thread-id",
)  # fmt: skip
"""Levels of a CPU's place in the order in which they are printed."""


@HMP.command("info registers")
def info_registers(call: Call) -> str:
    """The registers of a CPU: those of a reset where that was the last thing that happened."""
    from qshim.views.x86_reset import registers_text, signature

    vm, index, all_of_them = call.vm, call.maybe_number("vcpu"), call.flag("cpustate_all")
    if index is not None and not 0 <= index < vm.cpus and not all_of_them:
        return f"CPU#{index} not available\n"
    if not vm.cpus:
        return "" if all_of_them else "No CPU available\n"
    edx = signature(vm) if at_reset(vm) else None
    if edx is None:
        return "info registers is not modelled by qshim for this machine: it holds no CPU state\n"
    chosen = range(vm.cpus) if all_of_them else (call.monitor.cpu if index is None else index,)
    return "".join(registers_text(vm, each, edx) for each in chosen)


@HMP.command("info balloon")
def info_balloon(call: Call) -> str:
    """How much memory the balloon leaves."""
    return f"balloon: actual={ask(call.vm, 'query-balloon')['actual'] // _MIB}\n"


@HMP.command("balloon")
def balloon(call: Call) -> str:
    """Ask the guest to give memory back."""
    ask(call.vm, "balloon", {"value": call.number("value")})
    return ""


@HMP.command("info pci")
def info_pci(call: Call) -> str:
    """PCI functions and where their BARs are mapped."""
    return _recorded(call, "info pci")


@HMP.command("info roms")
def info_roms(call: Call) -> str:
    """Firmware and tables that are loaded at reset."""
    return _recorded(call, "info roms")


@HMP.command("info numa")
def info_numa(call: Call) -> str:
    """NUMA nodes with their CPUs and memory."""
    return _recorded(call, "info numa")


def _recorded(call: Call, command: str) -> str:
    from qshim.views.recorded import NotRecorded, recorded_text

    try:
        return recorded_text(call.vm, command)
    except NotRecorded as error:
        return f"{error}\n"
