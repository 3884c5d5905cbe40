/* SPDX-License-Identifier: MIT */
/*
 * api/door.c - VVM_SYSCALLS=trap and vvm_syscall() as a program meets them, as
 * an ordinary user: large buffers at a tiny budget, datagrams, vectors and
 * messages; calls that wait, and are interrupted, left or cancelled; threads,
 * forks, executed programs; futexes and signal stacks. What single calls do is
 * in live/door.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/errqueue.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "support/child.h"
#include "support/frames.h"
#include "support/live.h"
#include "support/nobody.h"
#include "support/random.h"
#include "support/sanitizer.h"
#include "support/test.h"
#include "support/wait.h"

#define BUDGET 16
#define BYTES  ((size_t)4 << 20)
#define PAGES  (BYTES / LIVE_PAGE)
#define PIECES 16

#define CALL(nr, a, b, c, d, e, f)                                    \
	vvm_syscall((nr), (long)(a), (long)(b), (long)(c), (long)(d), \
		    (long)(e), (long)(f))

static char *p, *q; /* two buffers of BYTES */

static struct vvm *open_trapped(enum vvm_fork fork)
{
	struct vvm_options o;
	struct vvm *space = NULL;

	live_options(&o, BUDGET);
	o.syscalls = VVM_SYSCALLS_TRAP;
	o.fork = fork;
	live_ok(vvm_open(&space, &o));
	return space;
}

static void setup(void)
{
	become_nobody();
	vm = open_trapped(VVM_FORK_INHERIT);
	p = live_map(vm, PAGES, LIVE_RW);
	q = live_map(vm, PAGES, LIVE_RW);
}

static void teardown(void)
{
	live_check(live_stats(vm).peak_pages <= BUDGET);
	live_equal(live_stats(vm).pinned_pages, 0);
	live_check(live_within(live_memfd(), BUDGET));
	live_ok(vvm_close(vm));
}

/* So many pages of p, stamped; the first ones are out when it is done. */
static void fill_p(size_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		live_fill(p + i * LIVE_PAGE, i, 1);
}

static void check_q(size_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		live_equal(live_verify(q + i * LIVE_PAGE, i, 1), -1);
}

static void push_out(void)
{
	const uint64_t bytes = 2 * BUDGET * LIVE_PAGE;

	/* or each page would be read before it is written */
	live_ok(vvm_advise(vm, (uint64_t)(uintptr_t)(q + BYTES) - bytes, bytes,
			   VVM_ADV_DONTNEED));
	for (uint64_t i = 0; i < 2 * BUDGET; i++)
		live_fill(q + BYTES - (i + 1) * LIVE_PAGE, i, 9);
}

static int temporary(void)
{
	char name[] = "/var/tmp/vvm-door-XXXXXX";
	int fd = mkstemp(name);

	live_check(fd >= 0);
	unlink(name);
	return fd;
}

/* ---- much at a time ---- */

START_TEST(a_file_is_read_and_written_whole)
{
	int file = temporary();

	fill_p(PAGES);
	live_equal(write(file, p, BYTES), BYTES);
	live_equal(pread(file, q, BYTES, 0), BYTES);
	check_q(PAGES);
	live_equal(pwrite(file, p + 1, BYTES - 1, 5), BYTES - 1);
	live_equal(lseek(file, 5, SEEK_SET), 5);
	live_equal(read(file, q + 1, BYTES), BYTES - 1);
	check_q(PAGES);
}
END_TEST

static void *drain(void *arg)
{
	size_t at = 0;
	ssize_t n;

	while ((n = read(*(int *)arg, q + at, BYTES - at)) > 0)
		at += (size_t)n;
	live_equal(n, 0);
	return (void *)at;
}

/* A blocking write moves all of it. */
static void through(int fds[2])
{
	pthread_t thread;
	void *got;

	fill_p(PAGES);
	live_equal(pthread_create(&thread, NULL, drain, &fds[0]), 0);
	live_equal(write(fds[1], p, BYTES), BYTES);
	close(fds[1]);
	pthread_join(thread, &got);
	live_equal((size_t)got, BYTES);
	check_q(PAGES);
}

START_TEST(a_blocking_write_moves_all)
{
	int fds[2];

	live_equal(pipe(fds), 0);
	through(fds);
	live_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	through(fds);
}
END_TEST

static void *count(void *arg)
{
	static char sink[1 << 16];
	size_t all = 0;
	ssize_t n;

	while ((n = read(*(int *)arg, sink, sizeof(sink))) > 0)
		all += (size_t)n;
	live_equal(n, 0);
	return (void *)all;
}

/* More than is read of a stream at a time: the same pages, several times. */
START_TEST(a_blocking_write_moves_all_however_much)
{
	struct iovec iov[6];
	pthread_t thread;
	void *got;
	int fds[2];

	for (size_t i = 0; i < LIVE_LEN(iov); i++)
		iov[i] = (struct iovec){p, BYTES};
	fill_p(2 * BUDGET);
	live_equal(pipe(fds), 0);
	live_equal(pthread_create(&thread, NULL, count, &fds[0]), 0);
	live_equal(CALL(SYS_writev, fds[1], iov, LIVE_LEN(iov), 0, 0, 0),
		   LIVE_LEN(iov) * BYTES);
	close(fds[1]);
	pthread_join(thread, &got);
	live_equal((size_t)got, LIVE_LEN(iov) * BYTES);
}
END_TEST

START_TEST(what_does_not_fit_a_pipe_that_does_not_wait)
{
	int fds[2];
	ssize_t n;

	live_equal(pipe2(fds, O_NONBLOCK), 0);
	n = write(fds[1], p, BYTES);
	live_check(n > 0 && n < (ssize_t)BYTES);
	live_equal(write(fds[1], p, 1), -1);
	live_equal(errno, EAGAIN);
}
END_TEST

