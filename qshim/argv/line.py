"""A command line as one value: what `options` makes of the words."""

from __future__ import annotations

from typing import NamedTuple

from qshim.argv.chardev import Chardev

__all__ = ["MOST_USERS", "CommandLine", "Monitor", "Port"]

MOST_USERS = 4
"""Monitors and ports on one character device with mux=on."""


class Monitor(NamedTuple):
    """A monitor on the character device *chardev*."""

    chardev: str
    control: bool = True
    """QMP; otherwise the human monitor."""
    pretty: bool = False
    option: str = ""
    name: str = ""
    """What its object is called where monitors are objects (monitor.md 1.12)."""
    readline: bool = True
    """A line editor; for the human monitor."""
    close_action: str = "none"
    """`delete`: it goes with its first client, and so does its character device."""


class Port(NamedTuple):
    """A serial or parallel port of the machine, and the character device behind it."""

    kind: str
    """`serial` or `parallel`"""
    chardev: str | None
    """None: there is no such port (`-serial none`)."""
    option: str = ""
    device: Chardev | None = None
    """One of its own; it is made after all others."""


class CommandLine(NamedTuple):
    """What was asked for."""

    machine: str | None = None
    machine_properties: tuple[tuple[str, str], ...] = ()
    accelerators: tuple[str, ...] = ()
    memory: int | None = None
    """-m: bytes of RAM at start."""
    cpu: str | None = None
    chardevs: tuple[Chardev, ...] = ()
    monitors: tuple[Monitor, ...] = ()
    ports: tuple[Port, ...] = ()
    """-serial and -parallel, as `serials` and `parallels`."""
    escape: int = 1
    """-echr: what begins a command to the switch of a shared device."""
    append: str | None = None
    """-append, of which only the machine's property tells: nothing boots."""
    layout: tuple[str, ...] = ()
    """Options that would make another machine, as typed."""
    stopped: bool = False
    """-S"""
    preconfig: bool = False
    """The machine is not made before a monitor says so."""
    name: str | None = None
    uuid: str | None = None
    nodefaults: bool = False
    nographic: bool = False
    display: str | None = None
    daemonize: bool = False
    pidfile: str | None = None
    actions: tuple[tuple[str, str], ...] = ()
    """-action, -no-reboot and -no-shutdown, in set-action's words."""
    log_file: str | None = None
    """-D"""
    version: bool = False
    """-version"""
    warnings: tuple[str, ...] = ()
    serials: tuple[str, ...] = ()
    """Where serial ports go, in order; a modelled board has as many."""
    parallels: tuple[str, ...] = ()
    data_dirs: tuple[str, ...] = ()
    """-L: where firmware is looked for."""
    boot: tuple[tuple[str, str], ...] = ()
    """-boot: its members, as text."""
    clock: bool = False
    """-rtc was given."""
    printed: tuple[str, ...] = ()
    """Lines that QEMU says on standard output before it starts."""
    qtest: str | None = None
    """-qtest: the character device that test programs drive the machine by."""
    qtest_log: str | None = None
    """-qtest-log: the file for what is said there; None is standard error, `none` nowhere."""
