/* SPDX-License-Identifier: MIT */
/*
 * support/container.c - the system calls that a default container does not have.
 *
 * The engines' profiles are lists of what is permitted. Here is what is on none
 * of them without a capability, by name; where they differ, or have changed,
 * the stricter one counts. What neither libseccomp nor this list knows passes.
 */
#include "support/container.h"

#ifdef HAVE_LIBSECCOMP

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/socket.h>

static const char *const refused[] = {
	/* paging and rings */
	"userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
	/* looking at others, and at the kernel */
	"bpf", "kcmp", "lookup_dcookie", "perf_event_open", "pidfd_getfd",
	"process_madvise", "process_vm_readv", "process_vm_writev", "ptrace",
	"syslog",
	/* keys */
	"add_key", "keyctl", "request_key",
	/* mounts, namespaces, file systems */
	"chroot", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick",
	"mount", "mount_setattr", "move_mount", "open_by_handle_at",
	"open_tree", "pivot_root", "quotactl", "quotactl_fd", "setns", "sysfs",
	"umount", "umount2", "unshare", "ustat",
	/* memory of a node */
	"get_mempolicy", "mbind", "migrate_pages", "move_pages",
	"set_mempolicy", "set_mempolicy_home_node",
	/* the machine */
	"_sysctl", "acct", "clock_settime", "create_module", "delete_module",
	"finit_module", "get_kernel_syms", "init_module", "ioperm", "iopl",
	"kexec_file_load", "kexec_load", "nfsservctl", "query_module", "reboot",
	"setdomainname", "sethostname", "settimeofday", "stime", "swapoff",
	"swapon", "uselib", "vhangup", "vm86", "vm86old"};

static const unsigned namespaces[] = {
	CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
	CLONE_NEWUSER, CLONE_NEWPID,	CLONE_NEWNET};

/* Of a socket, which containers have been escaped by. */
static const int families[] = {AF_ALG, AF_VSOCK};

#define LENGTH(array) (sizeof(array) / sizeof(*(array)))

/* Calls whose first argument has the bits in mask as in value. */
static int refuse_some(scmp_filter_ctx filter, int nr, scmp_datum_t mask,
		       scmp_datum_t value)
{
	return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), nr, 1,
				SCMP_A0(SCMP_CMP_MASKED_EQ, mask, value));
}

static int refuse_names(scmp_filter_ctx filter)
{
	int nr, error = 0;
	size_t i;

	for (i = 0; i < LENGTH(refused) && !error; i++) {
		nr = seccomp_syscall_resolve_name(refused[i]);
		/* below 0: another processor's, or a later kernel's */
		if (nr >= 0)
			error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM),
						 nr, 0);
	}
	return error;
}

/* clone3's flags are in memory: libc falls back to clone(2). */
static int refuse_namespaces(scmp_filter_ctx filter)
{
	int error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS),
				     SCMP_SYS(clone3), 0);
	size_t i;

	for (i = 0; i < LENGTH(namespaces) && !error; i++)
		error = refuse_some(filter, SCMP_SYS(clone), namespaces[i],
				    namespaces[i]);
	return error;
}

static int refuse_all(scmp_filter_ctx filter)
{
	int error = refuse_names(filter);
	size_t i;

	if (!error)
		error = refuse_namespaces(filter);
	for (i = 0; i < LENGTH(families) && !error; i++)
		error = refuse_some(filter, SCMP_SYS(socket), UINT32_MAX,
				    (scmp_datum_t)families[i]);
	if (!error) /* setarch -R, gdb */
		error = refuse_some(filter, SCMP_SYS(personality), UINT32_MAX,
				    ADDR_NO_RANDOMIZE);
	return error ? error : seccomp_load(filter);
}

const char *container_filter(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int error = filter ? refuse_all(filter) : -ENOMEM;

	if (filter)
		seccomp_release(filter);
	return error ? strerror(-error) : NULL;
}

#else

const char *container_filter(void)
{
	return "built without libseccomp (Debian: libseccomp-dev)";
}

#endif
