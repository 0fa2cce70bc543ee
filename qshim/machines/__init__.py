"""Boards: what a machine type puts on the board, in which order and where (spec/x86-boards.md).

`build` makes a machine from a command line. One file holds each board; layouts.py the addresses in
their order, compat.py what differs between versions of one machine type.
"""
