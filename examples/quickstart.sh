#!/usr/bin/env bash
# A real machine without QEMU: serve a recording, ask it with QEMU's own Python client, compare with a real QEMU
# where one is installed. Needs Python 3.11; leaves nothing running and nothing behind but .venv.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv
.venv/bin/python -c 'import qemu.qmp, qshim' 2> /dev/null ||
  .venv/bin/python -m pip install -q --disable-pip-version-check -e .

directory=$(mktemp -d)
server=
finish() {
  trap - EXIT INT TERM
  [ -z "$server" ] || { kill "$server" 2> /dev/null && wait "$server"; } || true
  rm -rf "$directory"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# the version of a real QEMU that is here, so that there is something to compare with
real=$(.venv/bin/python examples/ask.py --find)
version=${real%% *}
version=${version:-11.1}
recording=qshim/data/recordings/$version/x86_64/pc-q35-$version.qrec.xz

echo "\$ qshim serve --recording $recording -- -qmp unix:SOCKET,server=on,wait=off"
.venv/bin/qshim serve --recording "$recording" -- -qmp "unix:$directory/qmp.sock,server=on,wait=off" &
server=$!
for _ in $(seq 200); do
  [ -S "$directory/qmp.sock" ] && break
  kill -0 "$server" 2> /dev/null || { wait "$server"; exit 1; }
  sleep 0.05
done

.venv/bin/python examples/ask.py "$directory/qmp.sock" ${real:+--compare "${real#* }" -- -M "pc-q35-$version"}
