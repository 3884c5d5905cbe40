/* SPDX-License-Identifier: MIT */
/*
 * live/door.c - every system call of the door's table, as an ordinary user:
 * once with plain memory, and then with each of its buffers, and all of them, in
 * pages that are absent. Result, errno and what is in the buffers must be the
 * same; so with buffers that are not there, or only their beginning is. Each
 * by a trap, and by vvm_syscall().
 *
 * A call of the table that has no case here is a failure.
 */
#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "door/table.h"
#include "support/frames.h"
#include "support/live.h"
#include "support/nobody.h"
#include "support/random.h"
#include "support/test.h"

#define BUDGET	  16
#define SLOT	  (4 * LIVE_PAGE) /* of one argument, and a page that is not there */
#define ARGS	  6
#define OUT_PAGES 24

/* ---- what the cases use; made anew before each call ---- */

static int file, fds[2], pair[2], dgram[2], nofd = -1, epoll_fd, timer_fd;
static int inotify_fd, directory, pty, self, filtered, listening;
static char *room;     /* paged, ARGS slots */
static char *plain;    /* the same, not paged */
static char *pressure; /* pushes the others out */

static void refill(void)
{
	char sink[4096];

	live_equal(ftruncate(file, 0), 0);
	live_equal(pwrite(file, "0123456789abcdef", 16, 0), 16);
	live_equal(lseek(file, 0, SEEK_SET), 0);
	while (read(fds[0], sink, sizeof(sink)) > 0)
		;
	live_equal(write(fds[1], "in the pipe", 11), 11);
	while (recv(pair[0], sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
	while (recv(dgram[0], sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
	live_equal(send(pair[1], "in the socket", 13, 0), 13);
	live_equal(send(dgram[1], "one datagram", 12, 0), 12);
	live_equal(send(dgram[1], "another", 7, 0), 7);
	lseek(directory, 0, SEEK_SET);
	errno = 0;
}

/* Its filter has 5 instructions; a group has four sources. */
static void open_sockets(void)
{
	static struct sock_filter text[] = {
		BPF_STMT(BPF_LD | BPF_IMM, 1), BPF_STMT(BPF_LD | BPF_IMM, 2),
		BPF_STMT(BPF_LD | BPF_IMM, 3), BPF_STMT(BPF_LD | BPF_IMM, 4),
		BPF_STMT(BPF_RET | BPF_K, 0xffff)};
	struct sock_fprog program = {LIVE_LEN(text), text};
	struct ip_mreq_source group = {.imr_multiaddr.s_addr = 0x010101ef,
				       .imr_interface.s_addr = 0x0100007f};

	filtered = socket(AF_UNIX, SOCK_DGRAM, 0);
	live_equal(setsockopt(filtered, SOL_SOCKET, SO_ATTACH_FILTER, &program,
			      sizeof(program)),
		   0);
	listening = socket(AF_INET, SOCK_DGRAM, 0);
	for (unsigned i = 1; i <= 4; i++) { /* without a network it fails */
		group.imr_sourceaddr.s_addr = i << 24 | 10;
		setsockopt(listening, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP,
			   &group, sizeof(group));
	}
}

static void open_all(void)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = 77};
	char name[] = "/var/tmp/vvm-door-XXXXXX";

	file = mkstemp(name);
	live_check(file >= 0);
	unlink(name);
	live_equal(pipe2(fds, O_NONBLOCK), 0);
	live_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	live_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, dgram), 0);
	epoll_fd = epoll_create1(0);
	live_equal(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[0], &e), 0);
	timer_fd = timerfd_create(CLOCK_MONOTONIC, 0);
	inotify_fd = inotify_init1(IN_NONBLOCK);
	directory = open("/proc/self/attr", O_RDONLY | O_DIRECTORY);
	pty = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	self = (int)getpid();
	open_sockets();
}

/* ---- the table of cases ---- */

struct arg {
	char kind; /* v: value, f: the int there, b: buffer, e: nothing */
	long value;
	const void *what; /* what is in the buffer; NULL: zeros */
	size_t bytes;
};

struct trial {
	long nr;
	const char *name;
	bool loose; /* what comes back differs from call to call */
	struct arg arg[ARGS];
};

#define V(x)                            \
	{                               \
		'v', (long)(x), NULL, 0 \
	}
#define F(fd)                    \
	{                        \
		'f', 0, &(fd), 0 \
	}
#define T(text)                            \
	{                                  \
		'b', 0, text, sizeof(text) \
	}
#define B(text)                                \
	{                                      \
		'b', 0, text, sizeof(text) - 1 \
	}
#define Z(n)                    \
	{                       \
		'b', 0, NULL, n \
	}
#define W(...)                                                  \
	{                                                       \
		'b', 0, (const uint64_t[]){__VA_ARGS__},        \
			sizeof((const uint64_t[]){__VA_ARGS__}) \
	}
#define N(...)                                                  \
	{                                                       \
		'b', 0, (const uint32_t[]){__VA_ARGS__},        \
			sizeof((const uint32_t[]){__VA_ARGS__}) \
	}
#define DO(n, ...)                   \
	{                            \
		__NR_##n, #n, false, \
		{                    \
			__VA_ARGS__  \
		}                    \
	}
