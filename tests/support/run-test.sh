#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs one test program for `make check` and `make torture`:
#
# - without address space randomisation when VVM_TEST_NO_ASLR is set:
#   ThreadSanitizer refuses some layouts;
# - scripts with a time limit, which the load lengthens as support/wait.c does
#   that of the programs.
prefix=
if [ -n "$VVM_TEST_NO_ASLR" ] && setarch -R true 2>/dev/null; then
	prefix="setarch -R"
fi
for arg; do
	case $arg in
	*.sh)
		read -r load _ 2>/dev/null </proc/loadavg || load=0
		cpus=$(getconf _NPROCESSORS_ONLN 2>/dev/null) || cpus=1
		factor=$((1 + (4 + ${load%.*}) / cpus))
		[ "$factor" -le 20 ] || factor=20
		TEST_FACTOR=$((factor * ${CK_TIMEOUT_MULTIPLIER:-1}))
		export TEST_FACTOR # for what a script limits by itself
		prefix="timeout $((300 * TEST_FACTOR)) $prefix"
		break
		;;
	esac
done
# shellcheck disable=SC2086 # words wanted
exec $prefix "$@"
