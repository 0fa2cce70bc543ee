"""Owners of a rebuilt machine: objects of one tree that print as recorded."""

from __future__ import annotations

import pytest

from qshim.qom import QomError, QomObject
from qshim.recording.format import QemuVersion, Recording
from qshim.recording.owners import Owners, qom_tree
from qshim.rows import OwnerRow

RECORDED = Recording(
    QemuVersion(10, 0),
    hmp={
        "info qom-tree": (
            "/machine (pc-machine)",
            "  /peripheral (container)",
            "    /nv1 (nvdimm)",
            "  /unattached (container)",
            "    /device[0] (hpet)",
        ),
        "info qom-tree /objects": ("/objects (container)", "  /m0 (memory-backend-ram)"),
    },
)


def test_objects_are_those_of_the_recorded_tree() -> None:
    root = qom_tree(RECORDED)
    owners = Owners(root)
    device = owners.object_of(OwnerRow(True, "path", "/machine/unattached/device[0]"))
    assert device is not None
    assert device is root.at("machine/unattached/device[0]")
    assert (device.type_name, device.is_device, device.path) == ("hpet", True, "/machine/unattached/device[0]")
    named = owners.object_of(OwnerRow(True, "id", "nv1"))
    assert named is not None
    assert named is root.at("machine/peripheral/nv1")
    assert (named.id, named.type_name) == ("nv1", "nvdimm")
    backend = owners.object_of(OwnerRow(False, "path", "/objects/m0"))
    assert backend is not None
    assert (backend.type_name, backend.is_device) == ("memory-backend-ram", False)
    assert owners.object_of(None) is None


def test_objects_that_no_tree_holds_are_made_or_stay_outside() -> None:
    owners = Owners(qom_tree(Recording(QemuVersion(10, 0))))
    made = owners.object_of(OwnerRow(True, "path", "/machine/unattached/device[3]"))
    assert made is owners.object_of(OwnerRow(True, "path", "/machine/unattached/device[3]"))
    assert made is not None
    assert made.path == "/machine/unattached/device[3]"
    outside = owners.object_of(OwnerRow(False, "type", "memory-region-portio-list"))
    assert outside is not None
    assert (outside.path, outside.type_name) == (None, "memory-region-portio-list")
    named = owners.object_of(OwnerRow(True, "id", "pxb1"))
    assert named is not None
    assert (named.path, named.id) == (None, "pxb1")


def test_a_tree_keeps_names_and_refuses_a_second_parent() -> None:
    root = QomObject.root()
    machine = root.add_child("machine", QomObject("pc-machine"))
    device = machine.add_child("device[0]", QomObject("hpet", is_device=True))
    assert (root.path, machine.path, device.path) == ("/", "/machine", "/machine/device[0]")
    assert [thing.type_name for thing in root.walk()] == ["container", "pc-machine", "hpet"]
    with pytest.raises(QomError, match="attempt to add duplicate property 'device\\[0\\]' to object"):
        machine.add_child("device[0]", QomObject("hpet"))
    with pytest.raises(QomError, match="has a parent already"):
        root.add_child("again", device)
    machine.remove_child(device)
    assert device.path is None
    with pytest.raises(QomError, match="is no child of '/machine'"):
        machine.remove_child(device)
