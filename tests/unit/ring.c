/* SPDX-License-Identifier: MIT */
/*
 * unit/ring.c - both engines through the same tests. The loop index is the
 * engine: 0 io_uring (left out where it is not permitted), 1 its twin.
 */
#include "os/ring.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "os/os.h"
#include "support/test.h"
#include "support/wait.h"
#include "support/ways.h"

#define PAGES 64
/* The longest that anything may take. */
#define PATIENCE_US ((int64_t)wait_scaled(20000000))

static const enum vvm_io engines[] = {VVM_IO_URING, VVM_IO_SYNC};

static struct ring *ring;
static int file;
static char buffer[PAGES * PAGE_BYTES] __attribute__((aligned(4096)));

struct test_op {
	struct ring_op op;
	int calls, result;
};

static struct test_op ops[1024];

static void op_done(struct ring_op *op, int result)
{
	struct test_op *t = container_of(op, struct test_op, op);

	t->calls++;
	t->result = result;
}

static struct test_op *op_init(unsigned i, enum ring_kind kind, unsigned page,
			       unsigned pages)
{
	ops[i] = (struct test_op){
		.op = {.done = op_done,
		       .kind = kind,
		       .fd = file,
		       .bytes = (uint32_t)pages_to_bytes(pages),
		       .off = pages_to_bytes(page),
		       .buf = buffer + pages_to_bytes(page % PAGES)},
	};
	return &ops[i];
}

static void open_ring(int i, unsigned depth)
{
	const char *dir = getenv("TMPDIR");

	ck_assert_int_eq(ring_open(&ring, depth, engines[i]), 0);
	ck_assert_int_eq(ring_engine(ring), engines[i]);
	ck_assert_int_eq(os_open(dir ? dir : "/var/tmp", OS_OPEN_TMP, &file),
			 0);
}

static void close_ring(void)
{
	ring_close(ring);
	os_close(file);
}

static void drain(void)
{
	while (ring_inflight(ring))
		ck_assert_int_gt(ring_run(ring, PATIENCE_US), 0);
}

static int run_op(struct test_op *t)
{
	ring_start(ring, &t->op);
	ck_assert_uint_eq(ring_inflight(ring), 1);
	drain();
	ck_assert_int_eq(t->calls, 1);
	return t->result;
}

static void fill_file(void)
{
	unsigned i;

	for (i = 0; i < PAGES; i++)
		memset(buffer + pages_to_bytes(i), (int)i + 1, PAGE_BYTES);
	ck_assert_int_eq(os_pwrite(file, buffer, sizeof(buffer), 0), 0);
	memset(buffer, 0, sizeof(buffer));
}

/* ---- operations ---- */

START_TEST(written_bytes_are_read_back)
{
	open_ring(_i, 8);
	memset(buffer, 0x77, 3 * PAGE_BYTES);
	ck_assert_int_eq(run_op(op_init(0, RING_WRITE, 0, 3)), 0);
	memset(buffer, 0, 3 * PAGE_BYTES);
	ck_assert_int_eq(run_op(op_init(0, RING_READ, 0, 3)), 0);
	ck_assert_int_eq(buffer[0], 0x77);
	ck_assert_int_eq(buffer[3 * PAGE_BYTES - 1], 0x77);
	ck_assert_int_eq(buffer[3 * PAGE_BYTES], 0);
	close_ring();
}
END_TEST

START_TEST(operations_above_the_depth_wait)
{
	unsigned i;

	open_ring(_i, 4);
	fill_file();
	for (i = 0; i < ARRAY_SIZE(ops); i++)
		ring_start(ring, &op_init(i, RING_READ, i % PAGES, 1)->op);
	ck_assert_uint_eq(ring_inflight(ring), ARRAY_SIZE(ops));
	drain();
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		ck_assert_int_eq(ops[i].calls, 1);
		ck_assert_int_eq(ops[i].result, 0);
	}
	for (i = 0; i < PAGES; i++)
		ck_assert_int_eq(buffer[pages_to_bytes(i)], (char)(i + 1));
	close_ring();
}
END_TEST

static unsigned chain_left;

