"""HMP commands about QOM: objects made and removed, properties, the tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qshim.monitor.hmp.bridge import ask
from qshim.monitor.hmp.table import HMP, Call
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.qom import QomObject

__all__ = ["info_qom_tree", "info_qtree", "object_add", "object_del", "qom_get", "qom_list", "qom_set"]


@HMP.command("object_del")
def object_del(call: Call) -> str:
    """Remove an object."""
    ask(call.vm, "object-del", {"id": call.text("id")})
    return ""


@HMP.command("object_add")
def object_add(call: Call) -> str:
    """Make an object from `type,id=...,key=value` or JSON."""
    from qshim.monitor.hmp.keyval import object_arguments

    made = object_arguments(call.vm, call.text("object"))
    if isinstance(made, str):
        return made
    ask(call.vm, "object-add", made)
    return ""


@HMP.command("qom-list")
def qom_list(call: Call) -> str:
    """The properties of an object, a line each; without a path, the root's name."""
    path = call.maybe_text("path")
    if path is None:
        return "/\n"
    listed = ask(call.vm, "qom-list", {"path": path})
    return "".join(f"{each['name']} ({each['type']})\n" for each in listed)


@HMP.command("qom-get")
def qom_get(call: Call) -> str:
    """The value of a property as indented JSON."""
    from qshim.monitor.json import dumps

    value = ask(call.vm, "qom-get", {"path": call.text("path"), "property": call.text("property")})
    return f"{dumps(value, pretty=True)}\n"


@HMP.command("qom-set")
def qom_set(call: Call) -> str:
    """Set a property from text, or with -j from JSON."""
    value: object = call.text("value")
    if call.flag("json"):
        from qshim.monitor.hmp.keyval import parsed_json

        value = parsed_json(call.vm, call.text("value"))
    path, name = call.text("path"), call.text("property")
    if not call.flag("json"):
        from qshim.monitor.hmp.keyval import property_value

        value = property_value(call.vm, path, name, call.text("value"))
    ask(call.vm, "qom-set", {"path": path, "property": name, "value": value})
    return ""


@HMP.command("info qom-tree")
def info_qom_tree(call: Call) -> str:
    """An object and everything below it, sorted by name."""
    from qshim.monitor.qmp.paths import resolved

    path = call.maybe_text("path")
    try:
        here = resolved(call.vm, "/machine" if path is None else path)
    except CommandError:
        return "" if path is None else f"Path '{path}' could not be resolved.\n"
    return "".join(_tree(here, f"/{here.name}" if here.parent is not None else "/", 0))


def _tree(here: QomObject, name: str, depth: int) -> list[str]:
    lines = [f"{'  ' * depth}{name} ({here.type_name})\n"]
    for child in sorted(here.children):
        lines += _tree(here.children[child], f"/{child}", depth + 1)
    return lines


@HMP.command("info qtree")
def info_qtree(call: Call) -> str:
    """Buses and devices with their properties; -b leaves the properties out."""
    from qshim.views.recorded import NotRecorded, qtree_text

    try:
        return qtree_text(call.vm, brief=call.flag("brief"))
    except NotRecorded as error:
        return f"{error}\n"