START_TEST(datagrams_are_whole)
{
	size_t bytes = 20 * LIVE_PAGE + 77;
	int fds[2];

	fill_p(21);
	live_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	for (int i = 0; i < 3; i++) {
		live_equal(send(fds[0], p, bytes, 0), bytes);
		push_out();
		live_equal(recv(fds[1], q, BYTES, 0), bytes);
		check_q(20);
	}
}
END_TEST

/* Even pieces, then odd ones; each is paged and nothing else is. */
static void cut(struct iovec iov[PIECES], char *from)
{
	for (size_t i = 0; i < PIECES; i++) {
		size_t k = i < PIECES / 2 ? 2 * i : 2 * (i - PIECES / 2) + 1;

		iov[i].iov_base = from + k * (BYTES / PIECES);
		iov[i].iov_len = BYTES / PIECES;
	}
}

START_TEST(vectors)
{
	struct iovec iov[PIECES];
	int file = temporary();

	fill_p(PAGES);
	cut(iov, p);
	live_equal(CALL(SYS_writev, file, iov, PIECES, 0, 0, 0), BYTES);
	cut(iov, q);
	live_equal(CALL(SYS_preadv, file, iov, PIECES, 0, 0, 0), BYTES);
	check_q(PAGES);
}
END_TEST

START_TEST(the_memory_of_this_process)
{
	struct iovec from[PIECES], to[PIECES];

	fill_p(PAGES);
	cut(from, p);
	cut(to, q);
	live_equal(CALL(SYS_process_vm_readv, getpid(), to, PIECES, from,
			PIECES, 0),
		   BYTES);
	check_q(PAGES);
	memset(q, 0, BYTES);
	live_equal(CALL(SYS_process_vm_writev, getpid(), from, PIECES, to,
			PIECES, 0),
		   BYTES);
	check_q(PAGES);
}
END_TEST

START_TEST(a_pipe_gets_a_copy)
{
	struct iovec iov = {p, 3 * LIVE_PAGE};
	int fds[2];

	fill_p(40);
	live_equal(pipe(fds), 0);
	live_equal(CALL(SYS_vmsplice, fds[1], &iov, 1, 0, 0, 0), 3 * LIVE_PAGE);
	memset(p, 0, 3 * LIVE_PAGE);
	live_equal(read(fds[0], q, 3 * LIVE_PAGE), 3 * LIVE_PAGE);
	check_q(3);
}
END_TEST

/* All in paged memory: header, vector, control data. */
struct letter {
	struct msghdr head;
	struct iovec iov[2];
	char control[CMSG_SPACE(sizeof(int))];
};

static void write_letter(struct letter *l, char *text, int fd)
{
	struct cmsghdr *c;

	memset(l, 0, sizeof(*l));
	l->iov[0] = (struct iovec){text, LIVE_PAGE};
	l->iov[1] = (struct iovec){text + LIVE_PAGE, LIVE_PAGE};
	l->head = (struct msghdr){.msg_iov = l->iov,
				  .msg_iovlen = 2,
				  .msg_control = l->control,
				  .msg_controllen = sizeof(l->control)};
	c = CMSG_FIRSTHDR(&l->head);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
}

static int descriptor_in(struct letter *l)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(&l->head);
	int fd = -1;

	live_check(c && c->cmsg_type == SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

START_TEST(messages_with_descriptors)
{
	struct letter *out = (void *)(p + 50 * LIVE_PAGE - 40);
	struct letter *in = (void *)(p + 60 * LIVE_PAGE - 40);
	int fds[2], pipes[2], fd;
	char c = 0;

	live_equal(pipe(pipes), 0);
	live_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	fill_p(2);
	write_letter(out, p, pipes[1]);
	write_letter(in, q, -1);
	push_out();
	live_equal(sendmsg(fds[0], &out->head, 0), 2 * LIVE_PAGE);
	push_out();
	live_equal(recvmsg(fds[1], &in->head, 0), 2 * LIVE_PAGE);
	check_q(2);
	fd = descriptor_in(in);
	live_equal(write(fd, "x", 1), 1);
	live_equal(read(pipes[0], &c, 1), 1);
	live_equal(c, 'x');
}
END_TEST

static void connect_over_tcp(int fds[2])
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	live_check(listener >= 0 && fds[0] >= 0);
	live_equal(bind(listener, (struct sockaddr *)&at, bytes), 0);
	live_equal(listen(listener, 1), 0);
	live_equal(getsockname(listener, (struct sockaddr *)&at, &bytes), 0);
	live_equal(connect(fds[0], (struct sockaddr *)&at, bytes), 0);
	fds[1] = accept(listener, NULL, NULL);
	live_check(fds[1] >= 0);
	close(listener);
}

/* The kernel is done with so many calls without a copy, `done` before. */
static void wait_for_notices(int fd, unsigned done, unsigned calls)
{
	struct pollfd error = {.fd = fd};

	while (done < calls) {
		char control[128];
		struct msghdr m = {.msg_control = control,
				   .msg_controllen = sizeof(control)};
		struct sock_extended_err e;

		live_equal(poll(&error, 1, (int)wait_scaled(20000)), 1);
		live_equal(recvmsg(fd, &m, MSG_ERRQUEUE), 0);
		live_check(CMSG_FIRSTHDR(&m));
		memcpy(&e, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(e));
		live_equal(e.ee_origin, SO_EE_ORIGIN_ZEROCOPY);
		live_equal(e.ee_info, done);
		done = e.ee_data + 1;
	}
	live_equal(done, calls);
}

