"""The ranks of the design: who may import whom, who may touch the outside world, how large a file may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import qshim

PACKAGE = Path(qshim.__file__).parent

RANKS = {
    "__init__": 0, "units": 0, "errors": 0, "rows": 0, "events": 0,
    "argv": 1, "memory": 1,
    "versions": 2, "qom": 2,
    "devices": 3,
    "machines": 4, "recording": 4,
    "vm": 5,
    "views": 6,
    "monitor": 7, "layout": 7,
    "reports": 8, "bridge": 8,
    "edge": 9,
    "crosscheck": 10,
    "cli": 11, "testing": 12, "pytest_plugin": 13, "__main__": 13,
}  # fmt: skip
"""Package or top-level module -> rank (DESIGN.md; rows.py is described where it is)."""

OUTSIDE = {"asyncio", "socket", "subprocess", "selectors", "multiprocessing", "signal", "paho", "aiomqtt"}
"""Sockets, processes and event loops: edge/ alone."""

MAY_TOUCH_FILES = {
    "cli": "arguments name files",
    "edge": "sockets and real QEMUs",
    "recording": "load and save",
    "memory/allocate.py": "the backing store of memory-backend-file is memory, not a document",
    "memory/hostmem.py": "maps memory",
}
"""Package or file -> why."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """The package or top-level module that *path* belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def typing_only(tree: ast.Module) -> set[ast.AST]:
    """Nodes below `if TYPE_CHECKING:`, which import nothing when the program runs."""
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }


def imports(path: Path) -> Iterator[str]:
    """Every module that *path* imports, also inside functions and for types."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide the rank"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "qshim")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_to_lower_ranks_only(path: Path) -> None:
    here = room(path)
    assert here in RANKS, f"{here} has no rank: add it to DESIGN's tree and to RANKS"
    for name in imports(path):
        if name.startswith("qshim."):
            there = name.split(".")[1]
            if there == "__version__":
                continue
            assert there == here or RANKS[there] < RANKS[here], f"{here} (rank {RANKS[here]}) imports {name}"
        elif name.split(".")[0] in OUTSIDE:
            assert here in ("edge", "testing"), f"{here} imports {name}: only edge/ may"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_are_touched_in_few_rooms(path: Path) -> None:
    relative = str(path.relative_to(PACKAGE))
    if room(path) in MAY_TOUCH_FILES or relative in MAY_TOUCH_FILES:
        return
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("open", "os.open", "io.open"), f"{relative} calls {called}"
            assert not called.endswith((".write_text", ".write_bytes")), f"{relative} calls {called}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_public_modules_list_what_they_offer(path: Path) -> None:
    tree = parsed(path)
    public = [
        node.name
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not node.name.startswith("_")
    ]
    offered: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            offered = [ast.literal_eval(element) for element in node.value.elts]  # type: ignore[attr-defined]
    missing = [name for name in public if name not in offered]
    assert not missing, f"not in __all__: {missing}"
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in offered:
            assert ast.get_docstring(node), f"{node.name} has no docstring"


def test_versions_are_compared_in_one_place() -> None:
    for path in MODULES:
        if room(path) == "versions" or path.name == "compat.py":
            continue
        for node in ast.walk(parsed(path)):
            orders = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
            if isinstance(node, ast.Compare) and any(isinstance(op, orders) for op in node.ops):
                text = ast.unparse(node)
                assert "version" not in text.lower() or "ram.version" in text, f"{path.name}: {text}"


def test_nobody_waits_in_a_way_that_loses_a_cancellation() -> None:
    """asyncio.wait_for of Python 3.11 swallows one that comes with the answer; asyncio.timeout does not."""
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in ("asyncio.wait_for", "wait_for"), f"{path.name} calls wait_for"


@pytest.mark.parametrize("folder", ["qshim", "tests"])
def test_no_file_is_two_rooms(folder: str) -> None:
    for path in (PACKAGE.parent / folder).rglob("*.py"):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= 600, f"{path.name} has {lines} lines: split it"


def test_starting_imports_nothing_heavy() -> None:
    """What `import qshim.cli` pulls in, followed through the package without functions and types."""
    heavy = {"asyncio", "rich", "lzma", "ctypes", "qemu", "ssl", "logging", "typing_extensions", "urllib"}
    seen: set[str] = set()
    todo = ["qshim.cli"]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        base = PACKAGE.parent.joinpath(*name.split("."))
        path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if not path.exists():
            continue
        tree = parsed(path)
        skipped = typing_only(tree)
        for node in tree.body:
            if node in skipped:
                continue
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import)
                else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            )  # fmt: skip
            for imported in names:
                assert imported.split(".")[0] not in heavy, f"{name} imports {imported} at start-up"
                if imported.startswith("qshim"):
                    todo.append(imported)
    assert "qshim.errors" in seen
