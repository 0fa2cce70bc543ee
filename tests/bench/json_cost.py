"""Cost of QMP input in nanoseconds a byte, at one and at four times the length, whole and in small pieces.

    python tests/bench/json_cost.py

Linear cost means that the two columns of a pair are about equal.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from qshim.monitor.json import Scanner

INPUTS: dict[str, Callable[[int], bytes]] = {
    "one long string": lambda n: b'{"a":"' + b"x" * n + b'"}',
    "list of numbers": lambda n: b"[" + b"1," * (n // 2) + b"1]",
    "escapes": lambda n: b'"' + b"\\n" * (n // 2) + b'"',
    "closing braces": lambda n: b"}" * n,
    "0xff": lambda n: b"\xff" * n,
    "stray bytes": lambda n: b"@" * n,
    "open strings": lambda n: b'"x\n' * (n // 3),
    "one long number": lambda n: b"1" * n,
    "plain messages": lambda n: b'{"execute":"query-status","id":1}\n' * (n // 34),
    "new lines": lambda n: b"\n" * n,
}


def nanoseconds(data: bytes, step: int) -> float:
    """Per byte, the best of three."""
    best = float("inf")
    for _ in range(3):
        scanner = Scanner(incremental=True)
        start = time.perf_counter()
        for at in range(0, len(data), step):
            scanner.feed(data[at : at + step])
        best = min(best, time.perf_counter() - start)
    return best / len(data) * 1e9


def main() -> None:
    print(f"{'ns/byte':18} {'whole, 50 kB':>13} {'200 kB':>8} {'bytewise, 50 kB':>17} {'200 kB':>8}")
    for name, make in INPUTS.items():
        short, long = make(50_000), make(200_000)
        cells = [
            nanoseconds(short, len(short)),
            nanoseconds(long, len(long)),
            nanoseconds(short, 1),
            nanoseconds(long, 1),
        ]
        print("{:18} {:13.0f} {:8.0f} {:17.0f} {:8.0f}".format(name, *cells))


if __name__ == "__main__":
    main()
