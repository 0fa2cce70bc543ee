"""Ask real QEMUs for their QAPI schema and what else never changes; write qapi-*, types-*, ... of qshim/data.

    python tests/tools/extract_qapi.py [LABEL [TARGET]]

The QEMUs are those of tests.support.oracle. For each version and target:

- query-qmp-schema and query-command-line-options as they are;
- what the schema hides: the width of every integer argument and the names of alternates, read from the
  messages of QEMU about wrong values (every probe has an argument too many, so no command is carried out);
- the answers of an idle process that no machine changes (IDLE), query-machines, and the QOM types with
  their properties.

A target whose data equals that of x86_64 gets no file of its own; one that has a sibling (qshim.qom.likeness) gets
one that says what is different.
"""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP))

from qshim.qom.likeness import SIBLINGS, difference  # noqa: E402
from tests.support.oracle import LABELS, TARGETS, binaries  # noqa: E402

DATA = TOP / "qshim" / "data"
IDLE = (
    "query-accelerators", "query-acpi-ospm-status", "query-audiodevs", "query-block-jobs", "query-chardev-backends",
    "query-colo-status", "query-cpu-definitions", "query-cryptodev", "query-dirty-rate", "query-display-options",
    "query-dump-guest-memory-capability", "query-firmware-log", "query-gic-capabilities",
    "query-hv-balloon-status-report", "query-jobs", "query-kvm", "query-migrate", "query-migrate-capabilities",
    "query-migrate-parameters", "query-migrationthreads", "query-pr-managers", "query-replay", "query-rx-filter",
    "query-s390x-cpu-polarization", "query-sev", "query-sev-capabilities", "query-sgx", "query-spice",
    "query-stats-schemas", "query-tpm", "query-tpm-models", "query-tpm-types", "query-vcpu-dirty-limit",
    "query-vm-generation-id", "query-vnc", "query-xen-replication-status", "x-query-opcount", "x-query-profile",
    "x-query-rdma", "x-query-usb", "x-query-virtio", "x-debug-query-block-graph", "migrate-pause", "migrate_cancel",
    "system_wakeup", "query-block-exports", "query-blockstats", "query-named-block-nodes", "xen-event-list",
)  # fmt: skip
OWN_CHECKS = ("device_add", "qmp_capabilities")
"""Commands whose arguments are not read by the schema's visitor, or that answer before they are read."""

