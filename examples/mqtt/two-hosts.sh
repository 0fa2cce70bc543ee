#!/usr/bin/env bash
# Would the machine of one host migrate to that of another? A bridge on each host tells one broker the layout; whoever
# can reach the broker compares. Here both hosts are this one. Needs Python 3.11 and mosquitto; leaves nothing running.
source "$(dirname "$0")/common.sh"

for host in alpha beta; do
  # the host of the destination has a newer QEMU and gave its machine less memory
  case $host in
    alpha) machine=(--qemu-version 7.2 -- -M pc-q35-7.2 -m 2G) ;;
    beta) machine=(--qemu-version 11.1 -- -M pc-q35-7.2 -m 1G) ;;
  esac
  begin serve "${machine[@]}" -name web -S -qmp "unix:$directory/$host.sock,server=on,wait=off"
  until_true test -S "$directory/$host.sock"
  begin bridge --mqtt "$url" --host "$host" --attach "$directory/$host.sock"
done

told() { "$venv/bin/qshim" diff "$url/qshim/$1/web" "$url/qshim/$1/web" > /dev/null 2>&1; }
until_true told alpha
until_true told beta
run watch --mqtt "$url" --once
run migrate-check "$url/qshim/alpha/web" "$url/qshim/beta/web" || echo "exit status $?"
{ run diff "$url/qshim/alpha/web" "$url/qshim/beta/web" || echo "exit status $?"; } | grep -E '^[a-z$]'