/* What the headers may not have. */
#define NEW(nr, n, ...)             \
	{                           \
		nr, n, false,       \
		{                   \
			__VA_ARGS__ \
		}                   \
	}
#define LOOSE(n, ...)               \
	{                           \
		__NR_##n, #n, true, \
		{                   \
			__VA_ARGS__ \
		}                   \
	}

/* clang-format off: a row is a line */
static const struct trial trials[] = {
	DO(read, F(file), Z(16), V(16)),
	DO(read, F(file), Z(5000), V(5000)),
	DO(read, F(fds[0]), Z(64), V(64)),
	DO(read, F(nofd), Z(64), V(64)),
	DO(read, F(directory), Z(64), V(64)),
	DO(read, F(file), V(0), V(8)),
	DO(read, F(file), Z(16), V(-1)),
	DO(read, F(file), Z(16), V(LONG_MAX)),
	DO(read, F(file), Z(16), V(1L << 62)),
	DO(read, F(file), Z(16), V(1L << 33)),
	DO(pread64, F(file), Z(16), V(-1), V(0)),
	DO(write, F(file), B("written"), V(-1)),
	DO(write, F(file), B("written"), V(LONG_MAX)),
	DO(write, F(fds[1]), B("written"), V(-1)),
	DO(write, F(nofd), B("written"), V(-1)),
	DO(pwrite64, F(file), B("written"), V(-1), V(3)),
	DO(sendto, F(pair[1]), B("sent"), V(-1), V(0), V(0), V(0)),
	DO(readv, F(file), W(0x1000, -1), V(1)),
	DO(writev, F(file), W(0x1000, 1L << 62, 0, 0), V(2)),
	DO(writev, F(file), W(0x1000, 4, 0x1000, -1), V(2)),
	DO(sendmsg, F(pair[1]), W(0, 0, 0, 0, 0, 0, 0), V(0)),
	DO(write, F(file), B("written"), V(7)),
	DO(write, F(fds[1]), B("more"), V(4)),
	DO(write, F(nofd), B("more"), V(4)),
	DO(pread64, F(file), Z(8), V(8), V(4)),
	DO(pwrite64, F(file), B("patch"), V(5), V(100)),
	DO(readv, F(nofd), Z(32), V(2)),
	DO(writev, F(nofd), Z(32), V(2)),
	DO(readv, F(file), Z(32), V(2)),
	DO(readv, F(file), Z(32), V(0)),
	DO(readv, F(file), Z(32), V(2000)),
	DO(writev, F(file), W(0, -1), V(1)),
	DO(preadv, F(file), Z(32), V(2), V(0), V(0)),
	DO(pwritev, F(file), Z(32), V(2), V(0), V(0)),
	DO(preadv2, F(file), Z(32), V(2), V(-1), V(0), V(0)),
	DO(pwritev2, F(file), Z(32), V(2), V(-1), V(0), V(0)),
	DO(vmsplice, F(fds[1]), W(0, 0), V(1), V(0)),
	DO(process_vm_readv, F(self), W(0, 0), V(1), W(0, 0), V(1), V(0)),
	DO(process_vm_writev, F(self), W(0, 0), V(1), W(0, 0), V(1), V(0)),
	DO(sendto, F(pair[1]), B("sent"), V(4), V(0), V(0), V(0)),
	DO(sendto, F(dgram[1]), B("sent"), V(4), V(0), T("\1\0nobody"), V(8)),
	DO(sendto, F(dgram[1]), B("sent"), V(4), V(0), T("\1\0nobody"), V(-1)),
	DO(recvfrom, F(pair[0]), Z(64), V(64), V(MSG_DONTWAIT), Z(64), N(64)),
	DO(recvfrom, F(dgram[0]), Z(4), V(4), V(MSG_DONTWAIT | MSG_TRUNC), V(0),
	   V(0)),
	DO(recvfrom, F(pair[0]), Z(8), V(8), V(MSG_PEEK), V(0), V(0)),
	DO(sendmsg, F(pair[1]), Z(56), V(0)),
	DO(recvmsg, F(dgram[0]), Z(56), V(MSG_DONTWAIT)),
	DO(sendmmsg, F(dgram[1]), Z(128), V(2), V(0)),
	DO(recvmmsg, F(dgram[0]), Z(128), V(2), V(MSG_DONTWAIT), V(0)),
	DO(recvmmsg, F(nofd), Z(128), V(2), V(0), W(1, 0)),
	DO(recvmmsg, F(nofd), Z(128), V(2), V(0), W(1, -1)),
	DO(sendfile, F(pair[1]), F(file), W(3), V(4)),
	DO(splice, F(file), W(2), F(fds[1]), V(0), V(3), V(0)),
	DO(copy_file_range, F(file), W(1), F(file), W(64), V(4), V(0)),
	DO(openat, V(AT_FDCWD), T("/no such file"), V(O_RDONLY), V(0)),
	DO(openat2, V(AT_FDCWD), T("/no such file"), W(0, 0, 0), V(24)),
	DO(newfstatat, V(AT_FDCWD), T("/dev/null"), Z(144), V(0)),
	DO(statx, V(AT_FDCWD), T("/dev/null"), V(0), V(0x7ff), Z(256)),
	DO(truncate, T("/no such file"), V(0)),
	DO(chdir, T("/")),
	DO(mkdirat, V(AT_FDCWD), T("/proc/none"), V(0700)),
	DO(mknodat, V(AT_FDCWD), T("/proc/none"), V(S_IFIFO), V(0)),
	DO(unlinkat, V(AT_FDCWD), T("/proc/none"), V(0)),
	DO(renameat, V(AT_FDCWD), T("/none"), V(AT_FDCWD), T("/none2")),
	DO(renameat2, V(AT_FDCWD), T("/none"), V(AT_FDCWD), T("/none2"), V(0)),
	DO(linkat, V(AT_FDCWD), T("/none"), V(AT_FDCWD), T("/none2"), V(0)),
	DO(symlinkat, T("x"), V(AT_FDCWD), T("/proc/none")),
	DO(readlinkat, V(AT_FDCWD), T("/proc/self/root"), Z(64), V(64)),
	DO(fchownat, V(AT_FDCWD), T("/none"), V(-1), V(-1), V(0)),
	DO(fchmodat, V(AT_FDCWD), T("/none"), V(0)),
	DO(faccessat, V(AT_FDCWD), T("/dev/null"), V(R_OK)),
	DO(faccessat2, V(AT_FDCWD), T("/dev/null"), V(R_OK), V(0)),
	DO(utimensat, V(AT_FDCWD), T("/none"), W(1, 2, 3, 4), V(0)),
	DO(statfs, T("/proc"), Z(120)),
	DO(chroot, T("/")),
	DO(acct, T("/none")),
	DO(pivot_root, T("/none"), T("/none")),
	DO(mount, T("none"), T("/none"), T("tmpfs"), V(0), T("size=1")),
	DO(umount2, T("/none"), V(0)),
	DO(swapon, T("/none"), V(0)),
	DO(swapoff, T("/none")),
	DO(quotactl, V(0x80000100 | 0), T("/none"), V(0), Z(256)),
	DO(quotactl, V(0x80000200 | 0), T("/none"), V(1), T("/none")),
	DO(quotactl, V(0x80001300 | 0), T("/none"), V(0), Z(256)),
	DO(quotactl_fd, F(nofd), V(0), V(0), Z(256)),
	DO(quotactl_fd, F(nofd), V(0x80000100), V(0), Z(256)),
	DO(inotify_add_watch, F(inotify_fd), T("/"), V(IN_CREATE)),
	DO(fanotify_mark, F(nofd), V(1), V(1), V(AT_FDCWD), T("/")),
	LOOSE(name_to_handle_at, V(AT_FDCWD), T("/"), N(0, 0), Z(8), V(0)),
	DO(open_by_handle_at, V(AT_FDCWD), N(8, 1, 2, 3), V(0)),
	DO(open_tree, V(AT_FDCWD), T("/none"), V(0)),
	DO(move_mount, V(AT_FDCWD), T("/none"), V(AT_FDCWD), T("/none"), V(0)),
	DO(fsopen, T("tmpfs"), V(0)),
	DO(fsconfig, F(nofd), V(0), T("key"), V(0), V(0)),
	DO(fspick, V(AT_FDCWD), T("/none"), V(0)),
	DO(mount_setattr, V(AT_FDCWD), T("/none"), V(0), Z(32), V(32)),
	DO(setxattr, T("/none"), T("user.a"), B("value"), V(5), V(0)),
	DO(lsetxattr, T("/none"), T("user.a"), B("value"), V(5), V(0)),
	DO(fsetxattr, F(file), T("user.a"), B("value"), V(5), V(0)),
	DO(getxattr, T("/none"), T("user.a"), Z(64), V(64)),
	DO(lgetxattr, T("/none"), T("user.a"), Z(64), V(64)),
	DO(fgetxattr, F(file), T("user.a"), Z(64), V(64)),
	DO(listxattr, T("/none"), Z(64), V(64)),
	DO(llistxattr, T("/none"), Z(64), V(64)),
	DO(flistxattr, F(file), Z(64), V(64)),
	DO(removexattr, T("/none"), T("user.a")),
	DO(lremovexattr, T("/none"), T("user.a")),
	DO(fremovexattr, F(file), T("user.none")),
	LOOSE(fstat, F(file), Z(144)),
	LOOSE(fstatfs, F(file), Z(120)),
	DO(getdents64, F(directory), Z(1024), V(1024)),
	DO(getdents64, F(directory), Z(4), V(4)),
	DO(getcwd, Z(256), V(256)),
	DO(getcwd, Z(1), V(1)),
	DO(ioctl, F(fds[0]), V(0x541b /* FIONREAD */), Z(4)),
	DO(ioctl, F(pty), V(0x5401 /* TCGETS */), Z(36)),
	DO(ioctl, F(pty), V(0x5413 /* TIOCGWINSZ */), Z(8)),
	DO(ioctl, F(file), V(0x5401 /* TCGETS */), Z(36)),
	DO(ioctl, F(pty), V(0x80045430 /* TIOCGPTN */), Z(4)),
	DO(ioctl, F(file), V(0x80086601 /* FS_IOC_GETFLAGS */), Z(8)),
	DO(ioctl, F(file), V(0xc0207f7f), Z(32)),
	DO(fcntl, F(file), V(F_GETLK), N(F_WRLCK, 0, 0, 0, 0, 0, 0, 0)),
	DO(fcntl, F(file), V(F_SETLK), N(F_WRLCK, 0, 0, 0, 0, 0, 0, 0)),
	DO(fcntl, F(file), V(F_OFD_GETLK), N(F_RDLCK, 0, 0, 0, 0, 0, 0, 0)),
	DO(fcntl, F(pair[0]), V(F_GETOWN_EX), Z(8)),
	DO(fcntl, F(pair[0]), V(F_SETOWN_EX), Z(8)),
	LOOSE(memfd_create,
	      T("a name longer than all others that have been here: "
		"............................................."
		"............................................."
		"............................................."
		"............................................."
		"............................................."),
	      V(0)),
	DO(ppoll, Z(8), V(1 << 28), W(0, 0), W(0), V(8)),
	LOOSE(ppoll, Z(8), V(1), W(0, 1000), W(0), V(8)),
	DO(ppoll, Z(16), V(-1), V(0), V(0), V(8)),
	DO(pselect6, V(1), W(0), W(1), W(0), W(0, 0), W(0, 8)),
	DO(pselect6, V(-1), W(1), V(0), V(0), W(0, 0), V(0)),
	DO(epoll_ctl, F(epoll_fd), V(EPOLL_CTL_MOD), F(fds[0]),
	   N(EPOLLIN, 5, 0)),
	DO(epoll_pwait, F(epoll_fd), Z(48), V(4), V(0), W(0), V(8)),
	DO(epoll_pwait2, F(epoll_fd), Z(48), V(4), W(0, 0), W(0), V(8)),
	DO(signalfd4, F(nofd), W(0), V(8), V(-1)),
	DO(timerfd_settime, F(timer_fd), V(0), W(0, 0, 0, 0), Z(32)),
	DO(timerfd_gettime, F(timer_fd), Z(32)),
	DO(futex, N(1), V(FUTEX_WAIT_PRIVATE), V(0), W(1, 0)),
	DO(futex, N(0), V(FUTEX_WAIT_PRIVATE), V(0), W(0, 1000)),
	DO(futex, N(0), V(FUTEX_WAIT), V(0), W(0, 1000)),
	DO(futex, N(0), V(FUTEX_WAKE), V(1)),
	DO(futex, N(0), V(FUTEX_WAKE_PRIVATE), V(1)),
	DO(futex, N(3), V(FUTEX_CMP_REQUEUE_PRIVATE), V(1), V(1), N(0), V(3)),
	DO(futex, N(3), V(FUTEX_CMP_REQUEUE_PRIVATE), V(1), V(1), N(0), V(4)),
	DO(futex, N(3), V(FUTEX_WAKE_OP_PRIVATE), V(1), V(1), N(7),
	   V(FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_EQ, 1))),
	DO(futex, N(0), V(FUTEX_TRYLOCK_PI_PRIVATE), V(0)),
	DO(futex, N(0), V(FUTEX_UNLOCK_PI_PRIVATE), V(0)),
	DO(futex, N(0), V(FUTEX_LOCK_PI_PRIVATE), V(0), W(0, 1000)),
	DO(futex_waitv, W(1, 0, 0), V(1), V(0), V(0), V(0)),
	DO(futex_waitv, W(1, 0, 0), V(129), V(0), V(0), V(0)),
	NEW(454, "futex_wake", N(0), V(-1), V(1), V(2)),
	NEW(454, "futex_wake", N(0), V(-1), V(1), V(0x82)),
	NEW(455, "futex_wait", N(5), V(4), V(-1), V(2), W(1, 0), V(1)),
	NEW(455, "futex_wait", N(5), V(5), V(-1), V(0x82), W(0, 1), V(1)),
	NEW(456, "futex_requeue", W(1, 0, 0, 0, 0, 0), V(0), V(0), V(1)),
	DO(connect, F(pair[0]), T("\1\0/none"), V(8)),
	DO(bind, F(pair[0]), T("\1\0/no/ne"), V(9)),
	DO(accept, F(pair[0]), Z(64), N(64)),
	DO(accept4, F(pair[0]), Z(64), N(64), V(0)),
	DO(getsockname, F(pair[0]), Z(64), N(64)),
	DO(getsockname, F(pair[0]), Z(64), N(-1)),
	DO(getpeername, F(pair[0]), Z(64), N(1)),
	DO(setsockopt, F(pair[0]), V(SOL_SOCKET), V(SO_PASSCRED), N(1), V(4)),
	DO(setsockopt, F(pair[0]), V(SOL_SOCKET), V(26), W(1, 0), V(16)),
	DO(getsockopt, F(pair[0]), V(SOL_SOCKET), V(SO_TYPE), Z(16), N(16)),
	DO(getsockopt, F(pair[0]), V(SOL_SOCKET), V(SO_TYPE), Z(16), N(-1)),
	DO(getsockopt, F(pair[0]), V(SOL_SOCKET), V(SO_PEERCRED), Z(64), N(64)),
	DO(getsockopt, F(filtered), V(SOL_SOCKET), V(26), Z(64), N(8)),
	DO(getsockopt, F(filtered), V(SOL_SOCKET), V(26), Z(64), N(64)),
	DO(getsockopt, F(filtered), V(SOL_SOCKET), V(26), Z(64), N(2)),
	DO(getsockopt, F(filtered), V(SOL_SOCKET), V(26), Z(64), N(0)),
	DO(getsockopt, F(pair[0]), V(SOL_SOCKET), V(26), Z(64), N(8)),
	DO(getsockopt, F(listening), V(0), V(41 /* IP_MSFILTER */),
	   N(0x010101ef, 0x0100007f, 1, 8, 0, 0, 0, 0, 0, 0, 0, 0), N(16)),
	DO(getsockopt, F(listening), V(0), V(1 /* IP_TOS */), Z(4), N(4)),
	DO(getsockopt, F(listening), V(132 /* SCTP */), V(1), Z(64), N(64)),
	DO(setsockopt, F(listening), V(SOL_PACKET), V(22), W(1, 0), V(16)),
	DO(execve, T("/no such program"), W(0), W(0)),
	DO(execveat, V(AT_FDCWD), T("/no such program"), W(0), W(0), V(0)),
	DO(wait4, V(-1), Z(4), V(0), Z(144)),
	DO(waitid, V(P_ALL), V(0), Z(128), V(WEXITED | WNOHANG), Z(144)),
	LOOSE(getrusage, V(0), Z(144)),
	DO(prlimit64, V(0), V(7), V(0), Z(16)),
	LOOSE(prlimit64, V(0), V(4), W(0, 0), Z(16)),
	DO(getrlimit, V(7), Z(16)),
	DO(setrlimit, V(4), W(0, 0)),
	LOOSE(times, Z(32)),
	DO(getgroups, V(16), Z(64)),
	DO(setgroups, V(1), N(5)),
	DO(getresuid, Z(4), Z(4), Z(4)),
	DO(getresgid, Z(4), Z(4), Z(4)),
	DO(capget, N(0x20080522, 0), Z(24)),
	DO(capget, N(7, 0), Z(24)),
	DO(capset, N(0x20080522, 0), Z(24)),
	DO(prctl, V(PR_SET_NAME), T("paged")),
	DO(prctl, V(PR_GET_NAME), Z(16)),
	DO(prctl, V(PR_GET_PDEATHSIG), Z(4)),
	DO(prctl, V(PR_SET_SECCOMP), V(2), W(0, 0)),
	DO(prctl, V(0x41555856 /* PR_GET_AUXV */), Z(64), V(64), V(0), V(0)),
	DO(prctl, V(0x41555856), Z(2048), V(2048), V(0), V(0)),
	DO(ptrace, V(0x4201 /* GETEVENTMSG */), F(self), V(0), Z(8)),
	DO(ptrace, V(0x4209 /* PEEKSIGINFO */), F(self), W(0, 1L << 32),
	   Z(128)),
	DO(sched_setparam, V(0), N(0)),
	DO(sched_getparam, V(0), Z(4)),
	DO(sched_setscheduler, V(0), V(0), N(0)),
	LOOSE(sched_rr_get_interval, V(0), Z(16)),
	DO(sched_getaffinity, V(0), V(128), Z(128)),
	DO(sched_setaffinity, V(0), V(128), Z(128)),
	DO(sched_getattr, V(0), Z(64), V(64), V(0)),
	DO(sched_setattr, V(0), N(48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), V(0)),
	LOOSE(getcpu, Z(4), Z(4), V(0)),
	DO(get_robust_list, V(0), Z(8), Z(8)),
	DO(set_robust_list, W(0, 0, 0), V(1)),
	DO(rseq, Z(32), V(1), V(0), V(0)),
	DO(seccomp, V(2), V(0), N(0)),
	DO(seccomp, V(3), V(0), Z(6)),
	DO(landlock_create_ruleset, W(0), V(8), V(0)),
	DO(landlock_add_rule, F(nofd), V(1), W(0, 0), V(0)),
	DO(perf_event_open, N(99, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	   V(-1), V(-1), V(-1), V(0)),
	DO(bpf, V(99), Z(64), V(64)),
	DO(rt_sigaction, V(SIGUSR2), V(0), Z(32), V(8)),
	DO(rt_sigaction, V(SIGKILL), W(1, 0, 0, 0), Z(32), V(8)),
	DO(rt_sigprocmask, V(SIG_BLOCK), W(512), Z(8), V(8)),
	DO(rt_sigprocmask, V(99), W(512), Z(8), V(8)),
	DO(rt_sigpending, Z(8), V(8)),
	DO(rt_sigtimedwait, W(0x80000), Z(128), W(0, 0), V(8)),
	DO(rt_sigqueueinfo, F(self), V(0), Z(128)),
	DO(rt_tgsigqueueinfo, F(self), F(self), V(0), Z(128)),
	DO(rt_sigsuspend, Z(8), V(4)),
	DO(sigaltstack, V(0), Z(24)),
	DO(sigaltstack, W(0, 2, 0), Z(24)),
	DO(sigaltstack, W(4096, 0, 100), Z(24)),
	DO(sigaltstack, W(4096, 77, 100000), Z(24)),
	DO(pidfd_send_signal, F(nofd), V(0), Z(128), V(0)),
	DO(nanosleep, W(0, 1000), Z(16)),
	DO(nanosleep, W(0, -1), Z(16)),
	DO(clock_nanosleep, V(0), V(0), W(0, 1000), Z(16)),
	LOOSE(clock_gettime, V(1), Z(16)),
	DO(clock_settime, V(1), W(0, 0)),
	DO(clock_getres, V(1), Z(16)),
	LOOSE(clock_adjtime, V(0), Z(208)),
	LOOSE(adjtimex, Z(208)),
	LOOSE(gettimeofday, Z(16), Z(8)),
	DO(settimeofday, W(0, -1), V(0)),
	DO(getitimer, V(0), Z(32)),
	DO(setitimer, V(0), Z(32), Z(32)),
	DO(timer_create, V(99), Z(64), Z(4)),
	DO(timer_settime, V(99), V(0), Z(32), Z(32)),
	DO(timer_gettime, V(99), Z(32)),
	DO(shmctl, V(99), V(IPC_STAT), Z(112)),
	DO(semop, V(99), Z(12), V(2)),
	DO(semtimedop, V(99), Z(12), V(2), W(0, 0)),
	DO(semctl, V(99), V(0), V(GETALL), Z(64)),
	DO(semctl, V(99), V(0), V(IPC_STAT), Z(128)),
	DO(msgsnd, V(99), T("\1\0\0\0\0\0\0\0text"), V(4), V(0)),
	DO(msgrcv, V(99), Z(64), V(56), V(0), V(IPC_NOWAIT)),
	DO(msgctl, V(99), V(IPC_STAT), Z(120)),
	DO(mq_open, T("no-such-queue"), V(O_RDONLY), V(0), Z(64)),
	DO(mq_unlink, T("no-such-queue")),
	DO(mq_timedsend, F(nofd), B("x"), V(1), V(0), W(0, 0)),
	DO(mq_timedreceive, F(nofd), Z(16), V(16), Z(4), W(0, 0)),
	DO(mq_notify, F(nofd), Z(64)),
	DO(mq_getsetattr, F(nofd), Z(64), Z(64)),
	DO(add_key, T("nonsense"), T("x"), B("y"), V(1), V(0)),
	DO(request_key, T("nonsense"), T("x"), V(0), V(0)),
	DO(keyctl, V(99), Z(8), V(0), V(0), V(0)),
	DO(keyctl, V(11 /* KEYCTL_READ */), V(-3), Z(8192), V(8192), V(0)),
	DO(keyctl, V(6 /* KEYCTL_DESCRIBE */), V(-3), Z(128), V(128), V(0)),
	DO(keyctl, V(2 /* KEYCTL_UPDATE */), V(-3), B("new"), V(3), V(0)),
	DO(mincore, V(0x1000), V(4096), Z(1)),
	DO(mbind, V(0), V(0), V(99), W(1), V(64), V(0)),
	DO(set_mempolicy, V(99), W(1), V(64)),
	DO(get_mempolicy, Z(4), W(0, 0), V(128), V(0), V(0)),
	DO(migrate_pages, V(0), V(64), W(1), W(1)),
	DO(move_pages, V(0), V(1), W(0), N(0), Z(4), V(0)),
	DO(process_madvise, F(nofd), W(0, 0), V(1), V(0), V(0)),
	DO(uname, Z(390)),
	LOOSE(sysinfo, Z(112)),
	DO(syslog, V(3), Z(16), V(16)),
	DO(sethostname, B("x"), V(1)),
	DO(setdomainname, B("x"), V(1)),
	DO(reboot, V(0), V(0), V(0xa1b2c3d4), T("x")),
	LOOSE(getrandom, Z(64), V(64), V(0)),
	DO(getrandom, Z(64), V(64), V(99)),
	DO(init_module, Z(64), V(64), T("")),
	DO(finit_module, F(nofd), T(""), V(0)),
	DO(delete_module, T("none"), V(0)),
	DO(kexec_load, V(0), V(0), V(0), V(0)),
	DO(kexec_file_load, F(nofd), F(nofd), V(5), T("root"), V(0)),
	DO(io_getevents, V(0), V(1), V(1), Z(32), W(0, 0)),
	DO(io_pgetevents, V(0), V(1), V(1), Z(32), W(0, 0), W(0, 8)),
	DO(io_submit, V(0), V(1), W(0)),
	DO(io_cancel, V(0), Z(64), Z(32)),
	DO(io_uring_enter, F(nofd), V(0), V(0), V(0), Z(8), V(8)),
	DO(io_uring_register, F(nofd), V(0), Z(16), V(1)),
	NEW(457, "statmount", W(24, 1, 2, 0), Z(512), V(512), V(0)),
	NEW(458, "listmount", W(24, -1, 0, 0), Z(64), V(8), V(0)),
	NEW(459, "lsm_get_self_attr", V(100), Z(256), N(256), V(0)),
	NEW(460, "lsm_set_self_attr", V(100), Z(32), V(32), V(0)),
	NEW(461, "lsm_list_modules", Z(128), N(128), V(0)),
	NEW(463, "setxattrat", V(AT_FDCWD), T("/none"), V(0), T("user.a"),
	    W(0, 0), V(16)),
	NEW(464, "getxattrat", V(AT_FDCWD), T("/none"), V(0), T("user.a"),
	    W(0, 0), V(16)),
	NEW(464, "getxattrat", V(AT_FDCWD), T("/none"), V(0), T("user.a"),
	    W(0, 0), V(5)),
	NEW(465, "listxattrat", F(file), T(""), V(0x1000), Z(64), V(64)),
	NEW(466, "removexattrat", F(file), T(""), V(0x1000), T("user.none")),
	NEW(467, "open_tree_attr", V(AT_FDCWD), T("/none"), V(0), Z(32), V(32)),
	NEW(468, "file_getattr", V(AT_FDCWD), T("/dev/null"), Z(24), V(24),
	    V(0)),
	NEW(469, "file_setattr", V(AT_FDCWD), T("/none"), Z(24), V(24), V(0)),
	NEW(470, "listns", N(32, 0, 0, 0, 0, 0, 0, 0), Z(64), V(8), V(0)),
#ifdef __NR_open
	DO(open, T("/no such file"), V(O_RDONLY)),
	DO(creat, T("/proc/none"), V(0600)),
	DO(stat, T("/dev/null"), Z(144)),
	DO(lstat, T("/dev/null"), Z(144)),
	DO(access, T("/dev/null"), V(R_OK)),
	DO(rename, T("/none"), T("/none2")),
	DO(mkdir, T("/proc/none"), V(0)),
	DO(rmdir, T("/proc/none")),
	DO(link, T("/none"), T("/none2")),
	DO(unlink, T("/none")),
	DO(symlink, T("x"), T("/proc/none")),
	DO(readlink, T("/proc/self/root"), Z(64), V(64)),
	DO(readlink, T("/proc/self/root"), Z(64), V(0)),
	DO(chmod, T("/none"), V(0)),
	DO(chown, T("/none"), V(-1), V(-1)),
	DO(lchown, T("/none"), V(-1), V(-1)),
	DO(utime, T("/none"), W(1, 2)),
	DO(utimes, T("/none"), W(1, 2, 3, 4)),
	DO(futimesat, V(AT_FDCWD), T("/none"), W(1, 2, 3, 4)),
	DO(mknod, T("/proc/none"), V(S_IFIFO), V(0)),
	DO(uselib, T("/none")),
	DO(ustat, V(99), Z(32)),
	DO(sysfs, V(1), T("proc"), V(0)),
	DO(getdents, F(directory), Z(1024), V(1024)),
	DO(poll, Z(8), V(1), V(0)),
	DO(poll, N(-1, 0x00010001, -1, 0x00070007), V(2), V(0)),
	DO(poll, Z(8), V(1 << 28), V(0)),
	DO(poll, Z(8), V(-1), V(0)),
	DO(select, V(1), W(0), W(1), W(0), W(0, 0)),
	DO(epoll_wait, F(epoll_fd), Z(48), V(4), V(0)),
	DO(signalfd, F(nofd), W(0), V(4)),
	LOOSE(time, Z(8)),
	DO(arch_prctl, V(0x1004), Z(8)),
	DO(modify_ldt, V(0), Z(64), V(64)),
#endif
};
/* clang-format on */

