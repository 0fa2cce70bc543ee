"""What a change of a memory layout means: rules that judge two snapshots, or one.

`table` says what each rule is about, `changes` compares a layout with the one before, `single` looks at one layout,
`sentences` are rules that a project writes itself.
"""

from __future__ import annotations

from qshim.layout.rules.finding import Finding, Limits
from qshim.layout.rules.judge import judge
from qshim.layout.rules.sentences import Assertion, parse_sentence
from qshim.layout.rules.table import RULES, SEVERITIES, Rule, at_least

__all__ = ["RULES", "SEVERITIES", "Assertion", "Finding", "Limits", "Rule", "at_least", "judge", "parse_sentence"]
