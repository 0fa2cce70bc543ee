"""Build every layout that qshim.toml names, compare with the goldens, and say what the changes mean.

qshim check                        compare; exit 0 nothing that counts, 1 findings, 2 usage, 3 not all could be had
qshim check --update               write what is new or changed, and remove what no layout has any more
qshim check q35-4g --format json   some of the layouts, for a program
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from qshim.cli import mqtt
from qshim.errors import CompareError, QshimError, RecordingError, UsageError
from qshim.reports.findings import FORMATS

if TYPE_CHECKING:
    from qshim.crosscheck.snapshots import Reach
    from qshim.layout.project import Built, Project
    from qshim.layout.rules import Finding
    from qshim.layout.snapshot import Snapshot
    from qshim.reports.findings import Checked

__all__ = ["SUFFIX", "configure", "load_project", "run"]

SUFFIX = ".layout"
"""Goldens are called NAME.layout."""
_SEVERITIES = ("error", "warning", "info")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `qshim check`."""
    parser.description = __doc__
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME", help="check these layouts alone")
    parser.add_argument("--config", metavar="FILE", default="qshim.toml", help="default: qshim.toml")
    parser.add_argument("--update", action="store_true", help="make the goldens what the layouts are now")
    parser.add_argument(
        "--fail-on", choices=_SEVERITIES, help="what counts (default: fail_on of the config, or warning)"
    )
    parser.add_argument("--format", choices=tuple(FORMATS), default="text", help="default: text")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: standard output")
    mqtt.add_verdict_arguments(parser, "the name of the folder of the config")


def load_project(path: str) -> Project:
    """The project in the file *path*.

    :raises UsageError: it cannot be read.
    """
    import tomllib

    from qshim.layout.project import read_project

    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
    return read_project(document, path)


def run(args: argparse.Namespace) -> int:
    """Check, and update if asked to."""
    project = load_project(args.config)
    folder = Path(args.config).parent
    chosen = _chosen(project, args.names)
    if args.update and args.names:
        raise UsageError("--update is for all layouts at once; leave out the names")
    reach = mqtt.reached(args)
    if args.update:
        return _update(project, *_build(chosen, str(folder), reach), folder / project.goldens)
    name = folder.resolve().name or "check"
    with mqtt.judging(args, "check", name, "incomplete"):
        checked = _checked(args, project, chosen, folder, *_build(chosen, str(folder), reach))
    from qshim.reports.findings import rendered

    text = rendered(checked, args.format)
    if args.output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        from qshim.cli.snapshot import write_text

        write_text(args.output, text)
        print(f"qshim: {checked.verdict}: {checked.summary()}", file=sys.stderr)
    if args.mqtt is None:
        return checked.exit_status
    from qshim.reports.findings.json import document

    return mqtt.publish_verdict(args, "check", name, checked.verdict, checked.exit_status, document(checked))


def _checked(
    args: argparse.Namespace, project: Project, chosen: Sequence[Built], folder: Path,
    built: dict[str, list[Snapshot]], failed: dict[str, str],
) -> Checked:  # fmt: skip
    from qshim.layout.waivers import waive
    from qshim.reports.findings import Checked, Failed

    goldens = folder / project.goldens
    findings: list[Finding] = []
    for layout in chosen:
        try:
            if layout.name in built:
                findings += _judged(project, layout, built[layout.name], goldens)
        except RecordingError as error:
            del built[layout.name]
            failed[layout.name] = str(error)
    complete = not failed and not args.names
    if not args.names:
        findings += _unused(project, goldens)
    return Checked(
        waive(findings, project.waivers, date.today(), complete=complete),
        tuple(layout.name for layout in chosen if layout.name in built),
        tuple(Failed(*each) for each in failed.items()),
        args.fail_on or project.fail_on,
        args.config,
        str(goldens),
    )


def _chosen(project: Project, names: Sequence[str]) -> list[Built]:
    known = {layout.name for layout in project.layouts}
    for name in names:
        if name not in known:
            raise UsageError(f"there is no layout {name!r}; there are {', '.join(sorted(known))}")
    return [layout for layout in project.layouts if not names or layout.name in names]


