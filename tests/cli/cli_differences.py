"""Rows of cli-cases.jsonl where the drop-in says something else than that QEMU did, by reason.

`NAME@VERSION`: in that version only.
"""

from __future__ import annotations

__all__ = ["DIFFERENT"]

DIFFERENT: dict[str, tuple[str, ...]] = {
    "what the host of the recording had: KVM, a firmware directory, modules of a graphical interface": (
        "L-help", "accel-kvm", "accel-kvm-tcg", "display-help@10.0", "display-help@11.1", "enable-kvm",
        "machine-accel-list",
    ),
    "not modelled: migration (-incoming)": ("preconfig-incoming",),
}  # fmt: skip