/* One notice for each call, however long. */
START_TEST(sent_without_a_copy)
{
	struct iovec iov[PIECES];
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = PIECES};
	pthread_t thread;
	int fds[2], one = 1;
	void *got;

	connect_over_tcp(fds);
	live_equal(
		setsockopt(fds[0], SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)),
		0);
	fill_p(PAGES);
	push_out();
	live_equal(send(fds[0], p, 20 * LIVE_PAGE, MSG_ZEROCOPY),
		   20 * LIVE_PAGE);
	push_out();
	live_equal(recv(fds[1], q, 20 * LIVE_PAGE, MSG_WAITALL),
		   20 * LIVE_PAGE);
	check_q(20);
	wait_for_notices(fds[0], 0, 1);
	live_equal(pthread_create(&thread, NULL, count, &fds[1]), 0);
	cut(iov, p);
	live_equal(CALL(SYS_sendmsg, fds[0], &m, MSG_ZEROCOPY, 0, 0, 0), BYTES);
	live_equal(send(fds[0], p, LIVE_PAGE, MSG_ZEROCOPY), LIVE_PAGE);
	wait_for_notices(fds[0], 1, 3);
	close(fds[0]);
	pthread_join(thread, &got);
	live_equal((size_t)got, BYTES + LIVE_PAGE);
}
END_TEST

START_TEST(many_messages)
{
	struct mmsghdr *out = (void *)(p + 50 * LIVE_PAGE - 104), *in = out + 4;
	struct iovec *iov = (void *)(p + 70 * LIVE_PAGE - 40);
	int fds[2];

	live_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	fill_p(4);
	memset(out, 0, 8 * sizeof(*out));
	for (size_t i = 0; i < 4; i++) {
		iov[i] = (struct iovec){p + i * LIVE_PAGE, LIVE_PAGE};
		iov[4 + i] = (struct iovec){q + i * LIVE_PAGE, LIVE_PAGE};
		out[i].msg_hdr.msg_iov = &iov[i];
		in[i].msg_hdr.msg_iov = &iov[4 + i];
		out[i].msg_hdr.msg_iovlen = in[i].msg_hdr.msg_iovlen = 1;
	}
	push_out();
	live_equal(sendmmsg(fds[0], out, 4, 0), 4);
	live_equal(recvmmsg(fds[1], in, 4, MSG_DONTWAIT, NULL), 4);
	for (size_t i = 0; i < 4; i++) {
		live_equal(out[i].msg_len, LIVE_PAGE);
		live_equal(in[i].msg_len, LIVE_PAGE);
	}
	check_q(4);
	live_equal(recvmmsg(fds[1], in, 4, MSG_DONTWAIT, NULL), -1);
	live_equal(errno, EAGAIN);
}
END_TEST

/* ---- lengths that the kernel refuses, or cuts ---- */

#define HUGE_PAGES ((uint64_t)1 << 18) /* 1 GiB */

/* No more is brought in than the kernel looks at. */
START_TEST(what_the_kernel_does_not_look_at_is_left_alone)
{
	char *huge = live_map(vm, HUGE_PAGES, LIVE_RW);
	const long few = 1 << 26, many = INT32_MAX;
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0), file = temporary();
	const long calls[][7] = {
		{SYS_poll, (long)huge, few, 0, 0, 0, 0},
		{SYS_ppoll, (long)huge, few, 0, 0, 0, 8},
		{SYS_select, 0x7fffffff, (long)huge, 0, 0, (long)p, 0},
		{SYS_connect, fd, (long)huge, many, 0, 0, 0},
		{SYS_sendto, fd, (long)p, 1, 0, (long)huge, many},
		{SYS_openat2, AT_FDCWD, (long)p, (long)huge, few, 0, 0},
		{SYS_fsetxattr, file, (long)p, (long)huge, few, 0, 0},
		{SYS_setgroups, few, (long)huge, 0, 0, 0, 0},
		{SYS_rt_sigprocmask, 0, (long)huge, 0, few, 0, 0},
		{SYS_sched_setaffinity, 0, few, (long)huge, 0, 0, 0},
		{SYS_process_madvise, -1, (long)huge, few, 0, 0, 0},
		{SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, (long)huge,
		 (long)(p + 64), 0},
		{449 /* futex_waitv */, (long)huge, few, 0, 0, 0, 0},
	};

	*(int *)(void *)(p + 64) = 1 << 30;
	for (size_t i = 0; i < LIVE_LEN(calls); i++) {
		const long *a = calls[i];
		int64_t before = live_stats(vm).api_fills;

		CALL(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
		if (live_stats(vm).api_fills - before > 2000)
			live_fail(
				"call %ld brings in %lld pages", a[0],
				(long long)(live_stats(vm).api_fills - before));
	}
}
END_TEST

/* What is left in a register that the kernel does not take for a pointer. */
START_TEST(numbers_that_look_like_addresses)
{
	char *stale = live_map(vm, 1, LIVE_RW);
	const int file = temporary();
	static const int commands[] = {
		F_GETFD,    F_GETFL,	  F_GETOWN,    F_GETSIG,
		F_GETLEASE, F_GETPIPE_SZ, F_GET_SEALS,
	};
	static const int options[] = {
		PR_GET_DUMPABLE,
		PR_GET_KEEPCAPS,
		PR_GET_SECUREBITS,
		PR_GET_TIMERSLACK,
	};
	int64_t before = live_stats(vm).api_fills;

	for (size_t i = 0; i < LIVE_LEN(commands); i++)
		CALL(SYS_fcntl, file, commands[i], stale, 0, 0, 0);
	for (size_t i = 0; i < LIVE_LEN(options); i++)
		live_check(CALL(SYS_prctl, options[i], stale, 0, 0, 0, 0) >= 0);
	live_equal(live_stats(vm).api_fills, before);
}
END_TEST

