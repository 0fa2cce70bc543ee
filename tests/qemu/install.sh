#!/usr/bin/env bash
# Several real QEMU versions side by side, as oracles for the tests.
#
#   tests/qemu/install.sh [--all-targets] [LABEL...]     install 7.2, 10.0 and 11.1 (default) or the labels named
#   tests/qemu/install.sh --list                         what is installed
#
# Each version is unpacked from a Debian suite into its own directory below $QSHIM_QEMU_DIR (default: qshim-qemu in
# the user's cache directory), with all its libraries; the system's packages and apt state stay as they are. The
# mirror is the one that this machine's apt uses. Needs Debian, apt-get and dpkg-deb, amd64, and root, because apt
# trusts a download directory of nobody else. About 700 MB a version, 1 GB with --all-targets.
# Running it again does nothing where a version is complete. Exit status 3: not possible on this machine.
set -euo pipefail

dir=${QSHIM_QEMU_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/qshim-qemu}
all=no labels=()

say() { printf 'install.sh: %s\n' "$*" >&2; }
cannot() { say "$* Nothing was installed; tests against real QEMU will be skipped."; exit 3; }

suite_of() {
  case $1 in
    7.2) echo bookworm ;;
    10.0) echo trixie ;;
    11.1) echo sid ;;
    *) say "unknown version $1; known are 7.2, 10.0, 11.1"; exit 2 ;;
  esac
}

list() {
  local wrapper
  for wrapper in "$dir"/bin/qemu-*-system-*; do
    [ -x "$wrapper" ] && printf '%s\n' "${wrapper##*/}"
  done
  return 0
}

mirror() {
  {
    sed -n 's/^URIs: *\(\S*\).*/\1/p' /etc/apt/sources.list.d/*.sources
    sed -n 's/^deb \(\[[^]]*\] \)\?\(\S*\) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list
  } 2>/dev/null | grep debian | grep -v security | head -n 1 || true
}

# Download the emulators of one suite with everything they need, as if nothing were installed here.
unpack() {
  local suite=$1 root=$2 apt from package packages=(qemu-system-x86 qemu-system-arm qemu-system-misc seabios ipxe-qemu)
  # some suites have these in qemu-system-misc, others in packages of their own
  local perhaps=(qemu-system-riscv)
  [ "$all" = yes ] && packages+=(qemu-system-mips qemu-system-ppc qemu-system-sparc) && perhaps+=(qemu-system-s390x)
  from=$(mirror)
  [ -n "$from" ] || cannot "No Debian mirror is configured for apt."
  apt=$(mktemp -d "$dir/.apt.XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$apt'" EXIT
  mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/parts"
  : > "$apt/status"
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$from" "$suite" > "$apt/sources.list"
  # the mirror may be an archived snapshot, whose release file is past its date; its signature is still checked
  cat > "$apt/apt.conf" <<END
Dir::State "$apt"; Dir::State::status "$apt/status"; Dir::Cache "$apt";
Dir::Etc::sourcelist "$apt/sources.list"; Dir::Etc::sourceparts "$apt/parts"; Dir::Etc::parts "$apt/parts";
Dir::Etc::preferencesparts "$apt/parts";
APT::Architecture "amd64"; APT::Architectures { "amd64"; };
APT::Install-Recommends "false"; APT::Sandbox::User "root"; Acquire::Languages "none"; Acquire::Retries "3";
Acquire::Check-Valid-Until "false";
END
  export APT_CONFIG=$apt/apt.conf
  apt-get update -q >&2
  for package in "${perhaps[@]}"; do
    apt-cache show "$package" >/dev/null 2>&1 && packages+=("$package")
  done
  apt-get install -y -q --download-only "${packages[@]}" >&2
  unset APT_CONFIG
  for package in "$apt"/archives/*.deb; do
    dpkg-deb -x "$package" "$root"
  done
  rm -rf "$apt"
  trap - EXIT
}

# One small script for each emulator, which runs it with the C library and the firmware of its own suite.
wrap() {
  local label=$1 root=$2 loader= candidate libraries path emulator wrapper
  for candidate in "$root"/{usr/,}lib64/ld-linux-x86-64.so.2 "$root"/{usr/,}lib/x86_64-linux-gnu/ld-*.so*; do
    path=$(readlink -f "$candidate" 2>/dev/null) || continue
    case $path in "$root"/*) [ -x "$path" ] && loader=$path && break ;; esac
  done
  [ -n "$loader" ] || cannot "The packages of $label hold no program loader."
  libraries=$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu
  for path in "$root"/{usr/,}lib/x86_64-linux-gnu/{pulseaudio,blas,lapack,ceph,samba}; do
    [ -d "$path" ] && libraries+=:$path
  done
  mkdir -p "$dir/bin"
  for emulator in "$root"/usr/bin/qemu-system-*; do
    [ -L "$emulator" ] && continue # a second name for the same target
    wrapper=$dir/bin/qemu-$label-system-${emulator##*/qemu-system-}
    # bookworm has a script in front of the real i386 emulator
    path=$root/usr/libexec/${emulator##*/}
    [ -x "$path" ] && emulator=$path
    cat > "$wrapper" <<END
#!/bin/sh
QEMU_MODULE_DIR=$root/usr/lib/x86_64-linux-gnu/qemu exec $loader --library-path $libraries $emulator -L $root/usr/share/qemu -L $root/usr/share/seabios -L $root/usr/lib/ipxe/qemu "\$@"
END
    chmod +x "$wrapper"
  done
}

install_one() {
  local label=$1 suite root found
  suite=$(suite_of "$label") root=$dir/root-$label
  if [ -e "$root/.complete" ] && { [ "$all" = no ] || [ -e "$root/.all-targets" ]; }; then
    wrap "$label" "$root"
    return
  fi
  say "unpacking QEMU $label ($suite)"
  rm -rf "$root.new"
  mkdir -p "$root.new"
  unpack "$suite" "$root.new"
  rm -rf "$root"
  mv "$root.new" "$root"
  wrap "$label" "$root"
  found=$("$dir/bin/qemu-$label-system-x86_64" --version | sed -n '1s/.*version \([0-9]*\.[0-9]*\).*/\1/p')
  if [ "$found" != "$label" ]; then
    rm -rf "$root" "$dir"/bin/qemu-"$label"-system-*
    say "suite $suite now has QEMU ${found:-of an unknown version}, not $label; $label is left out"
    return
  fi
  touch "$root/.complete"
  [ "$all" = no ] || touch "$root/.all-targets"
}

while [ $# -gt 0 ]; do
  case $1 in
    --all-targets) all=yes ;;
    --list) list; exit 0 ;;
    -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) say "unknown option $1"; exit 2 ;;
    *) suite_of "$1" > /dev/null; labels+=("$1") ;;
  esac
  shift
done
[ ${#labels[@]} -gt 0 ] || labels=(7.2 10.0 11.1)

[ "$(uname -m)" = x86_64 ] || cannot "The packages are for x86_64, and this machine is $(uname -m)."
command -v apt-get > /dev/null && command -v dpkg-deb > /dev/null || cannot "This needs apt-get and dpkg-deb."
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || cannot "This needs the package debian-archive-keyring."
[ "$(id -u)" = 0 ] || cannot "This needs root."
mkdir -p "$dir"
for label in "${labels[@]}"; do
  install_one "$label"
done
list