_BIG = (1 << 63) - 1
Value = Any
Wrap = Callable[[Value], tuple[str, dict[str, Value]]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("label", nargs="?", choices=LABELS)
    parser.add_argument("target", nargs="?", choices=(*TARGETS, *SIBLINGS))
    parser.add_argument("--types", action="store_true", help="the QOM types instead of the schema")
    parser.add_argument("--hide", metavar="DIR", help="an empty directory in this place, as these QEMUs see it: "
                        "QEMU 10.0 and later end when they list types and find modules of another build")  # fmt: skip
    args = parser.parse_args()
    for label in LABELS:
        for target in (*TARGETS, *SIBLINGS):
            if args.label in (None, label) and args.target in (None, target):
                binary = binaries().get((label, target))
                if binary is None:
                    print(f"QEMU {label} for {target} is not installed: nothing extracted", file=sys.stderr)
                    continue
                hidden = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs none "$0"; exec "$@"', args.hide]
                (extract_types if args.types else extract)(label, target, [*(hidden if args.hide else ()), binary])
    return 0


def extract(label: str, target: str, binary: Sequence[str]) -> None:
    """Ask one QEMU everything and write its files."""
    version, schema, options, machines = (
        reply["return"]
        for reply in ask(
            binary,
            [
                {"execute": "query-version"},
                {"execute": "query-qmp-schema"},
                {"execute": "query-command-line-options"},
                {"execute": "query-machines"},
            ],
        )
    )
    known = {entity["name"] for entity in schema if entity["meta-type"] == "command"}
    idle = [name for name in IDLE if name in known]
    widths, alternates = Probe(schema).run(binary)
    qapi = {
        "origin": "{major}.{minor}.{micro} ".format(**version["qemu"]) + version["package"],
        "schema": schema,
        "command-line-options": options,
        "widths": widths,
        "alternates": alternates,
        "idle": dict(zip(idle, ask(binary, [{"execute": name} for name in idle]), strict=True)),
        "machines": machines,
    }
    write(f"qapi-{label}-{{}}.json.gz", target, qapi)


def extract_types(label: str, target: str, binary: Sequence[str]) -> None:
    """Ask one QEMU for its QOM types and their properties."""
    types = ask(binary, [{"execute": "qom-list-types", "arguments": {"abstract": True}}])[0]["return"]
    compat = ask(binary, [{"execute": "query-machines", "arguments": {"compat-props": True}}])[0].get("return")
    parents = [t["name"] for t in types if t.get("abstract")]
    implementing = ask(
        binary, [{"execute": "qom-list-types", "arguments": {"implements": n, "abstract": True}} for n in parents]
    )
    by_name = {t["name"]: t for t in types}

    def descends(name: str | None, parent: str) -> bool:
        while name is not None and name != parent:
            name = by_name.get(name, {}).get("parent")
        return name == parent

    extra = {
        parent: names
        for parent, reply in zip(parents, implementing, strict=True)
        if (names := [t["name"] for t in reply["return"] if not descends(t["name"], parent)])
    }
    names = [t["name"] for t in types]
    listed = patiently(binary, [{"execute": "qom-list-properties", "arguments": {"typename": n}} for n in names])
    devices = patiently(binary, [{"execute": "device-list-properties", "arguments": {"typename": n}} for n in names])
    write(
        f"types-{label}-{{}}.json.xz",
        target,
        {
            "types": types,
            "interfaces": extra,
            "compat-props": compat and {m["name"]: m["compat-props"] for m in compat},
        },
    )
    # as texts, since few of the many are ever asked for; apart, so that those are read quickly
    told = {"properties": texts(names, listed), "devices": texts(names, devices)}
    for kind, cpus in (("properties", False), ("cpu-properties", True)):
        write(
            f"{kind}-{label}-{{}}.json.xz",
            target,
            {k: {n: x for n, x in rows.items() if descends(n, "cpu") == cpus} for k, rows in told.items()},
        )


def texts(names: Sequence[str], replies: Sequence[dict[str, Any] | None]) -> dict[str, str]:
    """What was returned for each name, or the error reply, as JSON text."""
    return {n: json.dumps(r.get("return", r)) for n, r in zip(names, replies, strict=True) if r is not None}


def write(name: str, target: str, data: dict[str, Any]) -> None:
    """Store *data*, or what is different from the sibling's, unless x86_64 has the same."""
    sibling = SIBLINGS.get(target)
    if sibling is not None:
        path = DATA / name.format(sibling)
        unpacked = (gzip.decompress if name.endswith(".gz") else lzma.decompress)(path.read_bytes())
        data = {"like": sibling, **difference(json.loads(unpacked), data)}
    text = json.dumps(data, separators=(",", ":")).encode()
    unpack = gzip.decompress if name.endswith(".gz") else lzma.decompress
    first, path = DATA / name.format("x86_64"), DATA / name.format(target)
    if path != first and first.exists() and unpack(first.read_bytes()) == text:
        path.unlink(missing_ok=True)
        print(f"{path.relative_to(TOP)}: as x86_64")
        return
    packed = gzip.compress(text, 9, mtime=0) if path.suffix == ".gz" else lzma.compress(text, preset=9)
    path.write_bytes(packed)
    print(f"{path.relative_to(TOP)}: {len(text)} bytes, {len(packed)} compressed")


def ask(binary: Sequence[str], requests: Iterable[dict[str, Any]], seconds: float = 60) -> list[dict[str, Any]]:
    """The replies of a machine without anything to *requests*, in order; events are left out."""
    lines = [{"execute": "qmp_capabilities"}, *requests, {"execute": "quit"}]
    command = [*binary, "-machine", "none", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=seconds, check=True)
    replies = [json.loads(line, object_pairs_hook=_as_inserted) for line in done.stdout.splitlines()]
    return [reply for reply in replies if "return" in reply or "error" in reply][1:-1]


def patiently(binary: Sequence[str], requests: Sequence[dict[str, Any]]) -> list[dict[str, Any] | None]:
    """The replies to *requests*; None for one on which QEMU hangs or dies, which is found by halving."""
    try:
        replies = ask(binary, requests, seconds=10)
        if len(replies) == len(requests):
            return list(replies)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        pass
    if len(requests) == 1:
        print(f"no answer: {requests[0]}", file=sys.stderr)
        return [None]
    step = -(-len(requests) // 16)
    return [r for at in range(0, len(requests), step) for r in patiently(binary, requests[at : at + step])]


def _as_inserted(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # keys that share a slot of QEMU's table are printed latest first
    return dict(reversed(pairs))


class Probe:
    """Reads from QEMU's messages what the schema does not say of arguments."""

    def __init__(self, schema: list[dict[str, Any]]) -> None:
        self.types = {entity["name"]: entity for entity in schema}
        self.questions: list[tuple[str, str, str, Value, Value]] = []
        """(kind, object type, member, request with a value of a wrong type, request with a large one)"""

    def run(self, binary: Sequence[str]) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
        """Widths by object type and member (those other than int64), and names of alternates."""
        self.collect()
        wrong = ask(binary, [question[3] for question in self.questions])
        large = ask(binary, [question[4] for question in self.questions])
        widths: dict[str, dict[str, str]] = {}
        alternates: dict[str, str] = {}
        for (kind, holder, member, request, _), first, second in zip(self.questions, wrong, large, strict=True):
            desc, more = first["error"]["desc"], second["error"]["desc"]
            if kind == "alternate":
                match = re.search(r"expected: (\w+)$", desc)
                assert match, (request, desc)
                alternates[self.types[holder_member(self.types[holder], member)]["name"]] = match[1]
                continue
            width = re.search(r"expects (u?int\d+)_t$", more)
            if width is not None:
                widths.setdefault(holder, {})[member] = width[1]
            elif desc.endswith("expects uint64"):
                widths.setdefault(holder, {})[member] = "uint64"
            else:
                assert desc.endswith("expected: integer"), (request, desc)
                assert more == "Parameter 'zzz' is unexpected", (request, more)
        return widths, alternates

    def collect(self) -> None:
        seen: set[str] = set()
        todo: list[tuple[str, Wrap]] = [
            (entity["arg-type"], self.top(entity["name"]))
            for entity in self.types.values()
            if entity["meta-type"] == "command" and entity["name"] not in OWN_CHECKS
        ]
        while todo:
            name, wrap = todo.pop(0)
            if name in seen:
                continue
            seen.add(name)
            entity = self.types[name]
            for member in entity.get("members", ()):
                todo += self.member(entity, member, wrap)
            for variant in entity.get("variants", ()):
                todo.append((variant["type"], self.variant(entity, variant["case"], wrap)))

    @staticmethod
    def top(command: str) -> Wrap:
        return lambda value: (command, {**value, "zzz": 1})

    def variant(self, entity: dict[str, Any], case: str, wrap: Wrap) -> Wrap:
        base = {**self.members(entity), entity["tag"]: case}
        return lambda value: wrap({**base, **value})

    def member(self, entity: dict[str, Any], member: dict[str, Any], wrap: Wrap) -> list[tuple[str, Wrap]]:
        """Note a question about *member*; returns the types that it leads to."""
        base = self.members(entity)

        def inside(value: Value) -> tuple[str, dict[str, Value]]:
            return wrap({**base, member["name"]: value})

        here: Wrap = inside
        kind = self.types[member["type"]]
        while kind["meta-type"] == "array":
            here = _listed(here)
            kind = self.types[kind["element-type"]]
        if kind["name"] == "int":
            self.note("int", entity, member, here("x"), here(_BIG))
        elif kind["meta-type"] == "alternate":
            self.note("alternate", entity, member, here(1.5), here(1.5))
            return [(branch["type"], here) for branch in kind["members"] if self.is_object(branch["type"])]
        elif kind["meta-type"] == "object":
            return [(kind["name"], here)]
        return []

    def is_object(self, name: str) -> bool:
        return bool(self.types[name]["meta-type"] == "object")

    def note(self, kind: str, entity: dict[str, Any], member: dict[str, Any], *requests: tuple[str, Value]) -> None:
        wrong, large = ({"execute": command, "arguments": arguments} for command, arguments in requests)
        self.questions.append((kind, entity["name"], member["name"], wrong, large))

    def members(self, entity: dict[str, Any]) -> dict[str, Value]:
        """The least that is accepted for an object, without its variant."""
        return {m["name"]: self.least(m["type"]) for m in entity.get("members", ()) if "default" not in m}

    def least(self, name: str) -> Value:
        """A value that is accepted for type *name*."""
        entity = self.types[name]
        meta = entity["meta-type"]
        if meta == "array":
            return []
        if meta == "enum":
            return entity["values"][0]
        if meta == "alternate":
            return self.least(next(b["type"] for b in entity["members"] if not self.is_object(b["type"])))
        if meta == "object":
            value = self.members(entity)
            if "tag" in entity:
                best = min(entity["variants"], key=lambda v: len(self.types[v["type"]]["members"]))
                value[entity["tag"]] = best["case"]
                value.update(self.members(self.types[best["type"]]))
            return value
        return {"string": "x", "int": 0, "boolean": False, "number": 0, "null": None}.get(entity["json-type"], 0)


def _listed(wrap: Wrap) -> Wrap:
    return lambda value: wrap([value])


def holder_member(entity: dict[str, Any], name: str) -> str:
    """The type of a member, without the lists around it."""
    kind = next(str(member["type"]) for member in entity["members"] if member["name"] == name)
    return kind.strip("[]")


if __name__ == "__main__":
    raise SystemExit(main())