static long size_of(int file)
{
	struct stat st;

	live_equal(fstat(file, &st), 0);
	return st.st_size;
}

/* The kernel writes what is there of a vector of one, of others nothing. */
START_TEST(lengths_that_are_negative_or_huge)
{
	static const size_t length[] = {SIZE_MAX, SIZE_MAX / 2, (size_t)1 << 62,
					(size_t)1 << 60};
	int file = temporary();
	struct iovec *iov = (struct iovec *)(void *)q;

	fill_p(40);
	for (size_t i = 0; i < LIVE_LEN(length); i++) {
		iov[0] = (struct iovec){p, 8};
		iov[1] = (struct iovec){p, length[i]};
		live_check(CALL(SYS_write, file, p, length[i], 0, 0, 0) < 0);
		live_check(CALL(SYS_pwrite64, file, p, length[i], 0, 0, 0) < 0);
		live_check(CALL(SYS_pread64, file, p, length[i], 0, 0, 0) < 0);
		live_check(CALL(SYS_writev, file, iov, 2, 0, 0, 0) < 0);
		live_equal(size_of(file), 0);
	}
}
END_TEST

/* ---- structures that others write to meanwhile ---- */

struct polled {
	struct pollfd *fds;
	int go;
};

static void *change_others(void *arg)
{
	struct polled *it = arg;

	live_nap_us(20000); /* it waits by now, or nothing is tested */
	it->fds[1].fd = it->go;
	it->fds[1].events = POLLOUT;
	live_equal(write(it->go, "x", 1), 1);
	return NULL;
}

START_TEST(only_what_the_kernel_writes_comes_back)
{
	struct polled it = {
		.fds = (struct pollfd *)(void *)(p + LIVE_PAGE - 8)};
	pthread_t thread;
	int fds[2];

	live_equal(pipe(fds), 0);
	it.go = fds[1];
	for (int i = 0; i < 4; i++) {
		char c;

		it.fds[0] = (struct pollfd){fds[0], POLLIN, 77};
		it.fds[1] = (struct pollfd){-1, 0, 77};
		push_out();
		live_equal(pthread_create(&thread, NULL, change_others, &it),
			   0);
		live_equal(poll(it.fds, 2, -1), 1);
		pthread_join(thread, NULL);
		live_equal(it.fds[0].revents, POLLIN);
		live_equal(it.fds[1].revents, 0);
		live_equal(it.fds[1].fd, fds[1]);
		live_equal(it.fds[1].events, POLLOUT);
		live_equal(read(fds[0], &c, 1), 1);
	}
}
END_TEST

/* ---- pointers inside structures ---- */

struct value {
	uint64_t at;
	uint32_t bytes, flags;
};

/* setxattrat(2), getxattrat(2) */
START_TEST(values_of_attributes)
{
	struct value *v = (struct value *)(void *)(p + LIVE_PAGE - 8);
	int file = temporary();
	long rc;

	strcpy(p, "");
	strcpy(p + 3 * LIVE_PAGE, "user.door");
	memset(p + 5 * LIVE_PAGE, 'v', 1000);
	*v = (struct value){live_addr(p + 5 * LIVE_PAGE), 1000, 0};
	push_out();
	rc = CALL(463, file, p, AT_EMPTY_PATH, p + 3 * LIVE_PAGE, v,
		  sizeof(*v));
	if (rc == -ENOSYS || rc == -EOPNOTSUPP)
		return;
	live_equal(rc, 0);
	memset(p + 5 * LIVE_PAGE, 0, 2000);
	v->bytes = 2000;
	push_out();
	live_equal(CALL(464, file, p, AT_EMPTY_PATH, p + 3 * LIVE_PAGE, v,
			sizeof(*v)),
		   1000);
	live_equal(p[5 * LIVE_PAGE + 999], 'v');
	live_equal(p[5 * LIVE_PAGE + 1000], 0);
}
END_TEST

struct waiting {
	uint64_t value, at;
	uint32_t flags, reserved;
};

START_TEST(futexes_in_an_array)
{
	struct waiting *w = (struct waiting *)(void *)(p + LIVE_PAGE - 24);
	struct waiting here[2];
	long rc;

	memset(p + 8 * LIVE_PAGE, 0, LIVE_PAGE);
	memset(p + 9 * LIVE_PAGE, 0, LIVE_PAGE);
	for (size_t i = 0; i < 2; i++)
		w[i] = (struct waiting){0, live_addr(p + (8 + i) * LIVE_PAGE),
					0x82, 0};
	memcpy(here, w, sizeof(here));
	push_out();
	rc = CALL(456, w, 0, 0, 1, 0, 0);
	live_check(rc == 0 || rc == -ENOSYS);
	push_out();
	rc = CALL(456, here, 0, 0, 1, 0, 0);
	live_check(rc == 0 || rc == -ENOSYS);
	here[1].value = 5;
	push_out();
	rc = CALL(449, here, 2, 0, 0, 0, 0);
	live_check(rc == -EAGAIN || rc == -ENOSYS);
}
END_TEST

/* ---- signals ---- */

static int wake[2]; /* a pipe that a handler writes to */
static sigjmp_buf out;
static _Atomic int handled;

static void on_alarm(int sig)
{
	handled++;
	live_equal(write(wake[1], "late", 4), 4);
	(void)sig;
}

static void on_jump(int sig)
{
	(void)sig;
	siglongjmp(out, 1);
}