/* They give descriptors, change the thread, or do not return: others' tests. */
static const long elsewhere[] = {
	__NR_pipe2,	__NR_socketpair,     __NR_set_tid_address,
	__NR_io_setup,	__NR_io_uring_setup,
#ifdef __NR_pipe
	__NR_pipe,
#endif
#ifdef __NR_cachestat
	__NR_cachestat,
#endif
#ifdef __NR_fchmodat2
	__NR_fchmodat2,
#endif
};

/* ---- running one ---- */

enum shape { WHOLE, ABSENT, HALF }; /* of the buffer that is looked at */
enum maker { BY_TRAP, BY_CALL };

static char *slot(char *memory, unsigned i)
{
	return memory + i * (SLOT + LIVE_PAGE);
}

/* Where argument i's buffer begins: it ends with its slot. */
static char *place(char *memory, const struct trial *t, unsigned i)
{
	return slot(memory, i) + SLOT - t->arg[i].bytes;
}

static void push_out(void)
{
	/* or each would be read before it is written */
	live_ok(vvm_advise(vm, (uint64_t)(uintptr_t)pressure,
			   OUT_PAGES * LIVE_PAGE, VVM_ADV_DONTNEED));
	for (unsigned i = 0; i < OUT_PAGES; i++)
		live_fill(pressure + i * LIVE_PAGE, i, 1);
}

