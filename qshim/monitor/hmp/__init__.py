"""HMP: finding and running one command line (`line`), its argument kinds (`arguments`), commands by family."""

from __future__ import annotations
