# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# swaps.sh: what torture runs swap to; sourced by runs.sh.
#
#	file	a file without a name in /var/tmp
#	named	one with a name, which the next run finds
#	loop	a loop device
#	slow	a loop device that does SLOW_IOPS transfers a second each way, by
#		a cgroup's limit (device-mapper's delay would need a module that
#		few kernels have)
#	tmpfs	a file system of TMPFS_MIB, much less than is written
#	ext4	the same, on a loop device
#
# swap_begin NAME sets $swap, and $swap_options for stress; $swap_run is a command
# prefix. It fails with $swap_why where this machine cannot do it. swap_end undoes it.
#
# Nothing of it may outlive us, even if we are killed: mounts are in a mount
# namespace of our own; a loop device is one whose file has no name any more and
# which clears itself when the last descriptor of it is closed. What is left after
# a kill -9 is a directory and a cgroup, which the next start removes.
SLOW_IOPS=150
LOOP_MIB=256
TMPFS_MIB=4
swap_dir=
swap_cgroup=

# Takes away what killed runs have left: names end in the pid.
swap_sweep()
{
	for left in /var/tmp/vvm-torture.* /sys/fs/cgroup/vvm-torture.* \
		/sys/fs/cgroup/blkio/vvm-torture.*; do
		[ -d "$left" ] && ! kill -0 "${left##*.}" 2>/dev/null || continue
		case $left in
		/sys/*) rmdir "$left" 2>/dev/null ;;
		*) rm -rf "$left" ;;
		esac
	done
}

swap_init()
{
	swap_sweep
	swap_dir=/var/tmp/vvm-torture.$$
	mkdir -m 700 "$swap_dir" || exit 99
}

# Everything, whatever there is; may be called twice.
swap_fini()
{
	swap_end
	[ -z "$swap_dir" ] || rm -rf "$swap_dir"
	swap_dir=
}

root()
{
	[ "$(id -u)" = 0 ] && return
	swap_why="only root can make one"
	return 1
}

# Descriptor 9 holds the device; the file's name is not needed any more.
loop_begin()
{
	root || return
	swap_why="losetup fails: $(truncate -s "${LOOP_MIB}M" "$swap_dir/image" 2>&1 &&
		losetup -f --show "$swap_dir/image" 2>&1 >"$swap_dir/device")"
	swap=$(cat "$swap_dir/device")
	case $swap in /dev/*) ;; *) return 1 ;; esac
	exec 9<>"$swap"
	losetup -d "$swap"
	rm -f "$swap_dir/image" "$swap_dir/device"
}

# The limit of a cgroup, of version 2 or 1; direct I/O counts in both.
slow_begin()
{
	loop_begin || return
	number="7:$((${swap#/dev/loop}))"
	if grep -qsw io /sys/fs/cgroup/cgroup.controllers; then
		swap_cgroup=/sys/fs/cgroup/vvm-torture.$$
		echo +io >/sys/fs/cgroup/cgroup.subtree_control
		mkdir "$swap_cgroup" &&
			echo "$number riops=$SLOW_IOPS wiops=$SLOW_IOPS" \
				>"$swap_cgroup/io.max"
	else
		swap_cgroup=/sys/fs/cgroup/blkio/vvm-torture.$$
		mkdir "$swap_cgroup" &&
			echo "$number $SLOW_IOPS" \
				>"$swap_cgroup/blkio.throttle.read_iops_device" &&
			echo "$number $SLOW_IOPS" \
				>"$swap_cgroup/blkio.throttle.write_iops_device"
	fi 2>/dev/null || {
		swap_why="no cgroup that limits transfers"
		return 1
	}
	swap_run="in_cgroup $swap_cgroup"
}

in_cgroup()
{
	# shellcheck disable=SC2016 # of the inner shell
	set -- sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$@"
	exec "$@"
}

# mount_begin MOUNT-ARGUMENT...: what swap is a directory of
mount_begin()
{
	root || return
	[ -n "$TORTURE_PRIVATE" ] || {
		swap_why="no mount namespace of its own"
		return 1
	}
	mkdir "$swap_dir/mount" && mount "$@" "$swap_dir/mount" || {
		swap_why="mount fails"
		return 1
	}
	swap=$swap_dir/mount
	swap_options="--full --size $((3 * TMPFS_MIB)) --limit 1024"
}

swap_begin()
{
	swap='' swap_options='' swap_run='' swap_why=''
	case $1 in
	file) swap=/var/tmp ;;
	named) swap=$swap_dir/swap ;;
	loop) loop_begin ;;
	slow) slow_begin ;;
	tmpfs) mount_begin -t tmpfs -o "size=${TMPFS_MIB}m" tmpfs ;;
	ext4)
		truncate -s "$((TMPFS_MIB + 4))M" "$swap_dir/image" &&
			mkfs.ext4 -q -m 0 "$swap_dir/image" || {
			swap_why="no mkfs.ext4"
			return 1
		}
		mount_begin -o loop "$swap_dir/image"
		;;
	*)
		echo "runs.sh: no swap of the name $1" >&2
		exit 64
		;;
	esac
}

swap_end()
{
	exec 9>&-
	swap_run=
	if [ -d "$swap_dir/mount" ]; then
		umount "$swap_dir/mount" 2>/dev/null
		rmdir "$swap_dir/mount"
	fi
	rm -f "$swap_dir/image" "$swap_dir/device"
	if [ -n "$swap_cgroup" ]; then
		# what has just ended may be in it for a moment
		for _ in 1 2 3 4 5 6 7 8 9; do
			rmdir "$swap_cgroup" 2>/dev/null && break
			sleep 1
		done
		swap_cgroup=
	fi
}
