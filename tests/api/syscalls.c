/* SPDX-License-Identifier: MIT */
/*
 * api/syscalls.c - the kernel reads and writes paged memory as any memory:
 * system calls with buffers of 1 MiB at a budget of 16 pages, contents
 * verified; mutexes and futexes that are paged out while in use.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "support/frames.h"
#include "support/live.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

#define BYTES ((size_t)1 << 20)
#define PAGES (BYTES / LIVE_PAGE)

static char *p, *q; /* two buffers of BYTES */
static int file;

static void setup(void)
{
	FILE *f = tmpfile();

	live_check(f != NULL);
	file = fileno(f);
	live_begin(16);
	p = live_map(vm, PAGES, LIVE_RW);
	q = live_map(vm, PAGES, LIVE_RW);
	for (uint64_t i = 0; i < PAGES; i++)
		live_fill(p + i * LIVE_PAGE, i, 1);
}

static void teardown(void)
{
	live_check(live_stats(vm).peak_pages <= 16);
	live_check(live_within(live_memfd(), 16));
	live_ok(vvm_close(vm));
}

static void check_q(void)
{
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(live_verify(q + i * LIVE_PAGE, i, 1), -1);
}

START_TEST(write_and_read)
{
	live_equal(write(file, p, BYTES), BYTES);
	live_equal(lseek(file, 0, SEEK_SET), 0);
	live_equal(read(file, q, BYTES), BYTES);
	check_q();
}
END_TEST

START_TEST(pwrite_and_pread_in_odd_pieces)
{
	size_t at = 0, n;

	for (n = 1; at < BYTES; at += n, n = n * 3 + 7) {
		if (n > BYTES - at)
			n = BYTES - at;
		live_equal(pwrite(file, p + at, n, (off_t)at), n);
	}
	for (at = 0, n = 5; at < BYTES; at += n, n = n * 2 + 3) {
		if (n > BYTES - at)
			n = BYTES - at;
		live_equal(pread(file, q + at, n, (off_t)at), n);
	}
	check_q();
}
END_TEST

START_TEST(writev_and_readv)
{
	struct iovec iov[64];

	for (size_t i = 0; i < 64; i++) { /* even pieces, then odd ones */
		size_t k = i < 32 ? 2 * i : 2 * (i - 32) + 1;

		iov[i].iov_base = p + k * (BYTES / 64);
		iov[i].iov_len = BYTES / 64;
	}
	live_equal(writev(file, iov, 64), BYTES);
	for (size_t i = 0; i < 64; i++)
		iov[i].iov_base = q + ((char *)iov[i].iov_base - p);
	live_equal(preadv(file, iov, 64, 0), BYTES);
	check_q();
}
END_TEST

/* The iovec array itself is paged as well. */
START_TEST(arguments_in_paged_memory)
{
	char *args = live_map(vm, 64, LIVE_RW);
	struct iovec *iov = (struct iovec *)(void *)(args + LIVE_PAGE - 24);
	struct pollfd *poll_fd =
		(struct pollfd *)(void *)(args + 9 * LIVE_PAGE);
	char *path = args + 20 * LIVE_PAGE - 4;
	struct stat *st = (struct stat *)(void *)(args + 30 * LIVE_PAGE - 64);
	int *fds = (int *)(void *)(args + 40 * LIVE_PAGE - 4);

	iov[0] = (struct iovec){p, BYTES / 2};
	iov[1] = (struct iovec){p + BYTES / 2, BYTES / 2};
	strcpy(path, "/dev/null");
	for (uint64_t i = 0; i < PAGES; i++) /* out they go */
		live_fill(q + i * LIVE_PAGE, i, 3);
	live_equal(pwritev(file, iov, 2, 0), BYTES);
	live_equal(pread(file, q, BYTES, 0), BYTES);
	check_q();
	live_equal(stat(path, st), 0);
	live_check(S_ISCHR(st->st_mode));
	live_equal(pipe(fds), 0);
	live_equal(write(fds[1], path, 9), 9);
	poll_fd->fd = fds[0];
	poll_fd->events = POLLIN;
	live_equal(poll(poll_fd, 1, (int)wait_scaled(10000)), 1);
	live_equal(poll_fd->revents, POLLIN);
	live_equal(read(fds[0], path, 9), 9);
	live_equal(memcmp(path, "/dev/null", 9), 0);
}
END_TEST

/* Sends it all into one end from a thread of its own. */
struct sender {
	pthread_t thread;
	int fd, from;
};

static void *send_buffer(void *arg)
{
	struct sender *s = arg;
	size_t at = 0;

	while (at < BYTES) {
		ssize_t n = write(s->fd, p + at, BYTES - at);

		live_check(n > 0);
		at += (size_t)n;
	}
	close(s->fd);
	return NULL;
}

