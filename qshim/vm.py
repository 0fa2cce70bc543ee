"""A machine that can be asked: memory topology, identity, run state, events; and what of it is kept.

A `Vm` knows nothing about monitors. Views make rows and text from it, commands change it, and
whoever wants its events subscribes. Text made from the topology is kept here until the topology
changes (`Vm.kept`), because HMP and QMP, on any number of connections, ask for the same text.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol, TypeVar

from qshim import versions
from qshim.events import Event, Later, Throttle, now

if TYPE_CHECKING:
    from qshim.argv import Chardev as Device
    from qshim.argv import CommandLine
    from qshim.errors import QshimError
    from qshim.memory import AddressSpace, FlatRange, Topology
    from qshim.qom import MemoryBackend, QomObject
    from qshim.recording.format import Recording

__all__ = ["Chardev", "ChardevHost", "Event", "Files", "MonitorState", "Ring", "Version", "Vm"]

T = TypeVar("T")

_PACKAGE = "qshim"
_STATES_AT = {"reset": "prelaunch", "firmware": "paused", "running": "running"}


class Version(NamedTuple):
    """What query-version answers. *package* says who built it; ours says qshim."""

    major: int
    minor: int
    micro: int
    package: str = _PACKAGE

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.micro}"


class Chardev(NamedTuple):
    """What query-chardev says of a character device."""

    label: str
    filename: str
    """QEMU's own spelling: `unix:/path,server=on`, with `disconnected:` in front while nobody is connected."""
    frontend_open: bool = True
    busy: bool = True
    """A monitor or a device uses it."""


class MonitorState:
    """What a monitor's object says of it (spec/monitor.md 1.12); it changes with `qom-set`."""

    __slots__ = ("chardev", "close_action", "control", "device", "pretty", "readline")

    def __init__(
        self, device: str, *, control: bool, pretty: bool = False, readline: bool = True, close_action: str = "none"
    ) -> None:
        """*close_action* `delete`: monitor and character device go when the client does."""
        self.device = device
        """Label of its character device."""
        self.chardev = device
        """What its property says of that: it may be set, and nothing comes of it."""
        self.control = control
        """QMP; otherwise the human monitor."""
        self.pretty = pretty
        """QMP over several lines."""
        self.readline = readline
        """The human monitor has a line editor."""
        self.close_action = close_action


class Ring:
    """The bytes of a ring buffer chardev: writing beyond *size* loses the oldest."""

    def __init__(self, size: int) -> None:
        """*size*: bytes, a power of two or 0."""
        self.size = size
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        """Add *data* at the end."""
        self.data += data
        del self.data[: max(0, len(self.data) - self.size)]

    def read(self, size: int) -> bytes:
        """Take up to *size* of the oldest bytes out."""
        taken = bytes(self.data[:size])
        del self.data[:size]
        return taken


class Files(Protocol):
    """Who makes files for commands such as memsave: the server decides which (see `Vm.files`)."""

    def may_write(self, path: str) -> str | None:
        """Why the file *path* may not be written; None if it may."""

    def unreadable(self, path: str) -> str | None:
        """Why the file *path* cannot be read; None if it can."""

    def create(self, path: str, mode: int) -> BinaryIO:
        """The new, empty file *path* with permissions *mode* (less the umask); raises OSError."""

    def fdopen(self, fd: int) -> BinaryIO:
        """The descriptor *fd*, which was passed to a monitor, as a file; closing it closes *fd*."""


class ChardevHost(Protocol):
    """Who opens character devices that need the host (see `Vm.chardev_host`)."""

    def plug(self, device: Device) -> str:
        """Open *device*; its name as query-chardev shows it. It raises OptionError."""

    def unplug(self, label: str) -> None:
        """Close the device *label*, if it was plugged."""

    def hire(self, state: MonitorState) -> None:
        """Put a monitor on a character device that has room for it, and greet who is connected."""

    def dismiss(self, state: MonitorState) -> None:
        """Take the monitor off its character device; a client stays connected, and hears nothing more."""


