"""QEMU's command line as values: `options` reads it, `opts` knows the `key=value,...` dialect, `chardev` the
character devices, `dialect` what differs between releases. Whatever is not understood is refused, never ignored."""

from __future__ import annotations

from qshim.argv.chardev import Chardev, SocketAddress
from qshim.argv.errors import Answered, OptionError
from qshim.argv.line import CommandLine, Monitor, Port
from qshim.argv.options import parse

__all__ = ["Answered", "Chardev", "CommandLine", "Monitor", "OptionError", "Port", "SocketAddress", "parse"]
