"""`qshim migrate-check` as a command."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from qshim.cli import main
from qshim.reports.migration import MIGRATION_SCHEMA
from tests.layout.test_migration import STREAM

DIMM = str(Path(__file__).parents[2] / "fixtures" / "recordings" / "10.0" / "pc-dimm.qrec.xz")


def layout(name: str, folder: Path) -> str:
    path = folder / f"{name.replace('/', '-')}.layout"
    assert main(["snapshot", "--recording", name, "-o", str(path)]) == 0
    return str(path)


def test_verdicts_are_exit_statuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = layout("10.0/x86_64/pc", tmp_path), layout("11.1/x86_64/pc", tmp_path)
    capsys.readouterr()
    assert main(["migrate-check", one, one]) == 0
    assert capsys.readouterr().out.endswith("accepted: no RAM block stands in the way; the state of devices was not "
                                            "looked at\n")  # fmt: skip
    assert main(["migrate-check", one, other]) == 1
    out = capsys.readouterr().out
    assert "the destination will say:\n  load of migration failed: Invalid argument: post load hook" in out
    assert main(["migrate-check", DIMM, one]) == 1
    assert "Size mismatch: pc.ram: 0x" in capsys.readouterr().out


def test_json_is_as_its_schema_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = layout("10.0/x86_64/pc", tmp_path)
    capsys.readouterr()
    for source in (one, DIMM):
        main(["migrate-check", "--format", "json", source, one])
        jsonschema.validate(json.loads(capsys.readouterr().out), MIGRATION_SCHEMA)
    assert main(["migrate-check", "--format", "markdown", DIMM, one]) == 1
    assert capsys.readouterr().out.startswith("**refused**: migration from `")


def test_a_stream_is_a_source_and_no_destination(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = layout("10.0/x86_64/pc", tmp_path)
    stream = tmp_path / "saved"
    stream.write_bytes(STREAM)
    assert main(["migrate-check", str(stream), one]) == 1
    assert "the machine types are pc and pc-i440fx-10.0" in capsys.readouterr().out
    assert main(["migrate-check", one, str(stream)]) == 2
    stream.write_bytes(STREAM[:30])
    assert main(["migrate-check", str(stream), one]) == 3
    assert main(["migrate-check", "/no/such/file", one]) == 3
    assert main(["migrate-check", "argv:-M no-such-machine", one]) == 3
