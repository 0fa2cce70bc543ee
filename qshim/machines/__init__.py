"""Boards: what a machine type puts on the board, in which order and where.

`build` makes a machine from a command line. `Machine` is what all boards have in common; x86/ holds
the PCs (spec/x86-boards.md), arm/ and riscv/ the virt boards (spec/virt-boards.md), each family with its
addresses in their order, and compat.py with what differs between versions of one machine type.
"""