static void handle(int sig, void (*handler)(int), int flags)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};

	live_equal(sigaction(sig, &sa, NULL), 0);
}

/* Signals this thread until it is told to stop. */
struct nag {
	pthread_t thread, target;
	_Atomic bool stop;
};

static void *nag(void *arg)
{
	struct nag *n = arg;

	while (!n->stop) {
		live_nap_us(2000);
		pthread_kill(n->target, SIGUSR1);
	}
	return NULL;
}

static void nag_begin(struct nag *n)
{
	n->stop = false;
	n->target = pthread_self();
	live_equal(pthread_create(&n->thread, NULL, nag, n), 0);
}

static void nag_end(struct nag *n)
{
	n->stop = true;
	pthread_join(n->thread, NULL);
}

/* Once is enough; it is sent until it has been handled in the call. */
START_TEST(a_signal_interrupts_a_call)
{
	struct nag n;
	int fds[2];

	live_equal(pipe(wake), 0);
	live_equal(pipe(fds), 0);
	handle(SIGUSR1, on_alarm, 0);
	push_out();
	nag_begin(&n);
	live_equal(read(fds[0], p, 100), -1);
	live_equal(errno, EINTR);
	nag_end(&n);
	live_check(handled > 0);
}
END_TEST

START_TEST(a_call_is_restarted_after_a_signal)
{
	struct nag n;

	live_equal(pipe(wake), 0);
	handle(SIGUSR1, on_alarm, SA_RESTART);
	push_out();
	nag_begin(&n);
	live_equal(read(wake[0], p, 4), 4);
	nag_end(&n);
	live_equal(memcmp(p, "late", 4), 0);
}
END_TEST

static long mapped_kib(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kib = 0;

	live_check(f != NULL);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "VmSize: %ld", &kib);
	fclose(f);
	return kib;
}

/* What such calls had taken comes back. */
START_TEST(a_call_may_be_left_for_good)
{
	volatile long early = 0;
	int fds[2];

	live_equal(pipe(fds), 0);
	handle(SIGALRM, on_jump, 0);
	for (volatile int i = 0; i < 300; i++) {
		if (sigsetjmp(out, 1) == 0) {
			struct itimerval t = {.it_value.tv_usec = 500};

			setitimer(ITIMER_REAL, &t, NULL);
			live_equal(read(fds[0], p, 100000), 0);
			live_fail("the read came back");
		}
		if (i == 100)
			early = mapped_kib();
	}
	live_check(mapped_kib() < early + 64 * 1024);
	live_equal(write(fds[1], "good", 4), 4);
	live_equal(read(fds[0], p, 4), 4);
}
END_TEST

START_TEST(the_mask_is_the_threads_own)
{
	sigset_t *set = (sigset_t *)(void *)(p + LIVE_PAGE - 64);
	sigset_t *old = set + 1, now;

	sigemptyset(set);
	sigaddset(set, SIGUSR2);
	push_out();
	live_equal(sigprocmask(SIG_BLOCK, set, old), 0);
	live_equal(sigprocmask(SIG_BLOCK, NULL, &now), 0);
	live_check(sigismember(&now, SIGUSR2));
	live_check(!sigismember(old, SIGUSR2));
	live_check(!sigismember(&now, SIGUSR1));
	live_equal(sigprocmask(SIG_SETMASK, old, NULL), 0);
	live_equal(sigprocmask(SIG_BLOCK, NULL, &now), 0);
	live_check(!sigismember(&now, SIGUSR2));
}
END_TEST

static void *cleaned_up;

static void clean_up(void *arg)
{
	cleaned_up = arg;
}

static void *wait_for_ever(void *arg)
{
	pthread_cleanup_push(clean_up, arg);
	live_equal(read(*(int *)arg, p, 100), 0);
	pthread_cleanup_pop(0);
	return NULL;
}

/* glibc's threads are cancelled in a handler before 2.41: see vvm.h. */
START_TEST(a_waiting_thread_is_cancelled)
{
	pthread_t thread;
	void *result;
	int fds[2];

#if !__GLIBC_PREREQ(2, 41)
	live_equal(pipe(fds), 0);
	push_out();
	live_equal(pthread_create(&thread, NULL, wait_for_ever, &fds[0]), 0);
	live_nap_us(20000); /* in the call or not, it ends */
	live_equal(pthread_cancel(thread), 0);
	live_equal(pthread_join(thread, &result), 0);
	live_check(result == PTHREAD_CANCELED);
	live_check(cleaned_up == &fds[0]);
#else
	(void)thread;
	(void)result;
	(void)fds;
#endif
}
END_TEST

/* ---- the signal stack ---- */

static void *volatile stack_seen;

static void on_stack(int sig)
{
	(void)sig;
	stack_seen = __builtin_frame_address(0);
}

START_TEST(a_paged_signal_stack_is_held)
{
	size_t bytes = 4 * LIVE_PAGE;
	stack_t stack = {.ss_sp = p + LIVE_PAGE, .ss_size = bytes}, old;

	live_equal(CALL(SYS_sigaltstack, &stack, NULL, 0, 0, 0, 0), 0);
	live_check(live_stats(vm).pinned_pages >= 4);
	handle(SIGUSR1, on_stack, SA_ONSTACK);
	push_out();
	raise(SIGUSR1);
	live_check((char *)stack_seen > p + LIVE_PAGE &&
		   (char *)stack_seen < p + LIVE_PAGE + bytes);
	stack.ss_flags = SS_DISABLE;
	live_equal(CALL(SYS_sigaltstack, &stack, &old, 0, 0, 0, 0), 0);
	live_check(old.ss_sp == p + LIVE_PAGE);
	live_equal(live_stats(vm).pinned_pages, 0);
	stack = (stack_t){.ss_sp = p, .ss_size = BUDGET / 2 * LIVE_PAGE};
	live_equal(CALL(SYS_sigaltstack, &stack, NULL, 0, 0, 0, 0), -ENOMEM);
}
END_TEST

