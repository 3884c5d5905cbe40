/* SPDX-License-Identifier: MIT */
/*
 * unit/poller.c - rings that are lent to threads, one read each. Where there
 * is no io_uring or one CPU only, there are none, and every read is a system
 * call's.
 */
#include "fault/poller.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"
#include "support/test.h"

#define PAGES	16
#define THREADS 6
#define READS	300

static struct pollers pollers;
static int file;
static __thread uint64_t start_ns;

struct read {
	struct ring_op op;
	int calls, result;
	char buf[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
};

static void read_done(struct ring_op *op, int result)
{
	struct read *r = container_of(op, struct read, op);

	r->calls++;
	r->result = result;
}

static void start(struct read *r, struct ring *ring, unsigned page)
{
	r->op = (struct ring_op){.done = read_done,
				 .kind = RING_READ,
				 .fd = file,
				 .bytes = PAGE_BYTES,
				 .off = pages_to_bytes(page),
				 .buf = r->buf};
	r->calls = 0;
	ring_start(ring, &r->op);
}

static void check_read(const struct read *r, unsigned page)
{
	ck_assert_int_eq(r->calls, 1);
	ck_assert_int_eq(r->result, 0);
	ck_assert_int_eq(r->buf[0], (char)(page + 1));
	ck_assert_int_eq(r->buf[PAGE_BYTES - 1], (char)(page + 1));
}

static void setup(void)
{
	const char *dir = getenv("TMPDIR");
	char page[PAGE_BYTES];
	unsigned i;

	ck_assert_int_eq(os_open(dir ? dir : "/var/tmp", OS_OPEN_TMP, &file),
			 0);
	for (i = 0; i < PAGES; i++) {
		memset(page, (int)i + 1, sizeof(page));
		ck_assert_int_eq(
			os_pwrite(file, page, sizeof(page), pages_to_bytes(i)),
			0);
	}
	memset(&pollers, 0, sizeof(pollers));
	pollers_open(&pollers, 2, VVM_IO_AUTO);
}

static void teardown(void)
{
	ck_assert_uint_eq(pollers.reading, 0);
	pollers_close(&pollers);
	os_close(file);
}

START_TEST(there_are_as_many_as_may_be)
{
	unsigned cpus = os_cpus();
	struct pollers p = {0};

	ck_assert_uint_le(pollers.count, MIN(2u, cpus - 1));
	pollers_open(&p, 2, VVM_IO_SYNC);
	ck_assert_uint_eq(p.count, 0);
	ck_assert_ptr_null(pollers_enter(&p, &start_ns));
	pollers_leave(&p, NULL, 0);
	pollers_close(&p);
	pollers_open(&p, 1000, VVM_IO_AUTO);
	ck_assert_uint_le(p.count,
			  MIN((unsigned)SETTING_POLLERS_MAX, cpus - 1));
	ck_assert(pollers.count == 0 || p.count > 0);
	pollers_close(&p);
	ck_assert_uint_eq(p.count, 0);
}
END_TEST

/* Who comes when `count` are reading sleeps, whether those poll or sleep. */
START_TEST(only_the_first_readers_poll)
{
	struct ring *ring[SETTING_POLLERS_MAX + 1];
	unsigned i, n = pollers.count;

	for (i = 0; i < n; i++)
		ck_assert_ptr_nonnull(
			ring[i] = pollers_enter(&pollers, &start_ns));
	if (n == 2)
		ck_assert_ptr_ne(ring[0], ring[1]);
	ck_assert_ptr_null(pollers_enter(&pollers, &start_ns));
	if (n) {
		pollers_leave(&pollers, ring[0], 0);
		ck_assert_ptr_null(pollers_enter(&pollers, &start_ns));
		pollers_leave(&pollers, NULL, 0);
	}
	pollers_leave(&pollers, NULL, 0);
	for (i = 1; i < n; i++)
		pollers_leave(&pollers, ring[i], 0);
	ck_assert_uint_eq(pollers.reading, 0);
	ring[0] = pollers_enter(&pollers, &start_ns);
	ck_assert_int_eq(ring[0] != NULL, n > 0);
	pollers_leave(&pollers, ring[0], 0);
}
END_TEST

static void *reads_in_turn(void *arg)
{
	static __thread struct read r;
	unsigned i, page = *(unsigned *)arg;

	for (i = 0; i < READS; i++) {
		struct ring *ring = pollers_enter(&pollers, &start_ns);

		page = (page + 7) % PAGES;
		if (ring) {
			start(&r, ring, page);
			poller_wait(ring);
			check_read(&r, page);
		}
		pollers_leave(&pollers, ring, 0);
	}
	return NULL;
}

START_TEST(threads_use_them_in_turn)
{
	pthread_t thread[THREADS];
	unsigned i, first[THREADS];

	for (i = 0; i < THREADS; i++) {
		first[i] = i;
		ck_assert_int_eq(pthread_create(&thread[i], NULL, reads_in_turn,
						&first[i]),
				 0);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(pollers.free, (1u << pollers.count) - 1);
}
END_TEST

/* Another thread of the parent may have been reading as the child was made. */
START_TEST(a_child_leaves_the_reads_to_its_parent)
{
	static struct read r;
	struct ring *ring = pollers_enter(&pollers, &start_ns);
	int status;
	pid_t pid;

	if (ring)
		start(&r, ring, 3);
	pid = fork();
	if (pid == 0) {
		pollers_abandon(&pollers);
		_exit(pollers.count != 0 || r.calls != 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	if (ring) {
		poller_wait(ring);
		check_read(&r, 3);
	}
	pollers_leave(&pollers, ring, 0);
}
END_TEST

static unsigned polls_of(unsigned reads, uint64_t polled_ns, uint64_t slept_ns)
{
	unsigned i, polls = 0;

	for (i = 0; i < reads; i++) {
		uint64_t start;
		struct ring *ring = pollers_enter(&pollers, &start);

		ck_assert_uint_ne(start, 0);
		pollers_leave(&pollers, ring, 0);
		polling_took(&pollers.polling, ring,
			     ring ? polled_ns : slept_ns);
		polls += ring != NULL;
	}
	return polls;
}

/* And what was best is tried again: it may change. */
START_TEST(they_poll_if_it_pays)
{
	if (!pollers.count)
		return;
	polls_of(200, 50000, 60000);
	ck_assert_uint_ge(polls_of(320, 50000, 60000), 315);
	ck_assert_uint_lt(polls_of(320, 50000, 60000), 320);
	polls_of(2000, 50000, 53000);
	ck_assert_uint_eq(polls_of(320, 50000, 53000), 5);
	polls_of(2000, 40000, 80000);
	ck_assert_uint_eq(polls_of(320, 40000, 80000), 315);
}
END_TEST

/* A read that waited for something else says little. */
START_TEST(a_late_read_changes_nothing)
{
	if (!pollers.count)
		return;
	polls_of(2000, 50000, 60000);
	polling_took(&pollers.polling, true, 10000000000);
	polls_of(100, 50000, 60000);
	ck_assert_uint_eq(polls_of(320, 50000, 60000), 315);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "pollers");

	tcase_add_test(tc, there_are_as_many_as_may_be);
	tcase_add_test(tc, only_the_first_readers_poll);
	tcase_add_test(tc, threads_use_them_in_turn);
	tcase_add_test(tc, they_poll_if_it_pays);
	tcase_add_test(tc, a_late_read_changes_nothing);
	tcase_add_test(tc, a_child_leaves_the_reads_to_its_parent);
}

const struct test_program test_program = {
	.name = "poller",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
};
