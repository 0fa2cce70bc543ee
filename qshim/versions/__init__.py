"""What differs between QEMU *binaries*: one frozen `Quirks` value for each dialect.

Nobody compares version numbers elsewhere: code asks for the behaviour by its name. Every field says
which release changed it, by spec section or by the binary where it was seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["DEFAULT", "KNOWN", "Quirks", "quirks_for"]


class Quirks(NamedTuple):
    """The dialect of one QEMU release (a named tuple: a dataclass of this size takes 3 ms to make at start-up)."""

    label: str
    """`7.2`, `10.0` or `11.1`."""
    mtree_container_word: bool = False
    """An unparented region that is not memory prints `container` instead of `i/o` (11.1; memory.md 6.2)."""
    ramblock_shows_host: bool = True
    """`info ramblock` has the HVA and RO columns (10.0; memory.md 5.5)."""
    late_listener_gets_coalesced: bool = True
    """A listener that registers late is told about coalesced areas and ioeventfds (10.0; memory.md 3.4)."""
    eventfd_diff_needs_listener: bool = True
    """ioeventfds are only diffed while some listener of the space wants them (10.0; memory.md 3.3)."""
    debug_write_reaches_rom: bool = True
    """An access with attrs.debug writes ROM directly (10.0; memory.md 7.1)."""
    migration_error_chain: bool = False
    """A failed incoming migration tells the whole chain of reasons in its last line (11.1, real migrations)."""
    ignore_shared_needs_file: bool = True
    """x-ignore-shared leaves out shared memory of named files alone, not of memfds (10.0, real migrations)."""
    json_incremental: bool = False
    """QMP input is parsed token by token: an error comes at the offending token with `LINE:COL: ` in front, in new
    words, and the rest of the message is swallowed (11.1; monitor.md 1.7)."""
    status_shows_singlestep: bool = False
    """query-status has the member `singlestep` (gone in 10.0; qmp-commands.jsonl)."""
    hmp_binary_numbers: bool = True
    """Numbers of HMP expressions may be written `0b101`: the C library of that build takes them (10.0)."""
    pcie_slot_with_card: int = 0x3C0
    """Slot control of a port with a card after reset: in 7.2 the power lamp is on (configuration reads of each)."""
    readline_emacs_keys: bool = True
    """The human monitor's editor knows ^N, ^P and ^U (10.0; monitor.md 5.1)."""
    no_virtio_is_error: bool = True
    """`info virtio` answers an error where there is no virtio device (10.0; hmp-cases.jsonl)."""
    capture_is_deprecated: bool = False
    """HMP warns before commands about audio capture (11.1; monitor.md 5.6)."""
    dump_bad_protocol: str = "parameter 'protocol' must start with 'file:' or 'fd:'"
    """What dump-guest-memory says to another protocol (10.0; monitor.md 4.3)."""
    dump_length_zero: str = "parameter 'length' expects a non-zero size"
    """What it says to an empty stretch (10.0)."""
    dump_cannot_create: str = "Could not create"
    """How it begins to say that a file cannot be made (10.0; monitor.md 4.3)."""
    win_dump_is_checked_first: bool = False
    """Whether a win-dmp is possible is looked at before anything is written (11.1; monitor.md 4.3)."""
    win_dump_targets: tuple[str, ...] = ("x86_64",)
    """Targets whose binaries can write a win-dmp."""
    no_win_dump: str = "Windows dump is only available for x86-64"
    """What the others say (other words in 11.1; seen)."""
    dump_machine: Mapping[str, bytes] = {}
    """What a kdump calls the machine of a target, if not Unknown (7.2 knows PCs; seen)."""
    old_sizes: bool = False
    """A size does not begin with a dot, and a hexadecimal one may have a suffix (gone in 10.0)."""
    registers_by_gdb_name: bool = False
    """Expressions of HMP name CPU registers as gdb does (11.1; monitor.md 5.5)."""
    xp_short_addresses: bool = False
    """`xp` pads addresses to 8 digits instead of 16 (11.1; monitor.md 5.4)."""
    octal_zero_apart: bool = False
    """`x/o` prints the leading 0 in front of the padding instead of behind it (11.1; monitor.md 5.4)."""
    zero_has_prefix: bool = False
    """`gva2gpa 0` answers `0x0` (11.1; monitor.md 5.6)."""
    cpus_show_model: bool = False
    """`info cpus` ends in the CPU model (11.1; monitor.md 5.6)."""
    more_limited_events: tuple[tuple[str, str | None], ...] = (
        ("HV_BALLOON_STATUS_REPORT", None), ("BLOCK_IO_ERROR", "qom-path"),
    )  # fmt: skip
    """Rate-limited events besides those of every release, each with the member whose values are told apart (10.0;
    monitor.md 1.11)."""
    no_nmi: str = "machine does not provide NMIs"
    """inject-nmi on a machine without NMI handler (other words before 10.0; qmp-commands.jsonl)."""
    iothread_polling: tuple[int, int, int | None] = (0, 0, None)
    """poll-grow, poll-shrink and poll-weight of a new iothread (11.1 changed the defaults; qmp-commands.jsonl)."""
    mapped_backend: str = "object '{}' is in use, can not be deleted"
    """object-del of a memory backend that is guest memory (other words in 11.1; monitor.md 4.3)."""
    can_bus_stays: str = "object '{}' is in use, can not be deleted"
    """object-del of a can-bus (other words in 11.1; seen)."""
    device_path_word: str = "device"
    """What device_del says that an object is not (`hotpluggable device` before 10.0; monitor.md 4.3)."""
    root_objects: tuple[str, ...] = ("backend", "machine", "objects", "chardevs")
    """Containers below the root of the object tree (10.0 added backend, 11.1 audiodevs; monitor.md 4.3)."""
    device_add_takes_text: bool = False
    """device_add makes text of every value (gone in 10.0; monitor.md 4.3)."""
    monitors_are_objects: bool = False
    """Monitors stand below /objects (11.1; monitor.md 1.12)."""
    pc_links: tuple[tuple[str, str], ...] = ()
    """Properties that a PC gets while it is made, in one release only (7.2: rtc_state; qmp-commands.jsonl)."""
    ospm_lists_cpus: bool = False
    """query-acpi-ospm-status lists CPUs behind the DIMM slots (11.1; qmp-commands.jsonl)."""
    file_size_is_pages: bool = True
    """A memory-backend-file has whole pages (10.0; seen)."""
    all_errors_say_so: bool = False
    """HMP errors of some old commands begin with `Error: `, too (11.1; hmp-cases.jsonl)."""
    expiry_is_checked: bool = True
    """expire_password looks at its time before anything else (10.0; seen)."""
    no_enclaves: str = "Could not open '/dev/sgx_vepc': No such file or directory"
    """query-sgx-capabilities on a host without (other words before 10.0; qmp-commands.jsonl)."""
    migrates_nowhere: str = "unknown migration protocol: {}"
    """migrate to a place of no known kind (other words before 10.0; qmp-commands.jsonl)."""
    no_colo: str = "VM is not in COLO mode"
    """x_colo_lost_heartbeat (other words before 10.0; hmp-cases.jsonl)."""
    no_device_tree: str = (
        "This machine doesn't have an FDT\n"
        "(Perhaps it doesn't support FDT at all, or perhaps you need to provide an FDT with the -fdt option?)"
    )
    """dumpdtb on a PC (other words before 10.0; hmp-cases.jsonl)."""
    absent_is_error: bool = True
    """change, mouse_set and pcie_aer_inject_error of what is not there fail with `Error: ` (not before 10.0; seen)."""
    no_function: str = "device '{}' not found"
    """pcie_aer_inject_error of no function (other words before 10.0; seen)."""
    no_virtio_status: str = "Path {} is not a realized VirtIODevice"
    """x-query-virtio-status of something else (other words before 10.0; seen)."""
    no_vnc_password: str = "Could not set password"
    """set_password without VNC (other words in 11.1; seen)."""
    gdb_without_cpu: str = "warning: {0}\nCould not open gdbserver on device '{1}'\n"
    """What gdbserver prints of a reason and a device (7.2 has no `warning: `, 11.1 no second line; seen)."""
    gdb_without_device: str = "warning: gdbstub: couldn't create chardev\nCould not open gdbserver on device '{0}'\n"
    """What it prints behind the reason why there is no such character device (every release its own; seen)."""
    bad_sync_profile: str = "invalid parameter '{}', expecting 'on', 'off', or 'reset'"
    """sync-profile with another word (other words before 10.0; hmp-cases.jsonl)."""
    migrate_globals: str = (
        "globals:\nstore-global-state: on\nonly-migratable: off\nsend-configuration: on\nsend-section-footer: on\n"
        "send-switchover-start: on\nclear-bitmap-shift: 18\n"
    )
    """`info migrate` without a migration (other settings before 10.0, nothing in 11.1; hmp-cases.jsonl)."""
    acpi_index_is_unique: bool = True
    """Two functions with one acpi-index are refused on every board, not only where ACPI serves hot-plug (10.0)."""
    smp_members: tuple[str, ...] = (
        "drawers", "clusters", "sockets", "dies", "cores", "threads", "books", "maxcpus", "cpus", "modules",
    )  # fmt: skip
    """What the property `smp` of a machine counts (10.0 added modules, books and drawers; qmp-commands.jsonl)."""
    small_backing_store: str = (
        "{} backing store size {:#x} is too small for 'size' option {:#x} plus 'offset' option 0x0"
    )
    """A memfd whose size is no whole page (other words before 10.0; seen)."""
    pci_sleep_unmaps: bool = True
    """A PCI function in a power state other than D0 has no BARs mapped (10.0; x86-boards.md 5.2)."""
    pci_bridge_spaces: bool = True
    """Every PCI bridge has address spaces of its secondary bus (10.0; x86-boards.md 2.4)."""
    smm_off_drops_smram: bool = True
    """q35 with smm=off has no SMRAM regions (10.0; x86-boards.md 2.3)."""
    device_memory_space: bool = True
    """Device memory is an address space, too (10.0; x86-boards.md 1.3)."""
    ports_80_f0_of_machine: bool = False
    """ioport80 and ioportF0 belong to the machine (11.1; x86-boards.md 3.2)."""
    south_bridge_children: bool = True
    """DMA, RTC, IDE and PM are children of the south bridge (10.0; x86-boards.md 2.2)."""
    smp_is_strict: bool = True
    """Zeros in -smp are errors (10.0; seen)."""
    isapc_split: bool = False
    """isapc takes more than 3.5 GiB of RAM (until 7.2; x86-boards.md 1.2)."""
    isapc_most_memory: bool = False
    """isapc with too much memory is refused in its own words (11.1; x86-boards.md 1.2)."""
    phys_bits_by_ram_end: bool = True
    """A CPU without long mode is held against the end of RAM (10.0; x86-boards.md 1.5)."""
    pflash_bios_alias: bool = True
    """isa-bios may be an alias of the flash (10.0, machine types from 9.1; x86-boards.md 3.10)."""
    vmport_needs_i8042: bool = True
    """vmport=on without i8042 is an error (10.0; x86-boards.md 2.3)."""
    tco_may_be_off: bool = True
    """ICH9-LPC.enable_tco=off removes the registers (10.0; x86-boards.md 2.3)."""
    no_cpu_hotplug: str = "machine does not support hot-plugging CPUs"
    """query-hotpluggable-cpus on a board without it (other words before 10.0; x86-boards.md 7)."""
    vga_state_is_unique: bool = True
    """vmware-svga beside a VGA is refused for the name of its state (10.0; seen)."""
    pci_shows_unmapped_addresses: bool = False
    """`info pci` prints all ones for a BAR that is not mapped, and a full stop (until 7.2; seen)."""
    nics_are_tried: bool = True
    """-global for a network card is looked at even if there is none (10.0; cli-cases.jsonl)."""
    no_device_memory: str = (
        "the configuration is not prepared for memory devices (e.g., for memory hotplug), consider specifying the "
        "maxmem option"
    )
    """A memory device on a machine without maxmem (other words before 10.0; seen)."""
    port_list_objects: bool = True
    """Regions of port lists are owned by a `memory-region-portio-list` object (10.0; memory.md 9)."""
    pam_is_the_hosts: bool = False
    """PAM aliases of a pc belong to the host bridge device instead of its function (7.2; x86-boards.md 3.1)."""
    extended_tseg: int = 16
    """Default of mch.extended-tseg-mbytes (11.1: 64; x86-boards.md 3.7)."""
    pciexbar_bits: tuple[int, int, int] = (0, 1 << 26 | 1 << 25, 1 << 25)
    """Address bits of PCIEXBAR besides 35:28 for 256, 128 and 64 MiB (corrected in 11.1; x86-boards.md 3.7)."""
    amd_iommu_has_views: bool = True
    """amd-iommu keeps a direct view of memory beside the translated one (10.0; x86-boards.md 6.5)."""
    amd_iommu_by_bus_number: bool = True
    """amd-iommu tells buses apart by their numbers (until 10.0; seen)."""
    amd_iommu_starts_off: bool = False
    """amd-iommu shows memory directly until it is enabled (11.1; x86-boards.md 6.5)."""
    smbase_needs_query: bool = False
    """F_SMBASE of q35 drops what is written before it has been asked with ff (7.2; seen)."""
    b64write_takes_told_length: bool = True
    """qtest's b64write writes as many bytes as it was told, whatever was decoded (until 11.1; seen)."""
    intercepts_unknown_lines: bool = False
    """qtest's irq_intercept_out takes a name that the device does not have (7.2; seen)."""
    address_checked_first: bool = False
    """A memory device's address is looked at before its size (7.2; seen)."""
    hotplug_type_first: bool = False
    """A type that cannot be hot-plugged is refused before its bus is looked for (7.2; seen)."""
    port_refuses_cards: bool = False
    """A port with hotplug=off refuses cards itself, not its bus (7.2; seen)."""
    no_cpu_unplug: str = "acpi: device unplug request for not supported device type: {}"
    """Asking a CPU to leave a machine whose guest has not switched CPU hot-plug on (11.1 waits; seen)."""
    virtio_memory_leaves: bool = True
    """A virtio-mem device that gives nothing may be unplugged (10.0; seen)."""
    virtio_memory_stays: str = "virtio based memory devices cannot be unplugged."
    """Unplugging another virtio memory device (seen)."""
    ports_have_one_slot: bool = True
    """A device without addr= comes to a PCI Express port only while slot 0 is empty (10.0; seen)."""
    json_device_properties: bool = True
    """device_add takes properties as JSON values of their types, not as text (10.0; seen)."""
    device_id_text: str = ""
    """device_add with an id that is none; empty: it is taken (10.0; seen)."""
    full_bus_text: str = "No '{0}' bus found for device '{1}'"
    """All buses of the kind are full (other words in 11.1; seen)."""
    unaligned_ports_are_rejected: bool = False
    """An unassigned port reads as 0 where an access of more than a byte is not aligned (11.1; seen)."""
    unix_clients_name_peer: bool = True
    """query-chardev names a unix socket that connects by the path of the other end (not before 10.0; seen)."""
    udp_opens: bool = False
    """A udp character device opens like any other: a monitor on it greets, and QMP answers (11.1; seen)."""
    trace_events_of_cpus: bool = False
    """Trace events may belong to a CPU (gone in 10.0; seen)."""
    resets_raise_timer: bool = False
    """Each reset raises the interrupt of the HPET anew (gone in 10.0; seen)."""
    q35_interrupt_order: tuple[str, ...] = ("pic0", "pic1", "ioapic")
    """In which order `info pic` of a q35 prints its controllers (every release has its own; seen)."""
    flash_block_starts_with_data: bool = True
    """A buffered write to flash chooses its block by the first data, not by the count (10.0; seen)."""


