"""What holds for all tests."""

from __future__ import annotations

import signal

# a shell that runs tests in the background lets them ignore SIGINT, and so would the programs that they interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
