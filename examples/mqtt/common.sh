# What both examples begin with: a virtual environment with an MQTT library, a broker on the loopback, and the promise
# that nothing is left running. Sourced, not run.
#
#   QSHIM_VENV=DIR   a virtual environment that has qshim with an MQTT library (default: .venv-mqtt, made here)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

venv=${QSHIM_VENV:-.venv-mqtt}
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/python" -c 'import qemu.qmp, qshim, paho.mqtt' 2> /dev/null ||
  "$venv/bin/python" -m pip install -q --disable-pip-version-check -e '.[mqtt]'

mosquitto=$(command -v mosquitto || command -v /usr/sbin/mosquitto) || {
  echo "mosquitto is not installed: apt-get install mosquitto" >&2
  exit 3
}

directory=$(mktemp -d)
started=()
finish() {
  trap - EXIT INT TERM
  # what was started last has to say goodbye to what was there before
  for ((last = ${#started[@]} - 1; last >= 0; last--)); do
    kill "${started[last]}" 2> /dev/null && wait "${started[last]}" 2> /dev/null || true
  done
  rm -rf "$directory"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# say a qshim command and run it
run() {
  printf '\n$ qshim %s\n' "$*"
  "$venv/bin/qshim" "$@"
}

# say a qshim command and run it in the background
begin() {
  printf '$ qshim %s &\n' "$*"
  "$venv/bin/qshim" "$@" &
  started+=($!)
}

# try a command until it succeeds, for at most half a minute
until_true() {
  for _ in $(seq 60); do
    "$@" && return
    sleep 0.5
  done
  echo "this did not happen: $*" >&2
  exit 1
}

port=$("$venv/bin/python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=mqtt://127.0.0.1:$port
# without a configuration mosquitto listens on the loopback alone
echo "\$ mosquitto -p $port &"
"$mosquitto" -p "$port" 2> "$directory/mosquitto.log" &
started+=($!)
until_true grep -q running "$directory/mosquitto.log"
