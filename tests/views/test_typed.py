"""The JSON forms: they fit their schemas, and say what the text says."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from qshim.recording.format import load
from qshim.units import U64_MAX
from qshim.views.explain import EXPLAIN_SCHEMA, explain, explain_json
from qshim.views.flatview import flat
from qshim.views.typed import VIEWS_SCHEMA, flat_json, ramblock_json, tree_json
from qshim.vm import Vm

ROOT = Path(__file__).parents[2]
FILES = [
    ROOT / "fixtures" / "recordings" / version / f"{name}.qrec.xz"
    for version in ("7.2", "10.0", "11.1")
    for name in ("q35-nvdimm", "virt-devices", "pc-devices-firmware")
]


@pytest.fixture(params=FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def vm(request: pytest.FixtureRequest) -> Vm:
    return Vm.from_recording(load(request.param))


def test_views_fit_their_schema(vm: Vm) -> None:
    jsonschema.Draft202012Validator.check_schema(VIEWS_SCHEMA)
    for view in (tree_json(vm), flat_json(vm), ramblock_json(vm)):
        jsonschema.validate(view, VIEWS_SCHEMA)


def test_explanations_fit_their_schema(vm: Vm) -> None:
    jsonschema.Draft202012Validator.check_schema(EXPLAIN_SCHEMA)
    for addr in (0, 0x1000, 0x9000000, 0x40000000, 0xFEE00000, 0x100000000, U64_MAX):
        jsonschema.validate(explain_json(explain(vm, addr)), EXPLAIN_SCHEMA)


def test_flat_json_has_the_ranges_of_the_text(vm: Vm) -> None:
    views = flat_json(vm)["views"]
    assert isinstance(views, list)
    rows = flat(vm).views
    assert len(views) == len(rows)
    for view, row in zip(views, rows, strict=True):
        assert isinstance(view, dict)
        ranges = view["ranges"]
        assert isinstance(ranges, list)
        said = [(r["start"], r["last"], r["name"], r["type"]) for r in ranges if isinstance(r, dict)]
        assert said == [(r.start, r.last, r.name, r.type) for r in row.ranges]


def test_every_named_block_has_its_region(vm: Vm) -> None:
    blocks = ramblock_json(vm)["blocks"]
    assert isinstance(blocks, list)
    assert blocks
    main = max((b for b in blocks if isinstance(b, dict)), key=lambda b: str(b["max-length"]).zfill(20))
    assert main["region"] is not None
