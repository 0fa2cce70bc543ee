#!/usr/bin/env bash
# A broker, a machine, a bridge between them, and what somebody sees who looks. Needs Python 3.11 and mosquitto; leaves
# nothing running and nothing behind but the virtual environment.
source "$(dirname "$0")/common.sh"

begin serve --recording q35 -- -name web -qmp "unix:$directory/web.sock,server=on,wait=off"
until_true test -S "$directory/web.sock"
begin bridge --mqtt "$url" --host lab --attach "$directory/web.sock"

told() { "$venv/bin/qshim" diff "$url/qshim/lab/web" "$url/qshim/lab/web" > /dev/null 2>&1; }
until_true told
run watch --mqtt "$url" --once
