"""Devices of RISC-V machines (spec/virt-boards.md, part B)."""