/*
 * Where argument i's buffer is in this run: bits of `set` say which are paged;
 * that of `odd` is of another shape.
 */
static long pointer(const struct trial *t, unsigned i, unsigned set, int odd,
		    enum shape shape)
{
	char *memory = set & 1u << i ? room : plain;

	if ((int)i != odd || shape == WHOLE)
		return (long)place(memory, t, i);
	if (shape == ABSENT)
		return (long)(slot(memory, i) + SLOT);
	return (long)(slot(memory, i) + SLOT - t->arg[i].bytes / 2);
}

/* What may be written to of its slot. */
static size_t room_of(const struct arg *arg)
{
	return (arg->bytes / LIVE_PAGE + 1) * LIVE_PAGE;
}

static void fill(const struct trial *t, char *memory)
{
	for (unsigned i = 0; i < ARGS; i++) {
		if (t->arg[i].kind != 'b')
			continue;
		memset(slot(memory, i) + SLOT - room_of(&t->arg[i]), 0,
		       room_of(&t->arg[i]));
		if (t->arg[i].what)
			memcpy(place(memory, t, i), t->arg[i].what,
			       t->arg[i].bytes);
	}
}

static long run(const struct trial *t, unsigned set, int odd, enum shape shape,
		enum maker maker)
{
	long a[ARGS], result;
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	fill(t, plain);
	if (set)
		fill(t, room);
	refill();
	for (unsigned i = 0; i < ARGS; i++) {
		const struct arg *arg = &t->arg[i];

		a[i] = arg->kind == 'b'	  ? pointer(t, i, set, odd, shape)
		       : arg->kind == 'f' ? *(const int *)arg->what
					  : arg->value;
	}
	if (set)
		push_out();
	errno = 0;
	if (maker == BY_CALL)
		result = vvm_syscall(t->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	else
		result = syscall(t->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (maker == BY_TRAP && result == -1)
		result = -errno;
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return result;
}

/* ---- all of one case ---- */

static char before[ARGS][SLOT];

static void remember(const struct trial *t)
{
	for (unsigned i = 0; i < ARGS; i++)
		if (t->arg[i].kind == 'b')
			memcpy(before[i],
			       slot(plain, i) + SLOT - room_of(&t->arg[i]),
			       room_of(&t->arg[i]));
}

static void compare(const struct trial *t, unsigned set, int odd,
		    enum shape shape, enum maker maker, long want, long got)
{
	bool same = got == want || (t->loose && got >= 0 && want >= 0);

	if (!same)
		live_fail("%s, paged %#x, argument %d of shape %d, by %d: %ld "
			  "is not %ld",
			  t->name, set, odd, shape, maker, got, want);
	/* what comes before the fault is copied or not */
	if (t->loose || want == -EFAULT)
		return;
	for (unsigned i = 0; i < ARGS; i++) {
		char *is = slot(set & 1u << i ? room : plain, i) + SLOT -
			   room_of(&t->arg[i]);

		if (t->arg[i].kind == 'b' &&
		    memcmp(is, before[i], room_of(&t->arg[i])) != 0)
			live_fail("%s, paged %#x, argument %d of shape %d, by "
				  "%d: buffer %u differs",
				  t->name, set, odd, shape, maker, i);
	}
}

static void try_set(const struct trial *t, unsigned set, int odd,
		    enum shape shape)
{
	long want, got;

	want = run(t, 0, odd, shape, BY_TRAP);
	remember(t);
	for (enum maker maker = BY_TRAP; maker <= BY_CALL; maker++) {
		got = run(t, set, odd, shape, maker);
		compare(t, set, odd, shape, maker, want, got);
	}
}

static void try_case(const struct trial *t)
{
	unsigned all = 0;

	for (unsigned i = 0; i < ARGS; i++)
		if (t->arg[i].kind == 'b')
			all |= 1u << i;
	for (int i = 0; i < ARGS; i++) {
		if (!(all & 1u << i))
			continue;
		try_set(t, 1u << i, -1, WHOLE);
		try_set(t, all, i, ABSENT);
		if (t->arg[i].bytes >= 8)
			try_set(t, all, i, HALF);
	}
	if (all)
		try_set(t, all, -1, WHOLE);
}

/* ---- the tests ---- */

static void setup(void)
{
	struct vvm_options o;
	uint64_t pages = ARGS * (SLOT + LIVE_PAGE) / LIVE_PAGE;

	become_nobody();
	live_options(&o, BUDGET);
	o.syscalls = VVM_SYSCALLS_TRAP;
	live_ok(vvm_open(&vm, &o));
	room = live_map(vm, pages, LIVE_RW);
	pressure = live_map(vm, OUT_PAGES, LIVE_RW);
	plain = mmap(NULL, pages * LIVE_PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	live_check(plain != MAP_FAILED);
	for (unsigned i = 0; i < ARGS; i++) {
		live_ok(vvm_protect(vm, live_addr(slot(room, i) + SLOT),
				    LIVE_PAGE, VVM_NONE));
		live_equal(
			mprotect(slot(plain, i) + SLOT, LIVE_PAGE, PROT_NONE),
			0);
	}
	open_all();
}

static void teardown(void)
{
	live_check(live_stats(vm).peak_pages <= BUDGET);
	live_equal(live_stats(vm).pinned_pages, 0);
	live_ok(vvm_close(vm));
}

#define PARTS 8

START_TEST(as_with_plain_memory)
{
	for (unsigned i = (unsigned)_i; i < LIVE_LEN(trials); i += PARTS)
		try_case(&trials[i]);
}
END_TEST

static bool is_tried(long nr)
{
	for (unsigned i = 0; i < LIVE_LEN(trials); i++)
		if (trials[i].nr == nr)
			return true;
	for (unsigned i = 0; i < LIVE_LEN(elsewhere); i++)
		if (elsewhere[i] == nr)
			return true;
	return false;
}

START_TEST(every_call_of_the_table_has_a_case)
{
	for (long nr = 0; nr < CALLS_END; nr++) {
		const struct call *call = call_find(nr);

		ck_assert_msg(!call || is_tried(nr), "%s has no case",
			      call ? call->name : "");
	}
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "system calls");

	tcase_add_loop_test(tc, as_with_plain_memory, 0, PARTS);
	tcase_add_test(tc, every_call_of_the_table_has_a_case);
	test_limit(tc, 120);
}

const struct test_program test_program = {
	.name = "live_door",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
	.missing = live_missing,
	.modes = true,
};
