"""-readconfig: INI groups as the options they stand for (monitor.md 6.5).

>>> words('[chardev "a"]\\n  backend = "null"\\n[mon]\\n  chardev = "a"\\n', "x")
['-chardev', 'backend=null,id=a', '-mon', 'chardev=a']
"""

from __future__ import annotations

import re

from qshim.argv.errors import OptionError

__all__ = ["words"]

_GROUP = re.compile(r'\[\s*([\w-]+)(?:\s+"([^"]*)")?\s*\]\s*')
_ENTRY = re.compile(r'\s*([\w.-]+)\s*=\s*"([^"]*)"\s*')
_OPTIONS = {"memory": "m", "smp-opts": "smp", "action": "action", "boot-opts": "boot"}


def words(text: str, where: str) -> list[str]:
    """The command line that the configuration *text* stands for; *where* names it in error texts.

    :raises OptionError: a line that is neither a group nor an entry.
    """
    groups: list[tuple[str, list[str]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        group = _GROUP.fullmatch(line.strip())
        entry = _ENTRY.fullmatch(line)
        if group is not None:
            groups.append((_OPTIONS.get(group[1], group[1]), [] if group[2] is None else [f"id={group[2]}"]))
        elif entry is None:
            raise OptionError(f"{where}: parse error in line {number}: {line.strip()}")
        elif not groups:
            raise OptionError(f"{where}: no group defined in line {number}: {line.strip()}")
        else:
            value = entry[2].replace(",", ",,")
            own = groups[-1][1]
            # the id stands behind the rest, so that the first member may be the implied one
            own.insert(len(own) - any(member.startswith("id=") for member in own), f"{entry[1]}={value}")
    return [word for name, entries in groups for word in (f"-{name}", ",".join(entries))]
