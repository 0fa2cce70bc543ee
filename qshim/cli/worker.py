"""One process of `qshim sweep`: cross-checks the command lines that come on its standard input, one after the other.

A line asks (JSON with `qemu`, `against` and `argv`), a line answers: the report as JSON, or `failed` with a sentence.
"""

from __future__ import annotations

import json
import sys

from qshim.errors import QshimError

__all__ = ["main"]


def main() -> int:
    """Answer until the input ends."""
    from qshim.cli.crosscheck import board_from_argv, machine_from_argv
    from qshim.crosscheck import crosscheck
    from qshim.edge.real_qemu import run
    from qshim.reports.json import document

    for line in sys.stdin:
        asked = json.loads(line)
        try:
            check = crosscheck(
                asked["argv"], qemu=asked["qemu"], against=asked["against"], model=machine_from_argv,
                board=board_from_argv,
            )  # fmt: skip
            answer: dict[str, object] = document(run(check))
        except QshimError as error:
            answer = {"failed": str(error)}
        except Exception as error:
            answer = {"failed": f"internal error: {type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