def _build(
    layouts: Sequence[Built], folder: str, reach: Reach
) -> tuple[dict[str, list[Snapshot]], dict[str, str]]:
    """Name -> the layout, or both where it was built twice; and why others could not be had."""
    from qshim.cli.crosscheck import machine_from_argv
    from qshim.crosscheck.snapshots import take_snapshot
    from qshim.edge.real_qemu import run as run_edge

    built: dict[str, list[Snapshot]] = {}
    failed: dict[str, str] = {}

    async def build() -> None:
        for layout in layouts:
            try:
                built[layout.name] = [
                    await take_snapshot(
                        layout.source, model=machine_from_argv, version=layout.qemu_version, target=layout.target,
                        folder=folder, reach=reach,
                    )
                    for _ in range(1 + layout.twice)
                ]  # fmt: skip
            except UsageError:
                raise
            except QshimError as error:
                failed[layout.name] = str(error)

    run_edge(build())
    return built, failed


def _judged(project: Project, layout: Built, taken: Sequence[Snapshot], goldens: Path) -> Iterator[Finding]:
    from qshim.layout.rules import judge
    from qshim.layout.rules.finding import Seen
    from qshim.layout.rules.judge import finding
    from qshim.layout.snapshot_text import digest, parse, render

    path = goldens / f"{layout.name}{SUFFIX}"
    before = None
    if path.exists():
        text = _text(path)
        # most goldens are what they should be to the letter, and then need not be read
        before = taken[0] if text == render(taken[0]) else parse(text, str(path))
    seen = []
    if before is None:
        seen.append(Seen("golden-missing", layout.name, f"there is no {path}"))
    if len({digest(each) for each in taken}) > 1:
        seen.append(Seen("nondeterministic-layout", layout.name, f"two builds of {layout.source} differ"))
    for each in seen:
        found = finding(layout.name, each, project.severities)
        if found is not None:
            yield found
    yield from judge(
        layout.name, before, taken[0], limits=project.limits, severities=project.severities,
        assertions=[a for a in project.assertions if fnmatchcase(layout.name, a.layouts)],
    )  # fmt: skip


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror}") from error


def _orphans(project: Project, goldens: Path) -> list[Path]:
    names = {layout.name for layout in project.layouts}
    return sorted(path for path in goldens.glob(f"*{SUFFIX}") if path.name.removesuffix(SUFFIX) not in names)


def _unused(project: Project, goldens: Path) -> Iterator[Finding]:
    from qshim.layout.rules.finding import Seen
    from qshim.layout.rules.judge import finding

    for path in _orphans(project, goldens):
        name = path.name.removesuffix(SUFFIX)
        found = finding(name, Seen("golden-unused", name, f"{path} belongs to no layout"), project.severities)
        if found is not None:
            yield found


def _update(project: Project, built: dict[str, list[Snapshot]], failed: dict[str, str], goldens: Path) -> int:
    from qshim.cli.snapshot import write_text
    from qshim.layout.snapshot_text import digest, render

    for name, taken in built.items():
        if len({digest(each) for each in taken}) > 1:
            failed[name] = "two builds of it differ"
    if failed:
        for name, reason in failed.items():
            print(f"qshim: {name} could not be had: {reason}", file=sys.stderr)
        raise CompareError("no golden was written, for not all layouts could be had")
    try:
        goldens.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordingError(f"cannot make the directory {goldens}: {error.strerror}") from error
    for name, taken in built.items():
        path, text = goldens / f"{name}{SUFFIX}", render(taken[0])
        if not path.exists() or path.read_bytes() != text.encode("utf-8", "surrogateescape"):
            verb = "changed" if path.exists() else "new"
            write_text(str(path), text)
            print(f"{verb}: {path}")
    for path in _orphans(project, goldens):
        path.unlink()
        print(f"removed: {path}")
    return 0
