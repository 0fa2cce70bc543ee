#!/usr/bin/env bash
# Make what tests/mqtt needs: one virtual environment for each MQTT library in .cache/mqtt, because no environment can
# have both, and the broker mosquitto as a Debian package where that is possible.
# What does not install is named on stderr, exit status 1; its tests are then skipped with a reason.
# Done once, unless this file or pyproject.toml changes.
set -uo pipefail
status=0
cd "$(dirname "$0")/../.." || exit 3
place=.cache/mqtt
mkdir -p "$place"
for extra in mqtt aiomqtt; do
  venv=$place/$extra
  [ "$venv/.installed" -nt tests/mqtt/install.sh ] && [ "$venv/.installed" -nt pyproject.toml ] && continue
  [ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv" || exit 3
  if timeout 300 "$venv/bin/python" -m pip install -q --disable-pip-version-check -e ".[$extra]" 2> "$place/pip.log"; then
    touch "$venv/.installed"
  else
    echo "the extra $extra does not install; see $place/pip.log" >&2
    status=1
  fi
done
if ! command -v mosquitto > /dev/null && [ ! -x /usr/sbin/mosquitto ]; then
  { [ "$(id -u)" = 0 ] && apt-get update && apt-get install -y --no-install-recommends mosquitto; } \
    > "$place/apt.log" 2>&1 || { echo "mosquitto does not install; see $place/apt.log" >&2; status=1; }
fi
exit $status
