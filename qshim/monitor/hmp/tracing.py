"""HMP commands about trace events."""

from __future__ import annotations

from qshim.monitor.hmp.bridge import ask
from qshim.monitor.hmp.table import HMP, Call, plain_errors

__all__ = ["info_trace_events", "trace_event"]


def _of_cpu(call: Call) -> dict[str, object]:
    """A CPU that 7.2 passes on; later releases read the word and forget it."""
    index = call.maybe_number("vcpu")
    return {} if index is None or not call.vm.quirks.trace_events_of_cpus else {"vcpu": index}


@HMP.command("info trace-events")
def info_trace_events(call: Call) -> str:
    """Events and whether they are traced."""

    def told() -> str:
        name = call.maybe_text("name") or "*"
        events = ask(call.vm, "trace-event-get-state", {"name": name, **_of_cpu(call)})
        return "".join(f"{event['name']} : state {int(event['state'] == 'enabled')}\n" for event in events)

    return plain_errors(told)


@HMP.command("trace-event")
def trace_event(call: Call) -> str:
    """Trace events, or no more."""

    def done() -> str:
        name, on = call.text("name"), call.flag("option")
        ask(call.vm, "trace-event-set-state", {"name": name, "enable": on, **_of_cpu(call)})
        return ""

    return plain_errors(done)
