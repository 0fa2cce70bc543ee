"""QMP commands about migration: capabilities are kept, since libvirt sets some at once; nothing is ever sent.

A place of no known kind is refused. Capabilities that depend on the host or on each other are not modelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from qshim.monitor.qmp.extensions import schema_for
from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError
from qshim.vm import Vm

__all__ = ["migrate", "migrate_set_capabilities", "migrate_set_parameters", "query_migrate_capabilities"]

_FREE = frozenset(
    (
        "xbzrle", "rdma-pin-all", "auto-converge", "zero-blocks", "events", "release-ram", "return-path",
        "pause-before-switchover", "dirty-bitmaps", "late-block-activate", "validate-uuid", "postcopy-blocktime",
    )
)  # fmt: skip
"""Capabilities that may be switched on whatever the others are."""
_ON: WeakKeyDictionary[Vm, frozenset[str]] = WeakKeyDictionary()
_PLACES = ("tcp:", "rdma:", "unix:", "vsock:", "fd:", "exec:", "file:")


@QMP.command("migrate")
def migrate(vm: Vm, arguments: Mapping[str, object]) -> object:
    """Send the machine to another QEMU."""
    uri, channels = arguments.get("uri"), arguments.get("channels")
    if uri is None and channels is None:
        raise CommandError("need either 'uri' or 'channels' argument")
    if uri is not None and channels is not None:
        raise CommandError("need either 'uri' or 'channels' argument")
    if isinstance(uri, str) and not uri.startswith(_PLACES):
        raise CommandError(vm.quirks.migrates_nowhere.format(uri))
    raise CommandError("migrate is not modelled by qshim")


@QMP.command("migrate-set-capabilities")
def migrate_set_capabilities(vm: Vm, arguments: Mapping[str, object]) -> object:
    """Switch capabilities on and off, all of them or none."""
    wanted: Any = arguments["capabilities"]
    on = set(_ON.get(vm, ()))
    for each in wanted:
        name = each["capability"]
        if each["state"] and name not in _FREE:
            raise CommandError(f"migrate-set-capabilities of {name} is not modelled by qshim")
        (on.add if each["state"] else on.discard)(name)
    _ON[vm] = frozenset(on)
    return {}


@QMP.command("query-migrate-capabilities")
def query_migrate_capabilities(vm: Vm, arguments: Mapping[str, object]) -> object:
    """Which capabilities are on."""
    on = _ON.get(vm, frozenset())
    told = schema_for(vm).idle["query-migrate-capabilities"]["return"]
    return [{**row, "state": row["capability"] in on} for row in told]


@QMP.command("migrate-set-parameters")
def migrate_set_parameters(vm: Vm, arguments: Mapping[str, object]) -> object:
    """Change settings; they stay what they are."""
    if arguments:
        raise CommandError("migrate-set-parameters is not modelled by qshim")
    return {}