class Vm:
    """One machine."""

    def __init__(
        self,
        topology: Topology | None,
        *,
        quirks: versions.Quirks = versions.DEFAULT,
        version: Version | None = None,
        target: str = "x86_64",
        machine: str = "none",
        name: str | None = None,
        uuid: str | None = None,
        cpus: int = 0,
        run_state: str = "prelaunch",
        qom: QomObject | None = None,
    ) -> None:
        """*version* defaults to the dialect's own with micro 0; *name* and *uuid* are None when not given.

        *topology* is None only for a machine whose memory is still to be made (`from_recording`).
        *qom*: the root of the object tree.
        """
        major, minor = (int(part) for part in quirks.label.split("."))
        self._topology = topology
        self._recording: Recording | None = None
        self._make: Callable[[Vm], None] | None = None
        self._unbuilt = False
        self.quirks = quirks
        self.version = version or Version(major, minor, 0)
        self.target = target
        self.machine = machine
        self.name = name
        self.uuid = uuid
        self._cpus = cpus
        self.run_state = run_state
        """A QMP RunState: `prelaunch`, `running`, `paused`, `shutdown` ..."""
        self.ended = False
        """Somebody asked the machine to quit; sessions answer nothing more."""
        self.single_step = False
        """The guest would execute one instruction at a time."""
        self.qom = qom
        self.notes: tuple[str, ...] = ()
        """What was assumed about the machine, a sentence each."""
        self.actions = {"reboot": "reset", "shutdown": "poweroff", "panic": "shutdown", "watchdog": "reset"}
        """What set-action set; the defaults are QEMU's."""
        self.chardevs: dict[str, Chardev] = {}
        """Character devices by label, the newest last; whoever opens one enters it."""
        self.monitors: dict[str, MonitorState] = {}
        """Monitors by the name of their object, the oldest first; whoever serves the machine enters them."""
        self.monitor: MonitorState | None = None
        """The one whose command is carried out."""
        self.rings: dict[str, Ring] = {}
        """Ring buffers among them."""
        self.chardev_host: ChardevHost | None = None
        """Opens the others; None while nobody serves the machine."""
        self.files: Files | None = None
        """Makes the files that monitor commands write; None: there are none."""
        self.backends: dict[str, MemoryBackend] | None = None
        """Memory backends by id; None until somebody asks for them (see qshim.monitor.qmp.objects)."""
        self.fds: dict[str, int] = {}
        """Descriptors that were passed to the monitor whose command is carried out, by the name getfd gave them."""
        self.passed: list[int] = []
        """Descriptors passed to that monitor which no command has taken yet."""
        self.fdsets: dict[int, dict[int, str | None]] = {}
        """Descriptors that add-fd put into sets, with what was said about each."""
        self.resets = 0
        """How often it was reset since it was made."""
        self.extensions = False
        """The `x-qshim-` commands exist."""
        self.answers: dict[str, Callable[[], object]] = {}
        """What a modelled machine answers to QMP commands about itself."""
        self.texts: dict[str, Callable[[], str]] = {}
        """What it prints for HMP commands about itself."""
        self.said: tuple[str, ...] = ()
        """What QEMU would have printed on stderr while it made this machine, behind its name."""
        self.starts = True
        """It runs as soon as it is made: there was no -S."""
        self.preconfig: Callable[[], None] | None = None
        """Makes the machine that -preconfig has put off; None where it is there."""
        self.failure: QshimError | None = None
        """Why the machine could not be made after all; it has ended then."""
        self.command_line: CommandLine | None = None
        """What a modelled machine was asked for with; None for a recording, which has its own."""
        self.machine_model: object | None = None
        """The modelled machine behind it (a `qshim.machines.machine.Machine`); None for a recording."""
        self.on_reset: Callable[[], Iterable[tuple[str | None, str]]] = tuple
        """Resets a modelled machine; (id, path) of the devices that left it."""
        self.qtest: Callable[[str], str] | None = None
        """Answers a line of the qtest protocol; None where the machine takes none (a recording)."""
        self.test_clock = False
        """A test program moves the virtual clock (-accel qtest)."""
        self._throttle = Throttle(self._tell, dict(quirks.more_limited_events))
        self._slots: Mapping[AddressSpace, frozenset[tuple[int, int]]] = {}
        self._event_sinks: list[Callable[[Event], None]] = []
        self._end_sinks: list[Callable[[], None]] = []
        self._kept: dict[Hashable, object] = {}
        self._kept_at = (-1, -1, -1)

    @classmethod
    def from_recording(cls, recording: Recording, dialect: str | None = None, *, later: bool = False) -> Vm:
        """The machine of *recording* as live regions, speaking its own dialect or *dialect* (a label).

        A recording of a QEMU that is no dialect of qshim speaks the nearest older one. With *later*
        the memory is made by `build`, or when somebody first asks for it.

        :raises RecordingError: the recording contradicts itself.
        """
        qemu = recording.qemu
        if dialect is None:
            quirks, _ = versions.quirks_for(qemu.major, qemu.minor)
        else:
            quirks = versions.KNOWN[dialect]
        own = quirks.label == f"{qemu.major}.{qemu.minor}"
        vm = cls(
            None,
            quirks=quirks,
            version=Version(qemu.major, qemu.minor, qemu.micro) if own or dialect is None else None,
            target=recording.target or "x86_64",
            machine=recording.machine or "none",
            name=_told(recording, "query-name", "name"),
            uuid=_told(recording, "query-uuid", "UUID"),
            run_state=_told(recording, "query-status", "status") or _STATES_AT[recording.when],
        )
        vm._recording = recording
        vm._unbuilt = True
        if not later:
            vm.build()
        return vm

    def know(self, recording: Recording | None) -> None:
        """A recording of the same machine, which answers what this modelled one does not."""
        self._recording = recording

    def put_off(self, make: Callable[[Vm], None]) -> None:
        """*make* will make this machine when `build` is called, or when somebody first asks for it."""
        self._make = make

    def build(self) -> None:
        """Make the machine now, if that was put off.

        :raises QshimError: it cannot be made: a recording contradicts itself, QEMU refuses a command line.
        """
        if self._make is not None:
            make, self._make = self._make, None
            make(self)
        recording = self._recording
        if recording is None or not self._unbuilt:
            return
        from qshim.recording.rebuild import rebuild

        rebuilt = rebuild(recording)
        self._unbuilt = False
        self._topology = rebuilt.topology
        self._cpus = _cpus(recording, rebuilt.topology)
        self.qom = rebuilt.qom
        self.notes = rebuilt.notes
        self._slots = rebuilt.slots

    def complete(self) -> None:
        """Make the machine that waits for it (`preconfig`), and let it run unless its command line has -S.

        :raises QshimError: it cannot be made.
        """
        self.build()
        if self.preconfig is None:
            return
        self.preconfig()
        self.preconfig = None
        self._kept.clear()
        if self.starts:
            self.cont()

    def fail(self, error: QshimError) -> None:
        """The machine ends, because of *error*."""
        self.failure = error
        self.ended = True
        for sink in tuple(self._end_sinks):
            sink()

    @property
    def topology(self) -> Topology:
        """The memory."""
        if self._topology is None:
            self.build()
            assert self._topology is not None
        return self._topology

    def accelerators(self, space: AddressSpace, r: FlatRange) -> tuple[str, ...]:
        """`("KVM",)` where a KVM memory slot of *space* covers exactly *r* (memory.md 6.7)."""
        return ("KVM",) if (r.start, r.size) in self._slots.get(space, ()) else ()

    @property
    def cpus(self) -> int:
        """How many CPUs there are."""
        self.build()
        return self._cpus

    def hold(self, topology: Topology, cpus: int) -> None:
        """What was put off is there: memory and *cpus* CPUs."""
        self._topology, self._cpus = topology, cpus

    def count_cpus(self, number: int) -> None:
        """There are *number* CPUs now."""
        self._cpus = number

    @property
    def running(self) -> bool:
        """Whether the guest executes."""
        return self.run_state == "running"

    def kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """What *make* returned for *key* since the topology last changed; called at most once in between."""
        state = self._state()
        if state != self._kept_at:
            self._kept.clear()
            self._kept_at = state
        if key not in self._kept:
            self._kept[key] = make()
        # each key is used with one function only, so its type is known
        return self._kept[key]  # type: ignore[return-value]

    def _state(self) -> tuple[int, int, int]:
        """What kept text depends on: regions, RAM blocks, and translations, which move the MRU mark of a dispatch."""
        topology = self.topology
        return topology.generation, topology.ram.version, topology.lookups

    def subscribe(self, on_event: Callable[[Event], None], on_end: Callable[[], None] | None = None) -> None:
        """Call *on_event* for each event from now on, and *on_end* once when the machine quits."""
        self._event_sinks.append(on_event)
        if on_end is not None:
            self._end_sinks.append(on_end)

    def unsubscribe(self, on_event: Callable[[Event], None], on_end: Callable[[], None] | None = None) -> None:
        """Undo `subscribe`; callables that were never subscribed are ignored."""
        if on_event in self._event_sinks:
            self._event_sinks.remove(on_event)
        if on_end in self._end_sinks:
            self._end_sinks.remove(on_end)

    @property
    def recording(self) -> Recording | None:
        """What the machine was rebuilt from; None for a modelled one."""
        return self._recording

    def recorded(self, command: str) -> object:
        """What the real QEMU returned for the QMP *command*; None where the recording does not have it.

        It says how the machine was then: ask the live model first. A modelled machine answers live.
        """
        self.build()
        if command in self.answers:
            return self.answers[command]()
        return None if self._recording is None else self._recording.qmp.get(command)

    def recorded_text(self, command: str) -> str | None:
        """What the real QEMU printed for the HMP *command*, or None; a modelled machine prints it anew."""
        self.build()
        if command in self.texts:
            return self.texts[command]()
        return None if self._recording is None else self._recording.text(command)

    def set_clock(self, later: Later) -> None:
        """*later* (seconds, function) calls back, so that limited events are held back (monitor.md 1.11)."""
        self._throttle.later = later

    @property
    def later(self) -> Later | None:
        """Calls a function after so many seconds; None while the machine has no clock."""
        return self._throttle.later

    def emit(self, name: str, data: Mapping[str, object] | None = None) -> None:
        """An event happens: tell every subscriber, in the order they came; limited events may come later."""
        self._throttle.take(now(name, data))

    def _tell(self, event: Event) -> None:
        for sink in tuple(self._event_sinks):
            sink(event)

    def may_write(self, path: str) -> str | None:
        """Why monitor commands may not write the file *path*; None if they may."""
        return "this machine writes no files" if self.files is None else self.files.may_write(path)

    def stop(self) -> None:
        """Pause the guest: STOP event, state `paused`. Nothing happens unless it runs."""
        if self.running:
            self.run_state = "paused"
            self.emit("STOP")

    def cont(self) -> None:
        """Let the guest run: RESUME event, state `running`. Nothing happens if it runs, or is still to be made."""
        if not self.running and self.preconfig is None:
            self.run_state = "running"
            self.emit("RESUME")

    def reset(self, reason: str = "host-qmp-system-reset") -> None:
        """Reset: RESET event with *reason* (a ShutdownCause), or the end where a reset means that.

        A machine that does not run is `prelaunch` afterwards.
        """
        self.build()
        if self.actions["reboot"] == "shutdown":
            self.shutdown(reason)
            return
        if not self.running:
            self.run_state = "prelaunch"
        self.resets += 1
        gone = self.on_reset()
        self.emit("RESET", {"guest": False, "reason": reason})
        self.tell_deleted(gone)

    def tell_deleted(self, gone: Iterable[tuple[str | None, str]]) -> None:
        """DEVICE_DELETED for each (id, path)."""
        for name, path in gone:
            self.emit("DEVICE_DELETED", {"path": path} if name is None else {"device": name, "path": path})

    def powerdown(self) -> None:
        """Press the power button: POWERDOWN event; the guest would have to do the rest."""
        self.emit("POWERDOWN")

    def shutdown(self, reason: str) -> None:
        """Quit: SHUTDOWN event with *reason* (a ShutdownCause), then the end. Only the first call counts."""
        if self.ended:
            return
        self.ended = True
        self.emit("SHUTDOWN", {"guest": False, "reason": reason})
        for sink in tuple(self._end_sinks):
            sink()


def _told(recording: Recording, command: str, member: str) -> str | None:
    """The text *member* of what *command* returned; None where the recording does not have it."""
    reply = recording.qmp.get(command)
    value = reply.get(member) if isinstance(reply, Mapping) else None
    return value if isinstance(value, str) else None


def _cpus(recording: Recording, topology: Topology) -> int:
    cpus = recording.qmp.get("query-cpus-fast")
    if isinstance(cpus, Sequence):
        return len(cpus)
    # each CPU has an address space of its own
    return sum(space.name.startswith("cpu-memory-") for space in topology.spaces)
