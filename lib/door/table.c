/* SPDX-License-Identifier: MIT */
/*
 * door/table.c - the system calls that take pointers.
 *
 * A row for each, of all that the kernel has up to 6.19: how its arguments are
 * handed over, and what is behind those that are pointers. Addresses of memory
 * that is mapped, unmapped or advised are values: it is not looked at. Calls in
 * neither of the two lists are new ones; unit/door says which the headers
 * know.
 *
 * OUT is what the kernel writes all of if the call succeeds. What it may write in
 * parts, or also on errors, is INOUT: then what it has changed comes back.
 *
 * Where there is a limit behind which the kernel refuses a length, or looks no
 * further, the row says so (MOST): no more is copied, however long the program
 * says that it is. What the kernel is to find behind that is a page that cannot
 * be accessed.
 */
#include "door/table.h"

#include <asm/unistd.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#define EVENT sizeof(struct epoll_event)

#define MOST(i, kind, length, of, size, most) \
	[i] = {ARG_##kind, LENGTH_##length, of, size, most}
#define ARG(i, kind, length, of, size) MOST(i, kind, length, of, size, 0)
#define TEXT(i)			       ARG(i, TEXT, FIXED, 0, 0)
#define SPECIAL(i)		       ARG(i, SPECIAL, FIXED, 0, 0)
#define IN(i, size)		       ARG(i, IN, FIXED, 0, size)
#define OUT(i, size)		       ARG(i, OUT, FIXED, 0, size)
#define INOUT(i, size)		       ARG(i, INOUT, FIXED, 0, size)
#define IN_N(i, n, size)	       ARG(i, IN, TIMES, n, size)
#define INOUT_N(i, n, size)	       ARG(i, INOUT, TIMES, n, size)
#define RESULT(i, n, size)	       ARG(i, OUT, RESULT, n, size)
#define POINTED(i, n, most)	       MOST(i, INOUT, POINTED, n, 0, most), INOUT(n, 4)
#define SOCKADDR(i, n)		       POINTED(i, n, ADDRESS)
#define TO_SOCKADDR(i, n)	       MOST(i, IN, TIMES, n, 1, ADDRESS)
#define SIGNALS(i, n)		       MOST(i, IN, TIMES, n, 1, 8)
#define VERSIONED(i, kind, n)	       MOST(i, kind, TIMES, n, 1, 4096)
#define IN_BITS(i, n)		       MOST(i, IN, BITS, n, 0, NODES)
#define FD_SET_OF(i, n)		       MOST(i, INOUT, BITS, n, 0, FDS)
#define IN_HEADED(i, at, s)	       ARG(i, IN, HEADED, at, s)
#define INOUT_HEADED(i, at, s)	       ARG(i, INOUT, HEADED, at, s)

#define ROW(call_name, call_way, ...)                \
	[__NR_##call_name] = {.name = #call_name,    \
			      .way = WAY_##call_way, \
			      .arg = {__VA_ARGS__}}
#define NEW(nr, call_name, call_way, ...) \
	[nr] = {.name = #call_name, .way = WAY_##call_way, .arg = {__VA_ARGS__}}
#define DATA(call_name, call_way, does_write, offset_at, ...) \
	[__NR_##call_name] = {.name = #call_name,             \
			      .way = WAY_##call_way,          \
			      .writes = does_write,           \
			      .offset = offset_at,            \
			      .arg = {__VA_ARGS__}}

/* Bytes. sockaddr_storage; XATTR_SIZE_MAX; PATH_MAX, and some */
#define ADDRESS 128
#define XATTR	65536
#define PATH	8192
/* Masks: a page of nodes; of descriptors; of CPUs. */
#define NODES (4096 + 8)
#define FDS   (512 << 10)
#define CPUS  8192
/* NGROUPS_MAX, UIO_MAXIOV, FUTEX_WAITV_MAX */
#define GROUPS	(65536 * 4)
#define VECTORS (1024 * 16)
#define WAITERS (128 * 24)
/* HARD_MSGSIZEMAX of queues; a key; options are no longer, but for tables */
#define LETTER	(16 << 20)
#define KEY	(1 << 20)
#define OPTION	(1 << 20)
#define OPTIONS (64 << 20)
/* Semaphores at a time: of a machine that was told to. */
#define SEMAPHORES (6 << 16)

/* clang-format off: a row is a line */
static const struct call calls[CALLS_END] = {
	/* data */
	DATA(read, single, false, 0, RESULT(1, 2, 1)),
	DATA(write, single, true, 0, IN_N(1, 2, 1)),
	DATA(pread64, single, false, 3, RESULT(1, 2, 1)),
	DATA(pwrite64, single, true, 3, IN_N(1, 2, 1)),
	DATA(readv, vector, false, 0, SPECIAL(1)),
	DATA(writev, vector, true, 0, SPECIAL(1)),
	DATA(preadv, vector, false, 3, SPECIAL(1)),
	DATA(pwritev, vector, true, 3, SPECIAL(1)),
	DATA(preadv2, vector, false, 3, SPECIAL(1)),
	DATA(pwritev2, vector, true, 3, SPECIAL(1)),
	DATA(vmsplice, vmsplice, true, 0, SPECIAL(1)),
	DATA(process_vm_readv, process_vm, false, 0, SPECIAL(1), SPECIAL(3)),
	DATA(process_vm_writev, process_vm, true, 0, SPECIAL(1), SPECIAL(3)),
	DATA(sendto, single, true, 0, IN_N(1, 2, 1), TO_SOCKADDR(4, 5)),
	DATA(recvfrom, single, false, 0, RESULT(1, 2, 1), SOCKADDR(4, 5)),
	DATA(sendmsg, message, true, 0, SPECIAL(1)),
	DATA(recvmsg, message, false, 0, SPECIAL(1)),
	DATA(sendmmsg, messages, true, 0, SPECIAL(1)),
	DATA(recvmmsg, messages, false, 0, SPECIAL(1), INOUT(4, 16)),
	ROW(sendfile, copy, INOUT(2, 8)),
	ROW(splice, copy, INOUT(1, 8), INOUT(3, 8)),
	ROW(copy_file_range, copy, INOUT(1, 8), INOUT(3, 8)),

	/* files by their names */
	ROW(openat, copy, TEXT(1)),
	ROW(openat2, copy, TEXT(1), VERSIONED(2, IN, 3)),
	ROW(newfstatat, copy, TEXT(1), OUT(2, sizeof(struct stat))),
	ROW(statx, copy, TEXT(1), OUT(4, 256)),
	ROW(truncate, copy, TEXT(0)),
	ROW(chdir, copy, TEXT(0)),
	ROW(mkdirat, copy, TEXT(1)),
	ROW(mknodat, copy, TEXT(1)),
	ROW(unlinkat, copy, TEXT(1)),
	ROW(renameat, copy, TEXT(1), TEXT(3)),
	ROW(renameat2, copy, TEXT(1), TEXT(3)),
	ROW(linkat, copy, TEXT(1), TEXT(3)),
	ROW(symlinkat, copy, TEXT(0), TEXT(2)),
	ROW(readlinkat, copy, TEXT(1), MOST(2, OUT, RESULT, 3, 1, PATH)),
	ROW(fchownat, copy, TEXT(1)),
	ROW(fchmodat, copy, TEXT(1)),
	ROW(faccessat, copy, TEXT(1)),
	ROW(faccessat2, copy, TEXT(1)),
	ROW(utimensat, copy, TEXT(1), IN(2, 32)),
	ROW(statfs, copy, TEXT(0), OUT(1, 120)),
	ROW(chroot, copy, TEXT(0)),
	ROW(acct, copy, TEXT(0)),
	ROW(pivot_root, copy, TEXT(0), TEXT(1)),
	ROW(mount, copy, TEXT(0), TEXT(1), TEXT(2), IN(4, 4096)),
	ROW(umount2, copy, TEXT(0)),
	ROW(swapon, copy, TEXT(0)),
	ROW(swapoff, copy, TEXT(0)),
	ROW(quotactl, quotactl, TEXT(1), SPECIAL(3)),
	ROW(quotactl_fd, quotactl, SPECIAL(3)),
	ROW(inotify_add_watch, copy, TEXT(1)),
	ROW(fanotify_mark, copy, TEXT(4)),
	ROW(name_to_handle_at, copy, TEXT(1), INOUT_HEADED(2, 0, 8),
	    INOUT(3, 8)),
	ROW(open_by_handle_at, copy, IN_HEADED(1, 0, 8)),
	ROW(open_tree, copy, TEXT(1)),
	ROW(move_mount, copy, TEXT(1), TEXT(3)),
	ROW(fsopen, copy, TEXT(0)),
	ROW(fsconfig, pin, TEXT(2), SPECIAL(3)),
	ROW(fspick, copy, TEXT(1)),
	ROW(mount_setattr, copy, TEXT(1), VERSIONED(3, IN, 4)),
	ROW(setxattr, copy, TEXT(0), TEXT(1), MOST(2, IN, TIMES, 3, 1, XATTR)),
	ROW(lsetxattr, copy, TEXT(0), TEXT(1), MOST(2, IN, TIMES, 3, 1, XATTR)),
	ROW(fsetxattr, copy, TEXT(1), MOST(2, IN, TIMES, 3, 1, XATTR)),
	ROW(getxattr, copy, TEXT(0), TEXT(1),
	    MOST(2, OUT, RESULT, 3, 1, XATTR)),
	ROW(lgetxattr, copy, TEXT(0), TEXT(1),
	    MOST(2, OUT, RESULT, 3, 1, XATTR)),
	ROW(fgetxattr, copy, TEXT(1), MOST(2, OUT, RESULT, 3, 1, XATTR)),
	ROW(listxattr, copy, TEXT(0), MOST(1, OUT, RESULT, 2, 1, XATTR)),
	ROW(llistxattr, copy, TEXT(0), MOST(1, OUT, RESULT, 2, 1, XATTR)),
	ROW(flistxattr, copy, MOST(1, OUT, RESULT, 2, 1, XATTR)),
	ROW(removexattr, copy, TEXT(0), TEXT(1)),
	ROW(lremovexattr, copy, TEXT(0), TEXT(1)),
	ROW(fremovexattr, copy, TEXT(1)),

	/* open files */
	ROW(fstat, copy, OUT(1, sizeof(struct stat))),
	ROW(fstatfs, copy, OUT(1, 120)),
	ROW(getdents64, copy, RESULT(1, 2, 1)),
	ROW(getcwd, copy, MOST(0, OUT, RESULT, 1, 1, PATH)),
	ROW(pipe2, copy, OUT(0, 8)),
	ROW(ioctl, ioctl, SPECIAL(2)),
	ROW(fcntl, fcntl, SPECIAL(2)),
	ROW(memfd_create, copy, TEXT(0)),

	/* waiting */
	ROW(ppoll, poll, SPECIAL(0), INOUT(2, 16), SIGNALS(3, 4)),
	ROW(pselect6, pselect, FD_SET_OF(1, 0), FD_SET_OF(2, 0),
	    FD_SET_OF(3, 0), INOUT(4, 16), SPECIAL(5)),
	ROW(epoll_ctl, copy, IN(3, EVENT)),
	ROW(epoll_pwait, copy, RESULT(1, 2, EVENT), SIGNALS(4, 5)),
	ROW(epoll_pwait2, copy, RESULT(1, 2, EVENT), IN(3, 16), SIGNALS(4, 5)),
	ROW(signalfd4, copy, SIGNALS(1, 2)),
	ROW(timerfd_settime, copy, IN(2, 32), OUT(3, 32)),
	ROW(timerfd_gettime, copy, OUT(1, 32)),
	ROW(futex, futex, SPECIAL(0), SPECIAL(3), SPECIAL(4)),
	ROW(futex_waitv, futexes, MOST(0, IN, TIMES, 1, 24, WAITERS),
	    IN(3, 16)),

	/* sockets */
	ROW(connect, copy, TO_SOCKADDR(1, 2)),
	ROW(bind, copy, TO_SOCKADDR(1, 2)),
	ROW(accept, copy, SOCKADDR(1, 2)),
	ROW(accept4, copy, SOCKADDR(1, 2)),
	ROW(getsockname, copy, SOCKADDR(1, 2)),
	ROW(getpeername, copy, SOCKADDR(1, 2)),
	ROW(socketpair, copy, OUT(3, 8)),
	ROW(setsockopt, setsockopt, MOST(3, IN, TIMES, 4, 1, OPTIONS)),
	ROW(getsockopt, getsockopt, POINTED(3, 4, OPTION)),

	/* processes */
	ROW(execve, exec, TEXT(0), SPECIAL(1), SPECIAL(2)),
	ROW(execveat, exec, TEXT(1), SPECIAL(2), SPECIAL(3)),
	ROW(wait4, copy, INOUT(1, 4), INOUT(3, 144)),
	ROW(waitid, copy, INOUT(2, 128), INOUT(4, 144)),
	ROW(getrusage, copy, OUT(1, 144)),
	ROW(prlimit64, copy, IN(2, 16), OUT(3, 16)),
	ROW(getrlimit, copy, OUT(1, 16)),
	ROW(setrlimit, copy, IN(1, 16)),
	ROW(times, copy, OUT(0, 32)),
	ROW(getgroups, copy, MOST(1, OUT, RESULT, 0, 4, GROUPS)),
	ROW(setgroups, copy, MOST(1, IN, TIMES, 0, 4, GROUPS)),
	ROW(getresuid, copy, OUT(0, 4), OUT(1, 4), OUT(2, 4)),
	ROW(getresgid, copy, OUT(0, 4), OUT(1, 4), OUT(2, 4)),
	ROW(capget, copy, INOUT(0, 8), INOUT(1, 24)),
	ROW(capset, copy, INOUT(0, 8), IN(1, 24)),
	ROW(prctl, prctl, SPECIAL(1), SPECIAL(2), SPECIAL(3), SPECIAL(4)),
	ROW(ptrace, ptrace, SPECIAL(2), SPECIAL(3)),
	ROW(sched_setparam, copy, IN(1, 4)),
	ROW(sched_getparam, copy, OUT(1, 4)),
	ROW(sched_setscheduler, copy, IN(2, 4)),
	ROW(sched_rr_get_interval, copy, OUT(1, 16)),
	ROW(sched_setaffinity, copy, MOST(2, IN, TIMES, 1, 1, CPUS)),
	ROW(sched_getaffinity, copy, MOST(2, OUT, RESULT, 1, 1, CPUS)),
	ROW(sched_setattr, copy, INOUT_HEADED(1, 0, 0)),
	ROW(sched_getattr, copy, VERSIONED(1, INOUT, 2)),
	ROW(getcpu, copy, OUT(0, 4), OUT(1, 4)),
	ROW(set_tid_address, true, SPECIAL(0)),
	ROW(set_robust_list, true, SPECIAL(0)),
	ROW(get_robust_list, copy, OUT(1, 8), OUT(2, 8)),
	ROW(rseq, true, SPECIAL(0)),
	ROW(seccomp, seccomp, SPECIAL(2)),
	ROW(landlock_create_ruleset, copy, VERSIONED(0, IN, 1)),
	ROW(landlock_add_rule, copy, IN(2, 16)),
	ROW(perf_event_open, perf, SPECIAL(0)),
	ROW(bpf, pin, SPECIAL(1)),

	/* signals */
	ROW(rt_sigaction, copy, IN(1, 32), OUT(2, 32)),
	ROW(rt_sigprocmask, sigmask, SIGNALS(1, 3),
	    MOST(2, OUT, TIMES, 3, 1, 8)),
	ROW(rt_sigpending, copy, MOST(0, OUT, TIMES, 1, 1, 8)),
	ROW(rt_sigtimedwait, copy, SIGNALS(0, 3), OUT(1, 128), IN(2, 16)),
	ROW(rt_sigqueueinfo, copy, IN(2, 128)),
	ROW(rt_tgsigqueueinfo, copy, IN(3, 128)),
	ROW(rt_sigsuspend, copy, SIGNALS(0, 1)),
	ROW(sigaltstack, sigaltstack, SPECIAL(0), SPECIAL(1)),
	ROW(pidfd_send_signal, copy, IN(2, 128)),

	/* time */
	ROW(nanosleep, copy, IN(0, 16), INOUT(1, 16)),
	ROW(clock_nanosleep, copy, IN(2, 16), INOUT(3, 16)),
	ROW(clock_gettime, copy, OUT(1, 16)),
	ROW(clock_settime, copy, IN(1, 16)),
	ROW(clock_getres, copy, OUT(1, 16)),
	ROW(clock_adjtime, copy, INOUT(1, 208)),
	ROW(adjtimex, copy, INOUT(0, 208)),
	ROW(gettimeofday, copy, OUT(0, 16), OUT(1, 8)),
	ROW(settimeofday, copy, IN(0, 16), IN(1, 8)),
	ROW(getitimer, copy, OUT(1, 32)),
	ROW(setitimer, copy, IN(1, 32), OUT(2, 32)),
	ROW(timer_create, copy, IN(1, 64), OUT(2, 4)),
	ROW(timer_settime, copy, IN(2, 32), OUT(3, 32)),
	ROW(timer_gettime, copy, OUT(1, 32)),

	/* System V and POSIX objects */
	ROW(shmctl, copy, INOUT(2, 112)),
	ROW(semop, copy, MOST(1, IN, TIMES, 2, 6, SEMAPHORES)),
	ROW(semtimedop, copy, MOST(1, IN, TIMES, 2, 6, SEMAPHORES), IN(3, 16)),
	ROW(semctl, semctl, SPECIAL(3)),
	ROW(msgsnd, copy, MOST(1, IN, MESSAGE, 2, 0, LETTER + 8)),
	ROW(msgrcv, copy, ARG(1, OUT, MESSAGE, 2, 0)),
	ROW(msgctl, copy, INOUT(2, 120)),
	ROW(mq_open, copy, TEXT(0), IN(3, 64)),
	ROW(mq_unlink, copy, TEXT(0)),
	ROW(mq_timedsend, copy, MOST(1, IN, TIMES, 2, 1, LETTER), IN(4, 16)),
	ROW(mq_timedreceive, copy, RESULT(1, 2, 1), OUT(3, 4), IN(4, 16)),
	ROW(mq_notify, copy, IN(1, 64)),
	ROW(mq_getsetattr, copy, IN(1, 64), OUT(2, 64)),
	ROW(add_key, copy, TEXT(0), TEXT(1), MOST(2, IN, TIMES, 3, 1, KEY)),
	ROW(request_key, copy, TEXT(0), TEXT(1), TEXT(2)),
	ROW(keyctl, keyctl, SPECIAL(1), SPECIAL(2), SPECIAL(3), SPECIAL(4)),

	/* memory: what is said of it, not the memory */
	ROW(mincore, copy, ARG(2, OUT, PAGES, 1, 0)),
	ROW(mbind, copy, IN_BITS(3, 4)),
	ROW(set_mempolicy, copy, IN_BITS(1, 2)),
	ROW(get_mempolicy, copy, OUT(0, 4), MOST(1, INOUT, BITS, 2, 0, NODES)),
	ROW(migrate_pages, copy, IN_BITS(2, 1), IN_BITS(3, 1)),
	ROW(move_pages, copy, IN_N(2, 1, 8), IN_N(3, 1, 4), INOUT_N(4, 1, 4)),
	ROW(process_madvise, copy, MOST(1, IN, TIMES, 2, 16, VECTORS)),

	/* the machine */
	ROW(uname, copy, OUT(0, 390)),
	ROW(sysinfo, copy, OUT(0, 112)),
	ROW(syslog, copy, RESULT(1, 2, 1)),
	ROW(sethostname, copy, MOST(0, IN, TIMES, 1, 1, 64)),
	ROW(setdomainname, copy, MOST(0, IN, TIMES, 1, 1, 64)),
	ROW(reboot, copy, TEXT(3)),
	ROW(getrandom, copy, RESULT(0, 1, 1)),
	ROW(init_module, copy, IN_N(0, 1, 1), TEXT(2)),
	ROW(finit_module, copy, TEXT(1)),
	ROW(delete_module, copy, TEXT(0)),
	ROW(kexec_load, pin, SPECIAL(2)),

	/* what the kernel uses after the call has returned: see door/filter.c */
	ROW(io_setup, copy, INOUT(1, 8)),
	ROW(io_getevents, copy, RESULT(3, 2, 32), IN(4, 16)),
	ROW(io_pgetevents, pselect, RESULT(3, 2, 32), IN(4, 16), SPECIAL(5)),
	ROW(io_submit, pin, SPECIAL(2)),
	ROW(io_cancel, pin, SPECIAL(1), OUT(2, 32)),
	ROW(io_uring_setup, copy, INOUT(1, 120)),
	ROW(io_uring_enter, pin, SPECIAL(4)),
	ROW(io_uring_register, pin, SPECIAL(2)),
#ifdef __NR_kexec_file_load
	ROW(kexec_file_load, copy, IN_N(3, 2, 1)),
#endif
#ifdef __NR_cachestat
	ROW(cachestat, copy, IN(1, 16), OUT(2, 40)),
#endif
#ifdef __NR_fchmodat2
	ROW(fchmodat2, copy, TEXT(1)),
#endif
	/* newer ones, whether the headers know them or not */
	NEW(454, futex_wake, futex2, SPECIAL(0)),
	NEW(455, futex_wait, futex2, SPECIAL(0), IN(4, 16)),
	NEW(456, futex_requeue, futexes, IN(0, 48)),
	NEW(457, statmount, copy, INOUT_HEADED(0, 0, 0),
	    MOST(1, INOUT, TIMES, 2, 1, OPTION)),
	NEW(458, listmount, copy, IN_HEADED(0, 0, 0), RESULT(1, 2, 8)),
	NEW(459, lsm_get_self_attr, copy, POINTED(1, 2, OPTION)),
	NEW(460, lsm_set_self_attr, copy, VERSIONED(1, IN, 2)),
	NEW(461, lsm_list_modules, copy, POINTED(0, 1, OPTION)),
	NEW(463, setxattrat, xattrat, TEXT(1), TEXT(3), SPECIAL(4)),
	NEW(464, getxattrat, xattrat, TEXT(1), TEXT(3), SPECIAL(4)),
	NEW(465, listxattrat, copy, TEXT(1), MOST(3, OUT, RESULT, 4, 1, XATTR)),
	NEW(466, removexattrat, copy, TEXT(1), TEXT(3)),
	NEW(467, open_tree_attr, copy, TEXT(1), VERSIONED(3, IN, 4)),
	NEW(468, file_getattr, copy, TEXT(1), VERSIONED(2, INOUT, 3)),
	NEW(469, file_setattr, copy, TEXT(1), VERSIONED(2, IN, 3)),
	NEW(470, listns, copy, IN_HEADED(0, 0, 0), RESULT(1, 2, 8)),
#ifdef __NR_open /* x86 */
	ROW(open, copy, TEXT(0)),
	ROW(creat, copy, TEXT(0)),
	ROW(stat, copy, TEXT(0), OUT(1, sizeof(struct stat))),
	ROW(lstat, copy, TEXT(0), OUT(1, sizeof(struct stat))),
	ROW(access, copy, TEXT(0)),
	ROW(rename, copy, TEXT(0), TEXT(1)),
	ROW(mkdir, copy, TEXT(0)),
	ROW(rmdir, copy, TEXT(0)),
	ROW(link, copy, TEXT(0), TEXT(1)),
	ROW(unlink, copy, TEXT(0)),
	ROW(symlink, copy, TEXT(0), TEXT(1)),
	ROW(readlink, copy, TEXT(0), MOST(1, OUT, RESULT, 2, 1, PATH)),
	ROW(chmod, copy, TEXT(0)),
	ROW(chown, copy, TEXT(0)),
	ROW(lchown, copy, TEXT(0)),
	ROW(utime, copy, TEXT(0), IN(1, 16)),
	ROW(utimes, copy, TEXT(0), IN(1, 32)),
	ROW(futimesat, copy, TEXT(1), IN(2, 32)),
	ROW(mknod, copy, TEXT(0)),
	ROW(uselib, copy, TEXT(0)),
	ROW(ustat, copy, OUT(1, 32)),
	ROW(sysfs, pin, SPECIAL(1), SPECIAL(2)),
	ROW(getdents, copy, RESULT(1, 2, 1)),
	ROW(pipe, copy, OUT(0, 8)),
	ROW(poll, poll, SPECIAL(0)),
	ROW(select, copy, FD_SET_OF(1, 0), FD_SET_OF(2, 0), FD_SET_OF(3, 0),
	    INOUT(4, 16)),
	ROW(epoll_wait, copy, RESULT(1, 2, EVENT)),
	ROW(signalfd, copy, SIGNALS(1, 2)),
	ROW(time, copy, OUT(0, 8)),
	ROW(arch_prctl, arch_prctl, SPECIAL(1)),
	ROW(modify_ldt, copy, MOST(1, INOUT, TIMES, 2, 1, 65536)),
#endif
};
/* clang-format on */

/* No pointers, or only such that say where memory is mapped. */
static const short plain[] = {
	__NR_close,
	__NR_lseek,
	__NR_mmap,
	__NR_mprotect,
	__NR_munmap,
	__NR_brk,
	__NR_rt_sigreturn,
	__NR_sched_yield,
	__NR_mremap,
	__NR_msync,
	__NR_madvise,
	__NR_shmget,
	__NR_shmat,
	__NR_dup,
	__NR_getpid,
	__NR_socket,
	__NR_shutdown,
	__NR_listen,
	__NR_clone,
	__NR_exit,
	__NR_kill,
	__NR_semget,
	__NR_shmdt,
	__NR_msgget,
	__NR_flock,
	__NR_fsync,
	__NR_fdatasync,
	__NR_ftruncate,
	__NR_fchdir,
	__NR_fchmod,
	__NR_fchown,
	__NR_umask,
	__NR_getuid,
	__NR_getgid,
	__NR_setuid,
	__NR_setgid,
	__NR_geteuid,
	__NR_getegid,
	__NR_setpgid,
	__NR_getppid,
	__NR_setsid,
	__NR_setreuid,
	__NR_setregid,
	__NR_setresuid,
	__NR_setresgid,
	__NR_getpgid,
	__NR_setfsuid,
	__NR_setfsgid,
	__NR_getsid,
	__NR_personality,
	__NR_getpriority,
	__NR_setpriority,
	__NR_sched_getscheduler,
	__NR_sched_get_priority_max,
	__NR_sched_get_priority_min,
	__NR_mlock,
	__NR_munlock,
	__NR_mlockall,
	__NR_munlockall,
	__NR_vhangup,
	__NR_sync,
	__NR_gettid,
	__NR_readahead,
	__NR_tkill,
	__NR_io_destroy,
	__NR_remap_file_pages,
	__NR_restart_syscall,
	__NR_fadvise64,
	__NR_timer_getoverrun,
	__NR_timer_delete,
	__NR_exit_group,
	__NR_tgkill,
	__NR_ioprio_set,
	__NR_ioprio_get,
	__NR_inotify_rm_watch,
	__NR_unshare,
	__NR_tee,
	__NR_sync_file_range,
	__NR_timerfd_create,
	__NR_fallocate,
	__NR_eventfd2,
	__NR_epoll_create1,
	__NR_dup3,
	__NR_inotify_init1,
	__NR_fanotify_init,
	__NR_syncfs,
	__NR_setns,
	__NR_kcmp,
	__NR_userfaultfd,
	__NR_membarrier,
	__NR_mlock2,
	__NR_pkey_mprotect,
	__NR_pkey_alloc,
	__NR_pkey_free,
	__NR_fsmount,
	__NR_pidfd_open,
	__NR_clone3,
	__NR_close_range,
	__NR_pidfd_getfd,
	__NR_landlock_restrict_self,
	__NR_process_mrelease,
	__NR_getpgid,
	__NR_nfsservctl,
	__NR_lookup_dcookie,
#ifdef __NR_memfd_secret
	__NR_memfd_secret,
#endif
#ifdef __NR_set_mempolicy_home_node
	__NR_set_mempolicy_home_node,
#endif
#ifdef __NR_map_shadow_stack
	__NR_map_shadow_stack,
#endif
	462,	 /* mseal */
#ifdef __NR_open /* x86 */
	__NR_dup2,
	__NR_pause,
	__NR_alarm,
	__NR_fork,
	__NR_vfork,
	__NR_getpgrp,
	__NR__sysctl,
	__NR_iopl,
	__NR_ioperm,
	__NR_create_module,
	__NR_get_kernel_syms,
	__NR_query_module,
	__NR_getpmsg,
	__NR_putpmsg,
	__NR_afs_syscall,
	__NR_tuxcall,
	__NR_security,
	__NR_set_thread_area,
	__NR_get_thread_area,
	__NR_epoll_create,
	__NR_epoll_ctl_old,
	__NR_epoll_wait_old,
	__NR_vserver,
	__NR_inotify_init,
	__NR_eventfd,
#endif
};

const struct call *call_find(long nr)
{
	return nr >= 0 && nr < CALLS_END && calls[nr].name ? &calls[nr] : NULL;
}

bool call_is_plain(long nr)
{
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(plain); i++)
		if (plain[i] == nr)
			return true;
	return false;
}