static void chain_done(struct ring_op *op, int result)
{
	static unsigned depth;

	ck_assert_uint_eq(depth++, 0); /* never nested */
	ck_assert_int_eq(result, 0);
	ck_assert_uint_eq(ring_inflight(ring), 0);
	if (--chain_left > 0)
		ring_start(ring, op);
	depth--;
}

START_TEST(a_callback_may_start_the_next_operation)
{
	open_ring(_i, 1);
	fill_file();
	chain_left = 3000;
	op_init(0, RING_READ, 1, 1)->op.done = chain_done;
	ring_start(ring, &ops[0].op);
	drain();
	ck_assert_uint_eq(chain_left, 0);
	close_ring();
}
END_TEST

START_TEST(end_of_file_is_eio)
{
	open_ring(_i, 4);
	ck_assert_int_eq(run_op(op_init(0, RING_READ, 0, 1)), -EIO);
	memset(buffer, 0x11, 6000);
	ck_assert_int_eq(os_pwrite(file, buffer, 6000, 0), 0);
	memset(buffer, 0, sizeof(buffer));
	/* 6000 bytes come, the rest is asked for, nothing comes. */
	ck_assert_int_eq(run_op(op_init(0, RING_READ, 0, 2)), -EIO);
	ck_assert_int_eq(buffer[5999], 0x11);
	ck_assert_int_eq(buffer[6000], 0);
	close_ring();
}
END_TEST

START_TEST(end_of_file_is_eio_with_o_direct)
{
	open_ring(_i, 4);
	memset(buffer, 0x11, 6000);
	ck_assert_int_eq(os_pwrite(file, buffer, 6000, 0), 0);
	if (os_set_direct(file, true) == 0)
		ck_assert_int_eq(run_op(op_init(0, RING_READ, 0, 2)), -EIO);
	close_ring();
}
END_TEST

/* A write past RLIMIT_FSIZE moves what fits, then says EFBIG. */
START_TEST(a_short_write_is_continued)
{
	struct rlimit limit = {6000, RLIM_INFINITY};
	char byte;

	signal(SIGXFSZ, SIG_IGN);
	open_ring(_i, 4);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(run_op(op_init(0, RING_WRITE, 0, 2)), -EFBIG);
	ck_assert_int_eq(os_pread(file, &byte, 1, 5999), 0);
	close_ring();
}
END_TEST

START_TEST(a_bad_descriptor_is_ebadf)
{
	open_ring(_i, 4);
	op_init(0, RING_READ, 0, 1)->op.fd = 1000;
	ck_assert_int_eq(run_op(&ops[0]), -EBADF);
	op_init(0, RING_WRITE, 0, 1)->op.fd = 1000;
	ck_assert_int_eq(run_op(&ops[0]), -EBADF);
	close_ring();
}
END_TEST

START_TEST(an_empty_operation_aborts)
{
	open_ring(_i, 4);
	ring_start(ring, &op_init(0, RING_READ, 0, 0)->op);
}
END_TEST

START_TEST(closing_with_an_operation_aborts)
{
	open_ring(_i, 4);
	ring_start(ring, &op_init(0, RING_READ, 0, 1)->op);
	ring_close(ring);
}
END_TEST

START_TEST(waiting_for_nothing_for_ever_aborts)
{
	open_ring(_i, 4);
	ring_run(ring, -1);
}
END_TEST

/* ---- watches ---- */

struct test_watch {
	struct ring_watch watch;
	int calls;
};

static struct test_watch watches[RING_WATCHES + 1];

static void eventfd_ready(struct ring_watch *watch)
{
	container_of(watch, struct test_watch, watch)->calls++;
	os_eventfd_drain(watch->fd);
}

static void watch_eventfd(unsigned i)
{
	watches[i].watch.ready = eventfd_ready;
	ck_assert_int_eq(os_eventfd(&watches[i].watch.fd), 0);
	ck_assert_int_eq(ring_watch(ring, &watches[i].watch), 0);
}

START_TEST(a_watch_is_called_each_time)
{
	int i;

	open_ring(_i, 4);
	watch_eventfd(0);
	ck_assert_int_eq(ring_run(ring, 0), 0);
	for (i = 1; i <= 100; i++) {
		os_eventfd_signal(watches[0].watch.fd);
		ck_assert_int_eq(ring_run(ring, PATIENCE_US), 1);
		ck_assert_int_eq(watches[0].calls, i);
		ck_assert_int_eq(ring_run(ring, 0), 0);
	}
	ck_assert_uint_eq(ring_inflight(ring), 0);
	close_ring();
}
END_TEST

