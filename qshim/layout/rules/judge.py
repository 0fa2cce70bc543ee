"""All rules on one layout: what changed, what is wrong now and was not before, what was asserted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from qshim.layout.rules.changes import changed
from qshim.layout.rules.finding import Finding, Limits, Seen
from qshim.layout.rules.sentences import Assertion
from qshim.layout.rules.single import look
from qshim.layout.rules.table import RULES
from qshim.layout.snapshot import Snapshot

__all__ = ["finding", "judge"]


def judge(
    name: str,
    before: Snapshot | None,
    after: Snapshot,
    *,
    limits: Limits | None = None,
    severities: Mapping[str, str] | None = None,
    assertions: Iterable[Assertion] = (),
) -> Iterator[Finding]:
    """What the rules find in the layout *name*.

    :param before: the golden; None where there is none. What it already has wrong is not told again.
    :param severities: the project's own severities; `off` leaves a rule out.
    """
    limits = limits or Limits()
    seen = [] if before is after else list(look(after, limits))
    if before is not None and before is not after:
        known = {(s.rule, s.object) for s in look(before, limits)}
        seen = [*changed(before, after), *(s for s in seen if (s.rule, s.object) not in known)]
    for assertion in assertions:
        failure = assertion.failure(after)
        if failure is not None:
            seen.append(Seen("assertion-failed", assertion.text, f"asserted: {assertion.text}; but {failure}",
                             consequence=assertion.reason))  # fmt: skip
    told = set()
    for each in seen:
        found = finding(name, each, severities)
        if found is not None and found.fingerprint not in told:
            told.add(found.fingerprint)
            yield found


def finding(name: str, seen: Seen, severities: Mapping[str, str] | None = None) -> Finding | None:
    """What was *seen*, as a finding in the layout *name*; None where the project switched the rule off."""
    rule = RULES[seen.rule]
    severity = (severities or {}).get(seen.rule, rule.severity)
    if severity == "off":
        return None
    consequence = seen.consequence or rule.consequence
    return Finding(seen.rule, severity, name, seen.object, seen.what, consequence, seen.before, seen.after)