V10_0 = Quirks("10.0")
V7_2 = V10_0._replace(
    pcie_slot_with_card=0x1C0,
    label="7.2",
    absent_is_error=False,
    no_function="id or pci device path is invalid or device not found. {}",
    no_virtio_status="Path {} is not a VirtIODevice",
    unix_clients_name_peer=False,
    ramblock_shows_host=False,
    late_listener_gets_coalesced=False,
    eventfd_diff_needs_listener=False,
    debug_write_reaches_rom=False,
    status_shows_singlestep=True,
    hmp_binary_numbers=False,
    readline_emacs_keys=False,
    old_sizes=True,
    dump_bad_protocol="Invalid parameter 'protocol'",
    dump_length_zero="Invalid parameter 'length'",
    dump_cannot_create="Could not open",
    no_virtio_is_error=False,
    more_limited_events=(),
    no_nmi="this feature or command is not currently supported",
    device_path_word="hotpluggable device",
    device_add_takes_text=True,
    file_size_is_pages=False,
    expiry_is_checked=False,
    migrate_globals=(
        "globals:\nstore-global-state: on\nonly-migratable: off\nsend-configuration: on\nsend-section-footer: on\n"
        "decompress-error-check: on\nclear-bitmap-shift: 18\n"
    ),
    acpi_index_is_unique=False,
    smp_members=("clusters", "sockets", "dies", "cores", "threads", "maxcpus", "cpus"),
    no_colo="The feature 'colo' is not enabled",
    no_enclaves="SGX is not enabled in KVM",
    migrates_nowhere="Parameter 'uri' expects a valid migration protocol",
    no_device_tree="This machine doesn't have a FDT",
    gdb_without_cpu="{0}\nCould not open gdbserver on device '{1}'\n",
    gdb_without_device="Could not open gdbserver on device '{0}'\n",
    bad_sync_profile="Invalid parameter '{}'",
    small_backing_store="backing store size {1:#x} does not match 'size' option {2:#x}",
    pc_links=(("rtc_state", "link<isa-device>"),),
    root_objects=("objects", "machine", "chardevs"),
    pci_sleep_unmaps=False,
    pci_bridge_spaces=False,
    tco_may_be_off=False,
    no_cpu_hotplug="The feature 'query-hotpluggable-cpus' is not enabled",
    vga_state_is_unique=False,
    pci_shows_unmapped_addresses=True,
    nics_are_tried=False,
    no_device_memory="memory devices (e.g. for memory hotplug) are not enabled, please specify the maxmem option",
    port_list_objects=False,
    flash_block_starts_with_data=False,
    trace_events_of_cpus=True,
    dump_machine={"x86_64": b"x86_64", "i386": b"i686"},
    resets_raise_timer=True,
    q35_interrupt_order=("ioapic", "pic1", "pic0"),
    smbase_needs_query=True,
    hotplug_type_first=True,
    port_refuses_cards=True,
    address_checked_first=True,
    virtio_memory_leaves=False,
    ports_have_one_slot=False,
    json_device_properties=False,
    device_id_text="Parameter 'id' expects an identifier",
    intercepts_unknown_lines=True,
    amd_iommu_has_views=False,
    smm_off_drops_smram=False,
    device_memory_space=False,
    south_bridge_children=False,
    smp_is_strict=False,
    isapc_split=True,
    ignore_shared_needs_file=False,
    phys_bits_by_ram_end=False,
    pflash_bios_alias=False,
    vmport_needs_i8042=False,
    pam_is_the_hosts=True,
)
V11_1 = V10_0._replace(
    label="11.1",
    b64write_takes_told_length=False,
    q35_interrupt_order=("ioapic", "pic0", "pic1"),
    udp_opens=True,
    no_win_dump="x86-64 Windows guest dump not built-in",
    no_cpu_unplug="",
    device_id_text="Invalid qdev ID '{}'",
    full_bus_text="A '{0}' bus was found but is full",
    unaligned_ports_are_rejected=True,
    amd_iommu_starts_off=True,
    amd_iommu_by_bus_number=False,
    extended_tseg=64,
    pciexbar_bits=(0, 1 << 27, 1 << 27 | 1 << 26),
    mtree_container_word=True,
    migration_error_chain=True,
    ports_80_f0_of_machine=True,
    isapc_most_memory=True,
    json_incremental=True,
    registers_by_gdb_name=True,
    xp_short_addresses=True,
    octal_zero_apart=True,
    zero_has_prefix=True,
    cpus_show_model=True,
    capture_is_deprecated=True,
    win_dump_is_checked_first=True,
    iothread_polling=(2, 2, 3),
    monitors_are_objects=True,
    ospm_lists_cpus=True,
    all_errors_say_so=True,
    migrate_globals="",
    gdb_without_cpu="{0}\n",
    gdb_without_device="gdbstub: couldn't create chardev\n",
    no_vnc_password="No VNC display is present",
    can_bus_stays="Deleting CAN bus device '{}' is not supported",
    mapped_backend="Cannot delete host memory backend '{}' which is mapped",
    root_objects=("backend", "machine", "objects", "chardevs", "audiodevs"),
)

KNOWN: dict[str, Quirks] = {q.label: q for q in (V7_2, V10_0, V11_1)}
DEFAULT = V11_1


def quirks_for(major: int, minor: int) -> tuple[Quirks, bool]:
    """The dialect for a QEMU version, and whether it is that version's own (False: nearest older one).

    A version older than all known ones gets the oldest dialect.
    """
    exact = KNOWN.get(f"{major}.{minor}")
    if exact is not None:
        return exact, True
    older = [q for q in KNOWN.values() if tuple(map(int, q.label.split("."))) <= (major, minor)]
    return (older[-1] if older else V7_2), False
