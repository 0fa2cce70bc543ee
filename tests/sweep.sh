#!/usr/bin/env bash
# Sweeps against real QEMUs, with the counts that notes quote.
#
#   tests/sweep.sh --full             every recording in the tree, every machine type of every installed QEMU,
#                                     and random command lines, registers and hot-plug (QSHIM_SEED chooses them)
#   tests/sweep.sh --sample N         N machine types (QSHIM_SEED chooses which)
#   tests/sweep.sh ... PLACE...       captures and recordings in other places too
#
# --full first installs the QEMUs of all targets where that is possible.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 3
python=.venv/bin/python
[ -x "$python" ] || python=${PYTHON:-python3}

sample=() places=(qshim/data/recordings fixtures)
case ${1:-} in
  --full) shift ;;
  --sample) sample=(--sample "${2:?--sample needs a number}" --seed "${QSHIM_SEED:-0}"); shift 2 ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
places+=("$@")

if [ ${#sample[@]} -eq 0 ] && [ "${QSHIM_QEMU:-yes}" != no ]; then
  tests/qemu/install.sh --all-targets > /dev/null || echo "sweep.sh: going on with the QEMUs that are there" >&2
fi
status=0
worse() { [ "$1" -le "$status" ] || status=$1; }

echo "== recordings"
"$python" -m tests.sweep.rebuild "${places[@]}"
worse $?

mapfile -t emulators < <("$python" -m tests.support.oracle)
echo "== machine types of ${#emulators[@]} emulators, recorded now"
if [ ${#emulators[@]} -gt 0 ]; then
  "$python" -m tests.sweep.rebuild ${sample[@]+"${sample[@]}"} --live "${emulators[@]}"
  worse $?
else
  echo "no real QEMU is installed: nothing compared"
  worse 3
fi

if [ ${#sample[@]} -eq 0 ]; then
  seed=${QSHIM_SEED:-1}
  echo "== random command lines, from seed $seed"
  "$python" -m tests.sweep.x86 --seed "$seed" --count 500
  worse $?
  for share in aarch64:300 arm:100 riscv64:200 riscv32:50; do
    "$python" -m tests.sweep.virt --target "${share%:*}" --seed "$seed" --count "${share#*:}"
    worse $?
  done
  echo "== registers and hot-plug, from seed $seed"
  for share in x86_64:200 aarch64:100; do
    "$python" -m tests.sweep.registers --target "${share%:*}" --seed "$seed" --count "${share#*:}"
    worse $?
    "$python" -m tests.sweep.hotplug --target "${share%:*}" --seed "$seed" --count "${share#*:}"
    worse $?
  done
fi
exit $status
