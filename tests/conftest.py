"""What holds for all tests."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# no test fails because the machine is busy
settings.register_profile("qshim", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("qshim")

# a shell that runs tests in the background lets them ignore SIGINT, and so would the programs that they interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
