"""QMP: a session without a socket (`session`), argument checks in QEMU's words (`arguments`), commands by family."""

from __future__ import annotations