/* ---- threads, futexes ---- */

static void *copy_own(void *arg)
{
	size_t bytes = BYTES / 8, k = (size_t)(uintptr_t)arg;
	char *from = p + k * bytes, *to = q + k * bytes;
	int file = temporary();

	for (int i = 0; i < 3; i++) {
		memset(from, (int)(k * 3 + (size_t)i), bytes);
		live_equal(pwrite(file, from, bytes, 0), bytes);
		live_equal(pread(file, to, bytes, 0), bytes);
		live_equal(memcmp(from, to, bytes), 0);
	}
	close(file);
	return NULL;
}

START_TEST(threads)
{
	pthread_t thread[8];

	for (uintptr_t i = 0; i < 8; i++)
		live_equal(
			pthread_create(&thread[i], NULL, copy_own, (void *)i),
			0);
	for (int i = 0; i < 8; i++)
		pthread_join(thread[i], NULL);
}
END_TEST

struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	uint64_t turns;
};

static void *play(void *arg)
{
	struct shared *s = (struct shared *)(void *)p;
	uint64_t id = (uint64_t)(uintptr_t)arg;

	for (uint64_t turn = 0; turn < 100; turn++) {
		for (uint64_t i = 0; i < 8; i++)
			live_fill(q + ((turn * 8 + i) % 64 + id * 64) *
						  LIVE_PAGE,
				  i, 9);
		pthread_mutex_lock(&s->mutex);
		while (s->turns % 2 != id)
			pthread_cond_wait(&s->changed, &s->mutex);
		s->turns++;
		pthread_cond_signal(&s->changed);
		pthread_mutex_unlock(&s->mutex);
	}
	return NULL;
}

static void play_with(int protocol, int shared)
{
	struct shared *s = (struct shared *)(void *)p;
	pthread_mutexattr_t attr;
	pthread_condattr_t condattr;
	pthread_t thread[2];

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setprotocol(&attr, protocol);
	pthread_mutexattr_setpshared(&attr, shared);
	pthread_condattr_init(&condattr);
	pthread_condattr_setpshared(&condattr, shared);
	memset(s, 0, sizeof(*s));
	live_equal(pthread_mutex_init(&s->mutex, &attr), 0);
	live_equal(pthread_cond_init(&s->changed, &condattr), 0);
	for (uintptr_t i = 0; i < 2; i++)
		live_equal(pthread_create(&thread[i], NULL, play, (void *)i),
			   0);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	live_equal(s->turns, 200);
}

START_TEST(mutexes_and_conditions)
{
	play_with(PTHREAD_PRIO_NONE, PTHREAD_PROCESS_PRIVATE);
	play_with(PTHREAD_PRIO_NONE, PTHREAD_PROCESS_SHARED);
	play_with(PTHREAD_PRIO_INHERIT, PTHREAD_PROCESS_PRIVATE);
}
END_TEST

/* ---- other processes ---- */

static int child_reads(void *arg)
{
	int *fds = arg;

	child_check(read(fds[0], p + 5 * LIVE_PAGE, 5) == 5);
	child_check(memcmp(p + 5 * LIVE_PAGE, "child", 5) == 0);
	child_check(write(fds[1], p, LIVE_PAGE) == (ssize_t)LIVE_PAGE);
	return 0;
}

START_TEST(a_child_that_inherits)
{
	int fds[2], back[2], both[2];
	pid_t pid;

	live_equal(pipe(fds), 0);
	live_equal(pipe(back), 0);
	fill_p(40);
	both[0] = fds[0];
	both[1] = back[1];
	pid = live_fork(child_reads, both);
	live_equal(write(fds[1], "child", 5), 5);
	live_equal(read(back[0], q, LIVE_PAGE), LIVE_PAGE);
	live_equal(live_verify(q, 0, 1), -1);
	live_ended_ok(pid);
}
END_TEST

static char *not_inherited;

static int child_has_none(void *arg)
{
	int *fds = arg;

	child_check(write(fds[1], not_inherited, 5) == -1 && errno == EFAULT);
	child_check(write(fds[1], "x", 1) == 1);
	child_check(read(fds[0], not_inherited, 1) == -1 && errno == EFAULT);
	child_check(CALL(SYS_write, fds[1], not_inherited, 5, 0, 0, 0) ==
		    -EFAULT);
	return 0;
}

START_TEST(a_child_that_does_not)
{
	struct vvm *other = open_trapped(VVM_FORK_DIE);
	int fds[2];

	live_equal(pipe(fds), 0);
	not_inherited = live_map(other, 4, LIVE_RW);
	not_inherited[0] = 1;
	live_child_ok(child_has_none, fds);
	live_ok(vvm_close(other));
}
END_TEST

static int filters_now(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	int count = -1;

	live_check(f != NULL);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "Seccomp_filters: %d", &count);
	fclose(f);
	return count;
}

/* Besides those that the tests were started under. */
static int filters_before;

static void count_filters(void)
{
	filters_before = filters_now();
}

static int filters(void)
{
	return filters_now() - filters_before;
}

/* How many there were before the first process had its space. */
#define EXECUTED "VVM_TEST_DOOR_FILTERS"