START_TEST(readable_before_it_was_watched)
{
	open_ring(_i, 4);
	ck_assert_int_eq(os_eventfd(&watches[0].watch.fd), 0);
	os_eventfd_signal(watches[0].watch.fd);
	watches[0].watch.ready = eventfd_ready;
	ck_assert_int_eq(ring_watch(ring, &watches[0].watch), 0);
	ck_assert_int_eq(ring_run(ring, PATIENCE_US), 1);
	ck_assert_int_eq(watches[0].calls, 1);
	close_ring();
}
END_TEST

START_TEST(as_many_watches_as_promised)
{
	unsigned i;

	open_ring(_i, 1);
	for (i = 0; i < RING_WATCHES; i++)
		watch_eventfd(i);
	ck_assert_int_eq(ring_watch(ring, &watches[i].watch), -ENOSPC);
	for (i = 0; i < RING_WATCHES; i++)
		os_eventfd_signal(watches[i].watch.fd);
	for (i = 0; i < RING_WATCHES;)
		i += (unsigned)ring_run(ring, PATIENCE_US);
	for (i = 0; i < RING_WATCHES; i++)
		ck_assert_int_eq(watches[i].calls, 1);
	close_ring(); /* armed, all of them */
}
END_TEST

static void pipe_ready(struct ring_watch *watch)
{
	char text[64];
	ssize_t n = read(watch->fd, text, sizeof(text));

	ck_assert_int_ge(n, 0);
	container_of(watch, struct test_watch, watch)->calls += (int)n;
}

START_TEST(a_pipe_can_be_watched)
{
	int ends[2];

	open_ring(_i, 4);
	ck_assert_int_eq(pipe(ends), 0);
	watches[0].watch.fd = ends[0];
	watches[0].watch.ready = pipe_ready;
	ck_assert_int_eq(ring_watch(ring, &watches[0].watch), 0);
	ck_assert_int_eq(write(ends[1], "abc", 3), 3);
	ck_assert_int_eq(ring_run(ring, PATIENCE_US), 1);
	ck_assert_int_eq(watches[0].calls, 3);
	close(ends[1]); /* hang-up counts as readable: read says 0 */
	ck_assert_int_eq(ring_run(ring, PATIENCE_US), 1);
	close_ring();
}
END_TEST

static void count_ready(struct ring_watch *watch)
{
	container_of(watch, struct test_watch, watch)->calls++;
}

START_TEST(an_unpollable_descriptor_is_called_once)
{
	open_ring(_i, 4);
	watches[0].watch.fd = 1000;
	watches[0].watch.ready = count_ready;
	ck_assert_int_eq(ring_watch(ring, &watches[0].watch), 0);
	ck_assert_int_eq(ring_run(ring, PATIENCE_US), 1);
	ck_assert_int_eq(ring_run(ring, 10000), 0);
	ck_assert_int_eq(watches[0].calls, 1);
	ck_assert(!watches[0].watch.armed);
	close_ring();
}
END_TEST

START_TEST(events_pass_a_queue_of_reads)
{
	unsigned i;

	open_ring(_i, 2);
	fill_file();
	watch_eventfd(0);
	for (i = 0; i < ARRAY_SIZE(ops); i++)
		ring_start(ring, &op_init(i, RING_READ, i % PAGES, 1)->op);
	os_eventfd_signal(watches[0].watch.fd);
	while (watches[0].calls == 0)
		ck_assert_int_gt(ring_run(ring, -1), 0);
	ck_assert_uint_gt(ring_inflight(ring), 0);
	drain();
	close_ring();
}
END_TEST

/* ---- time ---- */

