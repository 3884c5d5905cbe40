#!/bin/sh
# SPDX-License-Identifier: MIT
# vvmrun for everybody: all of vvmrun.sh once more with the rights of an ordinary
# user (tests/support/confined.c). `make check-user` does more. Runs in the build
# directory.
: "${top_srcdir:=..}"
script=$top_srcdir/tests/script/vvmrun.sh
tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/vvmuser.XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT
chmod 1777 "$tmp"
[ "$(id -u)" -eq 0 ] || {
	echo "vvmrun.sh itself was run by an ordinary user"
	exit 77
}
if ! TMPDIR=$tmp tests/support/confined nobody test -r "$script" -a -x . -a \
	-r tools/preload/.libs/libvvm-preload.so; then
	echo "an ordinary user cannot read the build directory"
	exit 77
fi
TMPDIR=$tmp tests/support/confined nobody sh "$script"
