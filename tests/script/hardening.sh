#!/bin/sh
# SPDX-License-Identifier: MIT
# What is built is hardened as configure said: relocations that are read-only
# and bound at start, no executable stack and no segment that is writable and
# executable, stack protector, fortified calls, CET. And libvvm.so stays loaded
# whatever dlclose() says.
# Runs in the build directory; HARDENING: the flags that configure found.
bad=0

fail()
{
	echo "FAIL: $*"
	bad=1
}

# has FILE OPTION PATTERN WHAT: in the output of readelf
has()
{
	readelf -W "$2" "$1" | grep -Eq "$3" || fail "$1: $4"
}

has_not()
{
	! readelf -W "$2" "$1" | grep -E "$3" || fail "$1: $4"
}

# with FLAG: did configure find it?
with()
{
	case " $HARDENING " in *" $1"*) ;; *) return 1 ;; esac
}

command -v readelf >/dev/null || {
	echo "readelf is missing; Debian: apt-get install binutils"
	exit 77
}

libvvm=lib/.libs/libvvm.so
preload=tools/preload/.libs/libvvm-preload.so
files=
for file in $libvvm $preload; do
	[ ! -f $file ] || files="$files $file"
done
for tool in vvmbench vvmrun vvmstat; do
	file=tools/$tool/.libs/$tool # behind libtool's script
	[ -f $file ] || file=tools/$tool/$tool
	files="$files $file"
done

if [ -f $libvvm ]; then
	has $libvvm -d 'FLAGS_1.*NODELETE' "can be unloaded (-z nodelete)"
fi
for file in $files; do
	has_not "$file" -l '(LOAD|GNU_STACK).* RWE ' "writable and executable"
	has_not "$file" -d 'TEXTREL' "relocations in the code"
	! with -Wl,-z,noexecstack ||
		has "$file" -l 'GNU_STACK.* RW ' "no word on the stack"
	! with -Wl,-z,relro ||
		has "$file" -l 'GNU_RELRO' "no RELRO"
	! with -Wl,-z,now ||
		has "$file" -d 'BIND_NOW|FLAGS_1.*NOW' "bound lazily"
	! with -fstack-protector ||
		has "$file" --dyn-syms '__stack_chk_fail' "no stack protector"
	# (libvvm.so itself formats and copies nothing that is checked)
	! with -D_FORTIFY_SOURCE= || [ "$file" = $libvvm ] ||
		has "$file" --dyn-syms '__[a-z]*printf_chk' "not fortified"
done

# The note in the file says nothing where the C library's own start code is
# built without it; the landing pads are there all the same.
if with -fcf-protection && [ -f $libvvm ] &&
	command -v objdump >/dev/null; then
	for function in vvm_open vvm_close vvm_malloc; do
		objdump -d --disassemble=$function $libvvm |
			grep -q 'endbr' || fail "$libvvm: $function without CET"
	done
fi

case $HARDENING in
*[!\ ]*) ;;
*)
	[ $bad -ne 0 ] || {
		echo "built with --disable-hardening"
		exit 77
	}
	;;
esac
exit $bad
