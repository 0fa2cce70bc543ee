"""QMP commands about trace events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor import tracing
from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["trace_event_get_state", "trace_event_set_state"]

Arguments = Mapping[str, object]


def _check_vcpu(vm: Vm, arguments: Arguments, name: str) -> None:
    """7.2 takes a CPU, and no event belongs to one.

    :raises CommandError: a CPU is named.
    """
    index = arguments.get("vcpu")
    if index is None:
        return
    assert isinstance(index, int)
    if not 0 <= index < vm.cpus:
        raise CommandError(f"invalid vCPU index {index}")
    if not {"*", "?"} & set(name):
        tracing.matching(vm, name)
        raise CommandError(f'event "{name}" is not vCPU-specific')


@QMP.command("trace-event-get-state")
def trace_event_get_state(vm: Vm, arguments: Arguments) -> object:
    """Whether events are traced."""
    name = str(arguments["name"])
    _check_vcpu(vm, arguments, name)
    if "vcpu" in arguments:
        return []
    more = {"vcpu": False} if vm.quirks.trace_events_of_cpus else {}
    return [
        {"name": each, **more, "state": "enabled" if tracing.enabled(vm, each) else "disabled"}
        for each in tracing.matching(vm, name)
    ]


@QMP.command("trace-event-set-state")
def trace_event_set_state(vm: Vm, arguments: Arguments) -> object:
    """Trace events, or no more: nothing here ever happens that would be traced."""
    name = str(arguments["name"])
    _check_vcpu(vm, arguments, name)
    tracing.switch(vm, name, bool(arguments["enable"]))
    return {}
