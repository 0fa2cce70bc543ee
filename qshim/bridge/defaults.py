"""What a bridge does unless it is told otherwise. The command line shows these, so nothing is imported here."""

from __future__ import annotations

__all__ = ["ALLOWED", "COMPRESS_ABOVE", "DISCOVERY", "MAX_PAYLOAD", "POLL", "PREFIX", "QUEUE", "SCHEMES"]

SCHEMES = ("mqtt://", "mqtts://", "ws://", "wss://")
"""What a broker's URL begins with."""

PREFIX = "qshim"
"""First level of every topic, unless the URL says otherwise."""

POLL = 10.0
"""Seconds after which a layout is read again without any event: QEMU tells of no device that was added."""

QUEUE = 10_000
"""Events that wait while the broker is away."""

MAX_PAYLOAD = 128 << 10
"""Bytes; no message is larger: brokers in use allow 128 KiB and more."""

COMPRESS_ABOVE = 16 << 10
"""Bytes; texts of layouts that are larger are compressed."""

ALLOWED = "query-*,info"
"""Commands that are allowed where commands are allowed and none is named."""

DISCOVERY = "homeassistant"
"""Where Home Assistant looks, unless it was told otherwise."""