START_TEST(timeouts_are_kept)
{
	uint64_t start, us;

	open_ring(_i, 4);
	watch_eventfd(0);
	start = os_now_us();
	ck_assert_int_eq(ring_run(ring, 30000), 0);
	us = os_now_us() - start;
	ck_assert_uint_ge(us, 29000);
	ck_assert_int_lt((int64_t)us, PATIENCE_US);
	start = os_now_us();
	ck_assert_int_eq(ring_run(ring, 0), 0);
	ck_assert_int_lt((int64_t)(os_now_us() - start), PATIENCE_US);
	close_ring();
}
END_TEST

static void on_alarm(int sig)
{
	(void)sig;
}

START_TEST(signals_do_not_shorten_a_wait)
{
	struct itimerval timer = {{0, 3000}, {0, 3000}};
	struct sigaction action = {.sa_handler = on_alarm};
	uint64_t start = os_now_us();

	open_ring(_i, 4);
	watch_eventfd(0);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	ck_assert_int_eq(ring_run(ring, 50000), 0);
	ck_assert_uint_ge(os_now_us() - start, 49000);
	close_ring();
}
END_TEST

static void *signal_later(void *arg)
{
	os_sleep_us(20000);
	os_eventfd_signal(*(int *)arg);
	return NULL;
}

START_TEST(another_thread_ends_the_wait)
{
	pthread_t thread;

	open_ring(_i, 4);
	watch_eventfd(0);
	pthread_create(&thread, NULL, signal_later, &watches[0].watch.fd);
	ck_assert_int_eq(ring_run(ring, -1), 1);
	pthread_join(thread, NULL);
	close_ring();
}
END_TEST

static void *own_ring(void *arg)
{
	(void)arg;
	ck_assert_int_eq(run_op(op_init(1, RING_WRITE, 0, 1)), 0);
	os_eventfd_signal(watches[0].watch.fd);
	ck_assert_int_eq(ring_run(ring, PATIENCE_US), 1);
	return NULL;
}

START_TEST(opened_here_used_there)
{
	pthread_t thread;

	open_ring(_i, 4);
	watch_eventfd(0);
	pthread_create(&thread, NULL, own_ring, NULL);
	pthread_join(thread, NULL);
	ck_assert_int_eq(watches[0].calls, 1);
	close_ring();
}
END_TEST

/* ---- errors on purpose ---- */

START_TEST(injected_errors_hit_the_nth_operation)
{
	enum { N = 12 };
	unsigned nth, i;
	int kind;

	open_ring(_i, 1); /* one by one, so that they complete in order */
	fill_file();
	for (kind = RING_READ; kind <= RING_WRITE; kind++) {
		for (nth = 1; nth <= N; nth++) {
			os_inject_clear();
			os_inject(kind == RING_READ ? OS_pread : OS_pwrite, nth,
				  false, EIO);
			for (i = 0; i < N; i++)
				ring_start(ring, &op_init(i, kind, i, 1)->op);
			drain();
			for (i = 0; i < N; i++)
				ck_assert_int_eq(ops[i].result,
						 i + 1 == nth ? -EIO : 0);
		}
	}
	os_inject_clear();
	close_ring();
}
END_TEST

START_TEST(interrupted_transfers_are_repeated)
{
	static const int errors[] = {EINTR, EAGAIN};
	unsigned i;

	open_ring(_i, 4);
	fill_file();
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		os_inject_clear();
		os_inject(OS_pread, 1, false, errors[i]);
		ck_assert_int_eq(run_op(op_init(0, RING_READ, 0, 1)), 0);
		ck_assert_uint_eq(os_inject_uses(OS_pread), 2);
	}
	os_inject_clear();
	close_ring();
}
END_TEST

START_TEST(but_not_for_ever)
{
	open_ring(_i, 4);
	fill_file();
	os_inject(OS_pread, 1, true, EAGAIN);
	ck_assert_int_eq(run_op(op_init(0, RING_READ, 0, 1)), -EAGAIN);
	os_inject_clear();
	close_ring();
}
END_TEST

START_TEST(open_without_memory_is_enomem)
{
	os_inject(OS_map, 1, true, ENOMEM);
	ck_assert_int_eq(ring_open(&ring, 4, engines[_i]), -ENOMEM);
	ck_assert_int_eq(ring_open(&ring, 4, VVM_IO_AUTO), -ENOMEM);
	os_inject_clear();
}
END_TEST