/* This program again, which runs the test below. */
static int child_executes(void *arg)
{
	char before[16];

	(void)arg;
	snprintf(before, sizeof(before), "%d", filters_before);
	setenv(EXECUTED, before, 1);
	setenv("CK_RUN_CASE", "executed", 1);
	setenv("CK_FORK", "no", 1);
	execl("/proc/self/exe", "door", NULL);
	return 1;
}

START_TEST(a_program_that_is_executed_needs_no_second_filter)
{
	live_equal(filters(), 1);
	live_child_ok(child_executes, NULL);
}
END_TEST

START_TEST(still_one_filter)
{
	struct vvm *space;
	int fds[2];

	if (!getenv(EXECUTED))
		return;
	filters_before = atoi(getenv(EXECUTED));
	live_equal(filters(), 1);
	space = open_trapped(VVM_FORK_DIE);
	live_equal(filters(), 1);
	p = live_map(space, 4, LIVE_RW);
	memcpy(p, "trap", 4);
	live_equal(pipe(fds), 0);
	live_equal(write(fds[1], p, 4), 4);
	live_equal(read(fds[0], p + LIVE_PAGE, 4), 4);
	live_equal(memcmp(p, p + LIVE_PAGE, 4), 0);
	live_ok(vvm_close(space));
}
END_TEST

/* Path, arrays and strings are paged, each in a page of its own. */
static void write_command(char **argv, char **env, char *path)
{
	static const char *const words[] = {"sh", "-c", "exit $((DOOR + $1))",
					    "x", "3"};
	char *at = p + 30 * LIVE_PAGE;

	strcpy(path, "/bin/sh");
	for (size_t i = 0; i < LIVE_LEN(words); i++, at += LIVE_PAGE)
		argv[i] = strcpy(at, words[i]);
	argv[LIVE_LEN(words)] = NULL;
	env[0] = strcpy(at, "DOOR=4");
	env[1] = NULL;
	push_out();
}

START_TEST(a_vfork_child_executes_paged_arguments)
{
	char **argv = (char **)(void *)(p + 2 * LIVE_PAGE - 16);
	char **env = (char **)(void *)(p + 4 * LIVE_PAGE - 8);
	char *path = p + 6 * LIVE_PAGE - 4;

	for (int i = 0; i < 30; i++) {
		int status;
		pid_t pid;

		write_command(argv, env, path);
		pid = vfork();
		if (pid == 0) {
			execve(path, argv, env);
			_exit(99);
		}
		live_equal(waitpid(pid, &status, 0), pid);
		live_check(WIFEXITED(status));
		live_equal(WEXITSTATUS(status), 7);
	}
}
END_TEST

START_TEST(no_rings_for_the_program)
{
	uint64_t params[15] = {0};

	live_equal(syscall(SYS_io_uring_setup, 4, params), -1);
	live_equal(errno, ENOSYS);
	live_equal(syscall(SYS_io_setup, 4, params), -1);
	live_equal(errno, ENOSYS);
}
END_TEST

static int open_with(const char *injection)
{
	struct vvm_options o;
	struct vvm *space = NULL;
	int rc;

	setenv("VVM_INJECT", injection, 1);
	live_options(&o, BUDGET);
	o.syscalls = VVM_SYSCALLS_TRAP;
	rc = vvm_open(&space, &o);
	unsetenv("VVM_INJECT");
	live_check(rc < 0 || !space || vvm_close(space) == 0);
	return rc;
}

static void no_handler(void)
{
	struct sigaction sa;

	live_equal(sigaction(SIGSYS, NULL, &sa), 0);
	live_check(sa.sa_handler == SIG_DFL);
}

START_TEST(without_a_filter_there_is_no_space)
{
	setenv("VVM_LOG", "none", 1);
	live_equal(open_with("@door:1:EEXIST"), -ENOTSUP);
	live_equal(open_with("@door:1:ENOMEM"), -ENOMEM);
	live_equal(open_with("@filter:1:EINVAL"), -ENOSYS);
	no_handler();
	live_equal(open_with("@filter:1:EACCES"), -EPERM);
	live_equal(open_with("@filter:1:EBUSY"), -EBUSY);
	live_equal(open_with("@filter:1:ENOMEM"), -ENOMEM);
	no_handler();
	live_equal(filters(), 0);
	setup();
	live_equal(filters(), 1);
	teardown();
}
END_TEST

/* What is there is not ours. */
START_TEST(the_addresses_may_be_taken)
{
	void *at = (void *)0x400000000000;

	if (sizeof(at) < 8 ||
	    mmap(at, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		 -1, 0) != at)
		return;
	setenv("VVM_LOG", "none", 1);
	live_equal(open_with(""), -ENOTSUP);
	live_equal(munmap(at, 4096), 0);
	live_equal(open_with(""), 0);
}
END_TEST

static volatile int own_signals;

static void on_own(int sig)
{
	(void)sig;
	own_signals++;
}

/* The space was opened before it: then it goes to whoever installs last. */
static int child_has_a_handler(void *arg)
{
	int fds[2];

	(void)arg;
	handle(SIGSYS, on_own, 0);
	vm = open_trapped(VVM_FORK_DIE);
	p = live_map(vm, 4, LIVE_RW);
	memcpy(p, "data", 4);
	child_check(pipe(fds) == 0 && write(fds[1], p, 4) == 4);
	child_check(own_signals == 0);
	kill(getpid(), SIGSYS);
	child_check(own_signals == 1);
	return 0;
}

START_TEST(a_handler_of_before_gets_the_others)
{
	live_child_ok(child_has_a_handler, NULL);
}
END_TEST

/* A thread of the library that gets it first sends it again, which is seen. */
static int wait_for_signal(const sigset_t *set)
{
	const struct timespec limit = {60, 0};
	int got;

	do
		got = sigtimedwait(set, NULL, &limit);
	while (got < 0 && errno == EINTR);
	return got;
}

