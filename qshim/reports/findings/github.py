"""Annotations of GitHub Actions: one workflow command for each finding."""

from __future__ import annotations

from collections.abc import Iterator

from qshim.reports.findings.model import Checked

__all__ = ["render"]

_LEVELS = {"error": "error", "warning": "warning", "info": "notice"}


def render(checked: Checked) -> str:
    """The check as workflow commands; a notice at the end, so that it is seen to have run."""
    return "".join(f"{line}\n" for line in _lines(checked))


def _lines(checked: Checked) -> Iterator[str]:
    for f in checked.findings:
        level = "notice" if f.waived is not None else _LEVELS[f.severity]
        words = [f"{f.layout}: {f.what}", f.consequence, *([f"waived: {f.waived}"] if f.waived is not None else [])]
        yield _command(level, f.rule, "\n".join(words), checked.file_of(f))
    for failed in checked.failed:
        yield _command("error", "qshim check", f"{failed.layout} could not be had: {failed.reason}", checked.config)
    yield _command("notice", "qshim check", f"{checked.verdict}: {checked.summary()}", None)


def _command(level: str, title: str, message: str, file: str | None) -> str:
    place = "" if file is None else f"file={_escaped(file, ':,')},line=1,"
    return f"::{level} {place}title={_escaped(title, ':,')}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    for char in f"%\r\n{more}":
        text = text.replace(char, f"%{ord(char):02X}")
    return text