START_TEST(auto_takes_the_twin_where_io_uring_is_refused)
{
	static const int refusals[] = {EPERM, ENOSYS, EACCES, ENOMEM};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(refusals); i++) {
		os_inject_clear();
		os_inject(OS_ring_setup, 1, true, refusals[i]);
		ck_assert_int_eq(ring_open(&ring, 4, VVM_IO_AUTO), 0);
		ck_assert_int_eq(ring_engine(ring), VVM_IO_SYNC);
		ring_close(ring);
		ck_assert_int_eq(ring_open(&ring, 4, VVM_IO_URING),
				 -refusals[i]);
	}
	os_inject_clear();
	os_inject(OS_ring_setup, 1, true, EMFILE);
	ck_assert_int_eq(ring_open(&ring, 4, VVM_IO_AUTO), -EMFILE);
	os_inject_clear();
}
END_TEST

/* Some thousand rings: nothing may leak with them. */
START_TEST(rings_come_and_go)
{
	unsigned i;

	for (i = 0; i < 200; i++) {
		open_ring(_i, 16);
		watch_eventfd(0);
		ck_assert_int_eq(ring_run(ring, 0), 0);
		close_ring();
		os_close(watches[0].watch.fd);
	}
	ck_assert_int_lt(file, 32);
}
END_TEST

/* ---- */

static void add_operations(TCase *tc, int from)
{
	tcase_add_loop_test(tc, written_bytes_are_read_back, from, 2);
	tcase_add_loop_test(tc, operations_above_the_depth_wait, from, 2);
	tcase_add_loop_test(tc, a_callback_may_start_the_next_operation, from,
			    2);
	tcase_add_loop_test(tc, end_of_file_is_eio, from, 2);
	tcase_add_loop_test(tc, end_of_file_is_eio_with_o_direct, from, 2);
	tcase_add_loop_test(tc, a_short_write_is_continued, from, 2);
	tcase_add_loop_test(tc, a_bad_descriptor_is_ebadf, from, 2);
	tcase_add_loop_test_raise_signal(tc, an_empty_operation_aborts, SIGABRT,
					 from, 2);
	tcase_add_loop_test_raise_signal(tc, closing_with_an_operation_aborts,
					 SIGABRT, from, 2);
	tcase_add_loop_test_raise_signal(
		tc, waiting_for_nothing_for_ever_aborts, SIGABRT, from, 2);
}

static void add_watches(TCase *tc, int from)
{
	tcase_add_loop_test(tc, a_watch_is_called_each_time, from, 2);
	tcase_add_loop_test(tc, readable_before_it_was_watched, from, 2);
	tcase_add_loop_test(tc, as_many_watches_as_promised, from, 2);
	tcase_add_loop_test(tc, a_pipe_can_be_watched, from, 2);
	tcase_add_loop_test(tc, an_unpollable_descriptor_is_called_once, from,
			    2);
	tcase_add_loop_test(tc, events_pass_a_queue_of_reads, from, 2);
	tcase_add_loop_test(tc, timeouts_are_kept, from, 2);
	tcase_add_loop_test(tc, signals_do_not_shorten_a_wait, from, 2);
	tcase_add_loop_test(tc, another_thread_ends_the_wait, from, 2);
	tcase_add_loop_test(tc, opened_here_used_there, from, 2);
}

static void add_errors(TCase *tc, int from)
{
	tcase_add_loop_test(tc, injected_errors_hit_the_nth_operation, from, 2);
	tcase_add_loop_test(tc, interrupted_transfers_are_repeated, from, 2);
	tcase_add_loop_test(tc, but_not_for_ever, from, 2);
	tcase_add_loop_test(tc, open_without_memory_is_enomem, from, 2);
	tcase_add_loop_test(tc, rings_come_and_go, from, 2);
	if (from == 0)
		tcase_add_test(tc,
			       auto_takes_the_twin_where_io_uring_is_refused);
}

static void add_tests(Suite *suite)
{
	int from = ways() == 3 ? 0 : 1;

	add_operations(test_case(suite, "operations"), from);
	add_watches(test_case(suite, "watches"), from);
	add_errors(test_case(suite, "errors"), from);
}

const struct test_program test_program = {
	.name = "ring",
	.add = add_tests,
};