/* None is kept by a thread of the library, however often it is sent. */
static int child_waits_for_it(void *arg)
{
	sigset_t set;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	child_check(!sigprocmask(SIG_BLOCK, &set, NULL));
	handle(SIGSYS, on_own, 0);
	vm = open_trapped(VVM_FORK_DIE);
	for (int i = 0; i < 5; i++) {
		child_check(kill(getpid(), SIGSYS) == 0);
		child_check(wait_for_signal(&set) == SIGSYS);
	}
	child_check(own_signals == 0);
	child_check(vvm_close(vm) == 0);
	return 0;
}

START_TEST(a_signal_that_is_waited_for)
{
	live_child_ok(child_waits_for_it, NULL);
}
END_TEST

static bool thread_has_groups(const char *tid)
{
	char path[64], line[256];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", tid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		found |= !strcmp(line, "Groups:\t1 2 \n");
	if (f)
		fclose(f);
	return found;
}

static bool all_threads_have_groups(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *d;
	bool all = true;

	while ((d = readdir(dir)))
		all &= d->d_name[0] == '.' || thread_has_groups(d->d_name);
	closedir(dir);
	return all;
}

/* libc has the library's threads make the call, too. EPERM: not for us. */
static int child_sets_groups(void *arg)
{
	gid_t *list;

	(void)arg;
	vm = open_trapped(VVM_FORK_DIE);
	p = live_map(vm, PAGES, LIVE_RW);
	q = live_map(vm, PAGES, LIVE_RW);
	list = (gid_t *)p;
	live_ok(vvm_pin(vm, live_addr(p), LIVE_PAGE));
	list[0] = 1;
	list[1] = 2;
	push_out();
	if (setgroups(2, list) == 0)
		child_check(all_threads_have_groups());
	else
		child_check(errno == EPERM);
	live_ok(vvm_unpin(vm, live_addr(p), LIVE_PAGE));
	child_check(vvm_close(vm) == 0);
	return 0;
}

START_TEST(a_list_of_groups_that_is_pinned)
{
	live_child_ok(child_sets_groups, NULL);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "data");

	tcase_add_test(tc, a_file_is_read_and_written_whole);
	tcase_add_test(tc, a_blocking_write_moves_all);
	tcase_add_test(tc, a_blocking_write_moves_all_however_much);
	tcase_add_test(tc, what_does_not_fit_a_pipe_that_does_not_wait);
	tcase_add_test(tc, datagrams_are_whole);
	tcase_add_test(tc, vectors);
	tcase_add_test(tc, the_memory_of_this_process);
	tcase_add_test(tc, a_pipe_gets_a_copy);
	tcase_add_test(tc, messages_with_descriptors);
	tcase_add_test(tc, sent_without_a_copy);
	tcase_add_test(tc, many_messages);
	tc = test_case(s, "lengths");
	tcase_add_test(tc, what_the_kernel_does_not_look_at_is_left_alone);
	test_counted(tc, numbers_that_look_like_addresses);
	tcase_add_test(tc, lengths_that_are_negative_or_huge);
	tc = test_case(s, "structures");
	tcase_add_test(tc, only_what_the_kernel_writes_comes_back);
	tcase_add_test(tc, values_of_attributes);
	tcase_add_test(tc, futexes_in_an_array);
	tc = test_case(s, "signals");
	tcase_add_test(tc, a_signal_interrupts_a_call);
	tcase_add_test(tc, a_call_is_restarted_after_a_signal);
	tcase_add_test(tc, a_call_may_be_left_for_good);
	tcase_add_test(tc, the_mask_is_the_threads_own);
	tcase_add_test(tc, a_waiting_thread_is_cancelled);
	tcase_add_test(tc, a_paged_signal_stack_is_held);
	tc = test_case(s, "threads");
	tcase_add_test(tc, threads);
	tcase_add_test(tc, mutexes_and_conditions);
	tc = test_case(s, "processes");
	tcase_add_test(tc, a_child_that_inherits);
	tcase_add_test(tc, a_child_that_does_not);
	tcase_add_test(tc, a_program_that_is_executed_needs_no_second_filter);
	tcase_add_test(tc, a_vfork_child_executes_paged_arguments);
	tcase_add_test(tc, no_rings_for_the_program);
	tc = test_case_with(s, "opening", become_nobody, NULL);
	tcase_add_test(tc, a_handler_of_before_gets_the_others);
	tcase_add_test(tc, without_a_filter_there_is_no_space);
	tcase_add_test(tc, the_addresses_may_be_taken);
	tcase_add_test(tc, a_signal_that_is_waited_for);
	tcase_add_test(tc, a_list_of_groups_that_is_pinned);
	tc = test_case_with(s, "executed", NULL, NULL);
	tcase_add_test(tc, a_list_of_groups_that_is_pinned); /* with rights */
	tcase_add_test(tc, still_one_filter);
}

/*
 * AddressSanitizer writes a warning at the first swapcontext(), under a lock: in
 * a handler of ours, where that write is trapped, it would wait for itself.
 */
static void begin(void)
{
	static ucontext_t here, there;
	static volatile bool came_back;

	count_filters();
	getcontext(&here);
	if (LIVE_SANITIZED && !came_back) {
		came_back = true;
		swapcontext(&there, &here);
	}
}

static const char *missing(void)
{
	return LIVE_TSAN ? "ThreadSanitizer has the addresses that it needs"
			 : live_missing();
}

const struct test_program test_program = {
	.name = "api_door",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
	.missing = missing,
	.modes = true,
	.begin = begin,
};
