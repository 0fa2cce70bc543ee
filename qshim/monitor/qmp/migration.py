"""QMP's migrate: a place of no known kind is refused; nothing is ever sent to another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["migrate"]

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
