"""Monitors that are objects: object-add, qom-set and object-del of them (11.1; spec/monitor.md 1.12)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor.chardevs import remove as remove_chardev
from qshim.monitor.registry import CommandError
from qshim.vm import MonitorState

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["KINDS", "check_leaving", "dismiss", "forget", "make", "property_of", "set_property"]

KINDS = ("monitor-qmp", "monitor-hmp")
_MOST_USERS = 4
_NAMES = {"chardev": "chardev", "pretty": "pretty", "close-action": "close_action", "readline": "readline"}
"""Property -> where it is kept; `chardev` is only told, and setting it moves no monitor."""
_CLOSE_ACTIONS = ("none", "delete")


def make(vm: Vm, kind: str, name: str, arguments: Mapping[str, object]) -> None:
    """Put a monitor of type *kind* on a character device.

    :raises CommandError: there is no such device, or somebody uses it.
    """
    label = str(arguments["chardev"])
    found = vm.chardevs.get(label)
    if found is None:
        raise CommandError(f'chardev "{label}" not found')
    users = sum(state.device == label for state in vm.monitors.values())
    if found.filename == "mux" and users >= _MOST_USERS:
        raise CommandError(f"too many uses of multiplexed chardev '{label}' (maximum is {_MOST_USERS})")
    if found.filename != "mux" and found.busy:
        raise CommandError(f"chardev '{label}' is already in use")
    if vm.chardev_host is None:
        raise CommandError(f"object-add of {kind} is not modelled by qshim for a machine that nobody serves")
    state = MonitorState(
        label,
        control=kind == "monitor-qmp",
        pretty=bool(arguments.get("pretty")),
        readline=arguments.get("readline") is not False,
        close_action=str(arguments.get("close-action", "none")),
    )
    vm.monitors[name] = state
    vm.chardev_host.hire(state)


def check_leaving(vm: Vm, name: str) -> None:
    """Whether the monitor *name* may be removed.

    :raises CommandError: it is asked itself, or it is a human monitor.
    """
    state = vm.monitors.get(name)
    if state is None or not state.control:
        raise CommandError("Deleting HMP monitors is not supported")
    if state is vm.monitor:
        raise CommandError("Cannot delete the current QMP monitor")


def dismiss(vm: Vm, name: str) -> None:
    """Take the monitor *name* away; its character device stays."""
    state = vm.monitors.pop(name)
    if vm.chardev_host is not None:
        vm.chardev_host.dismiss(state)


def forget(vm: Vm, state: MonitorState) -> None:
    """The client of a monitor with close-action=delete is gone: monitor, object and character device go, too."""
    from qshim.monitor.qmp.objects import leave

    for name in [name for name, each in vm.monitors.items() if each is state]:
        dismiss(vm, name)
        leave(vm, name)
    remove_chardev(vm, state.device)


def property_of(state: MonitorState, name: str) -> object:
    """The value of a property that the type has."""
    return getattr(state, _NAMES[name])


def set_property(state: MonitorState, name: str, value: object) -> None:
    """Set a property that the type has.

    :raises CommandError: *value* is of another type.
    """
    boolean = name in ("pretty", "readline")
    if not isinstance(value, bool if boolean else str):
        raise CommandError(f"Invalid parameter type for '{name}', expected: {'boolean' if boolean else 'string'}")
    if name == "close-action" and value not in _CLOSE_ACTIONS:
        raise CommandError(f"Parameter 'close-action' does not accept value '{value}'")
    setattr(state, _NAMES[name], value)
