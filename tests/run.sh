#!/usr/bin/env bash
# Everything that has to be right before a change is handed in: style, types, tests, and a seeded sample of machines
# rebuilt and compared with real QEMUs. Exit status 0 only if all of it passed; what was skipped is printed.
#
#   PYTHON=python3.12     the interpreter to make .venv with (default python3; 3.11 or newer)
#   QSHIM_SEED=7          another sample of machines (default 0)
#   QSHIM_QEMU=no         do not install real QEMUs; those that are there are used
#   QSHIM_MQTT=no         do not install MQTT libraries and mosquitto; those that are there are used
#   QSHIM_CLIENTS=no      do not install real clients (drgn, labgrid, npm's ...); those that are there are used
set -uo pipefail
cd "$(dirname "$0")/.." || exit 3

seed=${QSHIM_SEED:-0}
failed=() skipped=()

step() {
  local name=$1
  shift
  printf '\n== %s\n' "$name"
  "$@" || failed+=("$name (exit $?)")
}

if [ ! -x .venv/bin/python ]; then
  "${PYTHON:-python3}" -m venv .venv || exit 3
fi
if [ ! .venv/.installed -nt pyproject.toml ]; then
  .venv/bin/python -m pip install -q --disable-pip-version-check -e '.[dev]' || exit 3
  touch .venv/.installed
fi

if [ "${QSHIM_QEMU:-yes}" = no ]; then
  skipped+=("real QEMUs were not installed (QSHIM_QEMU=no)")
elif ! tests/qemu/install.sh > /dev/null; then
  skipped+=("real QEMUs could not be installed; see above")
fi
if [ "${QSHIM_CLIENTS:-yes}" = no ]; then
  skipped+=("real clients were not installed (QSHIM_CLIENTS=no)")
elif ! tests/clients/install.sh; then
  skipped+=("real clients could not be installed; see above")
fi
if [ "${QSHIM_MQTT:-yes}" = no ]; then
  skipped+=("MQTT libraries and mosquitto were not installed (QSHIM_MQTT=no)")
elif ! tests/mqtt/install.sh; then
  skipped+=("MQTT libraries or mosquitto could not be installed; see above")
fi
mapfile -t emulators < <(.venv/bin/python -m tests.support.oracle x86_64 aarch64 riscv64)

step "ruff" .venv/bin/ruff check .
step "mypy --strict" .venv/bin/mypy
step "pytest" .venv/bin/python -m pytest -q
step "rebuild every recording" .venv/bin/python -m tests.sweep.rebuild qshim/data/recordings fixtures
if [ ${#emulators[@]} -gt 0 ]; then
  step "rebuild 30 machines recorded now (seed $seed)" \
    .venv/bin/python -m tests.sweep.rebuild --sample 30 --seed "$seed" --live "${emulators[@]}"
  for boards in virt x86; do
    step "random command lines of $boards boards beside real QEMUs (seed $seed)" \
      .venv/bin/python -m "tests.sweep.$boards" --seed "$seed" --count 15
  done
else
  skipped+=("no real QEMU is installed, so nothing was recorded live and compared")
fi

printf '\n'
for reason in ${skipped[@]+"${skipped[@]}"}; do
  printf 'skipped: %s\n' "$reason"
done
if [ ${#failed[@]} -gt 0 ]; then
  printf 'FAILED: %s\n' "${failed[@]}"
  exit 1
fi
echo "all passed"