static void *send_file(void *arg)
{
	struct sender *s = arg;
	off_t at = 0;

	while (at < (off_t)BYTES)
		live_check(sendfile(s->fd, s->from, &at, BYTES - (size_t)at) >
			   0);
	close(s->fd);
	return NULL;
}

static void receive(int fd)
{
	size_t at = 0;
	ssize_t n;

	while ((n = read(fd, q + at, BYTES - at)) > 0)
		at += (size_t)n;
	live_equal(n, 0);
	live_equal(at, BYTES);
	check_q();
}

static void through(int fds[2], void *(*send)(void *))
{
	struct sender s = {.fd = fds[1], .from = file};

	live_equal(pthread_create(&s.thread, NULL, send, &s), 0);
	receive(fds[0]);
	pthread_join(s.thread, NULL);
	close(fds[0]);
}

START_TEST(through_a_pipe)
{
	int fds[2];

	live_equal(pipe(fds), 0);
	through(fds, send_buffer);
}
END_TEST

START_TEST(through_a_socket)
{
	int fds[2];

	live_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	through(fds, send_buffer);
}
END_TEST

START_TEST(sendfile_of_what_paged_memory_wrote)
{
	int fds[2];

	live_equal(pwrite(file, p, BYTES, 0), BYTES);
	live_equal(pipe(fds), 0);
	through(fds, send_file);
	memset(q, 0, BYTES);
	live_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	through(fds, send_file);
}
END_TEST

START_TEST(getrandom_and_uname)
{
	struct utsname *name = (struct utsname *)(void *)(q + LIVE_PAGE - 100);
	struct utsname plain;
	size_t at = 0;
	ssize_t n;

	memset(q, 0, BYTES);
	for (; at < BYTES; at += (size_t)n)
		live_check((n = getrandom(q + at, BYTES - at, 0)) > 0);
	for (uint64_t i = 0; i < PAGES; i++)
		live_check(!live_is_zero(q + i * LIVE_PAGE));
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	live_equal(uname(&plain), 0);
	live_equal(uname(name), 0);
	ck_assert_str_eq(name->release, plain.release);
	ck_assert_str_eq(name->nodename, plain.nodename);
}
END_TEST

START_TEST(process_vm_readv_of_ourselves)
{
	struct iovec from = {p, BYTES}, to = {q, BYTES};
	ssize_t n = process_vm_readv(getpid(), &to, 1, &from, 1, 0);

	if (n < 0 && (errno == EPERM || errno == ENOSYS))
		return; /* containers */
	live_equal(n, BYTES);
	check_q();
}
END_TEST

/* Mutex, condition and counter are in paged memory that is evicted. */
struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	uint64_t turns;
};

struct player {
	pthread_t thread;
	struct shared *shared;
	char *scratch;
	unsigned id;
};

#define TURNS 300

static void *play(void *arg)
{
	struct player *me = arg;
	struct shared *s = me->shared;

	for (int turn = 0; turn < TURNS; turn++) {
		for (uint64_t i = 0; i < 8; i++) /* pressure */
			live_fill(me->scratch + (turn * 8 + i) % (PAGES / 2) *
							LIVE_PAGE,
				  i, 9);
		pthread_mutex_lock(&s->mutex);
		while (s->turns % 2 != me->id)
			pthread_cond_wait(&s->changed, &s->mutex);
		s->turns++;
		pthread_cond_signal(&s->changed);
		pthread_mutex_unlock(&s->mutex);
	}
	return NULL;
}

START_TEST(mutexes_in_paged_memory)
{
	struct shared *s = (struct shared *)(void *)p;
	struct player player[2];

	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->changed, NULL);
	s->turns = 0;
	for (unsigned i = 0; i < 2; i++) {
		player[i] = (struct player){.shared = s, .id = i};
		player[i].scratch = q + i * BYTES / 2;
		live_equal(pthread_create(&player[i].thread, NULL, play,
					  &player[i]),
			   0);
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(player[i].thread, NULL);
	live_equal(s->turns, 2 * TURNS);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "system calls");

	tcase_add_test(tc, write_and_read);
	tcase_add_test(tc, pwrite_and_pread_in_odd_pieces);
	tcase_add_test(tc, writev_and_readv);
	tcase_add_test(tc, arguments_in_paged_memory);
	tcase_add_test(tc, through_a_pipe);
	tcase_add_test(tc, through_a_socket);
	tcase_add_test(tc, sendfile_of_what_paged_memory_wrote);
	tcase_add_test(tc, getrandom_and_uname);
	tcase_add_test(tc, process_vm_readv_of_ourselves);
	tcase_add_test(tc, mutexes_in_paged_memory);
}

const struct test_program test_program = {
	.name = "api_syscalls",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
	.missing = live_missing_system_calls,
};
