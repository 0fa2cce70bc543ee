#!/usr/bin/env bash
# Install the clients that tests/clients drives into .cache/clients: a virtual environment and node modules; and as
# Debian packages, where that is possible, tmux, Node.js with npm, and Chromium, in which tests/reports opens pages.
# What does not install is named on stderr; its test is then skipped with a reason. Done once, unless this file changes.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 3
place=.cache/clients
mkdir -p "$place"
[ "$place/.installed" -nt tests/clients/install.sh ] && exit 0
[ -x "$place/venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$place/venv" || exit 3
for package in 'qemu.qmp[tui]==0.0.6' 'drgn==0.3.0' 'labgrid==26.0.1' 'avocado-framework-plugin-vt==113.0'; do
  timeout 300 "$place/venv/bin/python" -m pip install -q --disable-pip-version-check "$package" 2> "$place/pip.log" ||
    echo "$package does not install; see $place/pip.log" >&2
done
# command -> its packages
debian() {
  command -v "$1" > /dev/null && return
  { [ "$(id -u)" = 0 ] && command -v apt-get && apt-get update && apt-get install -y --no-install-recommends "${@:2}"; } \
    > "$place/apt.log" 2>&1 || echo "$1 does not install; see $place/apt.log" >&2
}
debian tmux tmux
command -v npm > /dev/null || debian npm nodejs npm
if command -v npm > /dev/null; then
  timeout 120 npm install --prefix "$place" --silent --no-audit --no-fund qemu-qmp@0.5.0 node-qemu@1.3.0 \
    > "$place/npm.log" 2>&1 || echo "the npm packages do not install; see $place/npm.log" >&2
fi
command -v chromium-browser > /dev/null || command -v google-chrome > /dev/null || debian chromium chromium
touch "$place/.installed"
