"""QEMU's command line as values: `options` reads it, `opts` knows the `key=value,...` dialect, `chardev` the
descriptions of character devices. Whatever is not understood is refused by name, never ignored."""

from __future__ import annotations

from qshim.argv.chardev import SocketAddress
from qshim.argv.options import CommandLine, Monitor, parse

__all__ = ["CommandLine", "Monitor", "SocketAddress", "parse"]
