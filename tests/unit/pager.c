/* SPDX-License-Identifier: MIT */
/*
 * unit/pager.c - requests of a pager from inside: by a ring and in place, what
 * becomes of results, and the ends of a pager: closed, and abandoned by a space
 * that has lost a thread. The whole of it: api/pager.
 */
#include "swap/pager.h"

#include <errno.h>
#include <semaphore.h>
#include <string.h>

#include "support/test.h"
#include "support/wait.h"
#include "support/ways.h"
#include "util/log.h"

#define PATIENCE_US ((int64_t)wait_scaled(20000000))
#define OFFSET	    (3 * PAGE_BYTES)
#define REQUESTS    20

static struct pagers space;
static struct backing *pager;
static struct ring *ring;
static struct ring_watch watch;
static int event;

static struct io io[REQUESTS];
static char page[REQUESTS][2 * PAGE_BYTES] __attribute__((aligned(4096)));
static unsigned done, order[REQUESTS];
static int results[REQUESTS];

static _Atomic unsigned calls;
static atomic_bool held;
static sem_t go;
static _Atomic int answer;
static _Atomic(struct vvm_pager_request *) kept;

static void wait_to_go(void)
{
	while (atomic_load(&held) && sem_wait(&go) < 0)
		;
}

static int on_read(void *arg, struct vvm_pager_request *rq)
{
	ck_assert_ptr_eq(arg, &space);
	atomic_fetch_add(&calls, 1);
	wait_to_go();
	memset(rq->to, (int)(rq->offset / PAGE_BYTES), rq->len);
	if (answer == VVM_PAGER_LATER)
		atomic_store(&kept, rq);
	return answer;
}

static int on_write(void *arg, struct vvm_pager_request *rq)
{
	ck_assert_ptr_eq(arg, &space);
	atomic_fetch_add(&calls, 1);
	wait_to_go();
	ck_assert_ptr_null(rq->to);
	if (answer == 2)
		return vvm_pager_fail(rq, rq->offset + PAGE_BYTES, 1);
	return answer;
}

static int on_call(void *arg, struct vvm_pager_request *rq)
{
	ck_assert_ptr_eq(arg, &space);
	ck_assert_ptr_null(rq->to);
	ck_assert_ptr_null(rq->from);
	ck_assert(pagers_call_me(&space));
	ck_assert(pagers_have(&space, os_tid()));
	atomic_fetch_add(&calls, 1);
	return answer;
}

static void open_pager(unsigned threads)
{
	const struct vvm_pager p = {
		.struct_bytes = sizeof(p),
		.read = on_read,
		.write = on_write,
		.discard = on_call,
		.sync = on_call,
		.arg = &space,
		.threads = threads,
	};

	ck_assert_int_eq(pager_open(&pager, &p, OFFSET, &space), 0);
	backing_use(pager);
}

static void ready(struct ring_watch *w)
{
	os_eventfd_drain(w->fd);
}

/* Each test begins with its way. */
static void begin(int way)
{
	ring = way_open(way);
	if (!ring)
		return;
	watch = (struct ring_watch){.fd = event, .ready = ready};
	ck_assert_int_eq(ring_watch(ring, &watch), 0);
	ring_wake_by(ring, event);
}

static void set_up(void)
{
	log_set_level(LOG_NONE);
	pagers_init(&space);
	sem_init(&go, 0, 0);
	done = 0;
	ck_assert_int_eq(os_eventfd(&event), 0);
	ring = NULL;
}

static void tear_down(void)
{
	os_inject_clear();
	if (pager)
		backing_drop(pager);
	pager = NULL;
	if (ring)
		ring_close(ring);
	os_close(event);
	ck_assert_uint_eq(space.flight.count, 0);
}

static void on_done(struct io *i, int result)
{
	unsigned n = (unsigned)(i - io);

	order[done++] = n;
	results[n] = result;
}

/* Two pages each, from slot 2n on. */
static void start(unsigned n, bool write)
{
	io[n] = (struct io){
		.done = on_done,
		.home = pager,
		.slot = 2 * n,
		.pages = 2,
		.buf = page[n],
	};
	if (write)
		io_write(&io[n], ring);
	else
		io_read(&io[n], ring);
}

static void run_until(unsigned n)
{
	uint64_t until_us = os_now_us() + (uint64_t)PATIENCE_US;

	while (done < n) {
		ck_assert(ring && os_now_us() < until_us);
		ck_assert_int_ge(ring_run(ring, 100000), 0);
	}
	ck_assert_uint_eq(done, n);
}

static void expect_page(unsigned n)
{
	ck_assert_int_eq(page[n][0], 3 + (int)(2 * n));
	ck_assert_int_eq(page[n][2 * PAGE_BYTES - 1], 3 + (int)(2 * n));
	ck_assert(!io_page_bad(&io[n], 0) && !io_page_bad(&io[n], 1));
}

/* ---- results ---- */

START_TEST(reads)
{
	unsigned n;

	begin(_i);
	answer = 0;
	open_pager(3);
	for (n = 0; n < REQUESTS; n++)
		start(n, false);
	run_until(REQUESTS);
	for (n = 0; n < REQUESTS; n++) {
		ck_assert_int_eq(results[n], 0);
		expect_page(n);
	}
	ck_assert_uint_eq(calls, REQUESTS);
}
END_TEST

START_TEST(one_thread_answers_in_the_order_of_the_requests)
{
	unsigned n;

	begin(_i);
	answer = 0;
	open_pager(0);
	for (n = 0; n < REQUESTS; n++)
		start(n, n % 2);
	run_until(REQUESTS);
	for (n = 0; n < REQUESTS; n++)
		ck_assert_uint_eq(order[n], n);
}
END_TEST

START_TEST(errors)
{
	static const int said[] = {-EIO, -ENOSPC, 7, -5000, 1000000};
	unsigned i, n = 0;

	begin(_i);
	open_pager(1);
	for (i = 0; i < ARRAY_SIZE(said); i++, n += 2) {
		int want = said[i] < 0 && said[i] > -4096 ? said[i] : -EIO;

		answer = said[i];
		start(n, false);
		start(n + 1, true);
		run_until(n + 2);
		ck_assert_int_eq(results[n], want);
		ck_assert_int_eq(results[n + 1], want);
		ck_assert(io_page_bad(&io[n + 1], 0));
		ck_assert(io_page_bad(&io[n + 1], 1));
	}
	answer = 2; /* of a write: its second page fails */
	start(n, true);
	run_until(n + 1);
	ck_assert_int_eq(results[n], -EIO);
	ck_assert(!io_page_bad(&io[n], 0) && io_page_bad(&io[n], 1));
}
END_TEST

START_TEST(discard_and_sync)
{
	begin(_i);
	open_pager(1);
	answer = 0;
	pager->ops->discard(pager, 5, 1000000);
	ck_assert_uint_eq(calls, 1);
	ck_assert_int_eq(pager->ops->sync(pager, 0), 0);
	ck_assert_uint_eq(calls, 2);
	answer = -ENOSPC;
	pager->ops->discard(pager, 5, 1);
	ck_assert_int_eq(pager->ops->sync(pager, 0), -ENOSPC);
	answer = 0; /* another sync, which began before that, hears of it */
	ck_assert_int_eq(pager->ops->sync(pager, 0), -EIO);
	ck_assert_int_eq(pager->ops->sync(pager, 1), 0);
}
END_TEST

/* ---- LATER ---- */

START_TEST(ended_by_another_thread)
{
	begin(_i); /* who waits in place cannot end it */
	open_pager(1);
	answer = VVM_PAGER_LATER;
	start(0, false);
	while (!atomic_load(&kept))
		os_yield();
	ck_assert_int_eq(ring_run(ring, 0), 0);
	ck_assert_uint_eq(done, 0);
	ck_assert_uint_eq(ring_inflight(ring), 1);
	ck_assert_int_eq(vvm_pager_fail(kept, OFFSET + PAGE_BYTES, 1), 0);
	ck_assert_int_eq(vvm_pager_fail(kept, OFFSET + 2 * PAGE_BYTES, 1),
			 -EINVAL);
	ck_assert_int_eq(vvm_pager_fail(kept, 0, 1), -EINVAL);
	vvm_pager_end(kept, 0);
	run_until(1);
	ck_assert_int_eq(results[0], 0);
	ck_assert(!io_page_bad(&io[0], 0) && io_page_bad(&io[0], 1));
}
END_TEST

START_TEST(a_second_end_is_a_mistake)
{
	begin(1);
	open_pager(1);
	answer = VVM_PAGER_LATER;
	start(0, false);
	while (!atomic_load(&kept))
		os_yield();
	vvm_pager_end(kept, 0);
	vvm_pager_end(kept, 0);
}
END_TEST

/* ---- reclaim ---- */

START_TEST(it_rests_while_it_has_enough_to_write)
{
	open_pager(2);
	ck_assert(pager->slow && pager->discards && backing_is_home(pager));
	ck_assert(!backing_rests(pager, os_now_us()));
	pager->writing = BACKING_SLOW_WRITES - 1;
	ck_assert(!backing_rests(pager, os_now_us()));
	pager->writing++;
	ck_assert(backing_rests(pager, os_now_us()));
	pager->slow = false;
	ck_assert(!backing_rests(pager, os_now_us()));
	pager->slow = true;
}
END_TEST

/* ---- the ends ---- */

START_TEST(an_error_when_threads_are_started)
{
	const struct vvm_pager p = {
		.struct_bytes = sizeof(p), .read = on_read, .threads = 3};
	struct backing *b;
	unsigned n;

	for (n = 1; n <= 3; n++) {
		os_inject(OS_thread, n, false, EAGAIN);
		ck_assert_int_eq(pager_open(&b, &p, 0, &space), -EAGAIN);
		os_inject_clear();
		for (unsigned i = 0; i < PAGERS_THREADS_MAX; i++)
			ck_assert_int_eq(space.tid[i], 0);
	}
	ck_assert_int_eq(pager_open(&b, &p, 0, &space), 0);
	ck_assert(!backing_is_home(b) && !b->discards && b->slow);
	backing_use(b);
	backing_drop(b);
}
END_TEST

static void *abandon(void *arg)
{
	pager->ops->abandon(pager);
	atomic_store((atomic_bool *)arg, true);
	return NULL;
}

/* One is with the program and is waited for, the others have failed then. */
START_TEST(abandoned_by_a_space_that_is_lost)
{
	atomic_bool over = false;
	pthread_t thread;
	unsigned n;

	begin(_i);
	answer = 0;
	atomic_store(&held, true);
	open_pager(1);
	start(0, false);
	while (!atomic_load(&calls))
		os_yield();
	for (n = 1; n < 5; n++)
		start(n, n % 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, abandon, &over), 0);
	run_until(4);
	ck_assert(!atomic_load(&over));
	for (n = 1; n < 5; n++)
		ck_assert_int_eq(results[n], -EIO);
	start(5, false); /* nothing begins any more */
	run_until(5);
	ck_assert_int_eq(results[5], -EIO);
	atomic_store(&held, false);
	sem_post(&go);
	pthread_join(thread, NULL);
	run_until(6);
	ck_assert_uint_eq(ring_inflight(ring), 0);
	ck_assert_int_eq(results[0], 0);
	ck_assert_uint_eq(calls, 1);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "requests");

	tcase_add_loop_test(tc, reads, 0, ways());
	tcase_add_loop_test(tc, one_thread_answers_in_the_order_of_the_requests,
			    0, ways());
	tcase_add_loop_test(tc, errors, 0, ways());
	tcase_add_loop_test(tc, discard_and_sync, 0, ways());
	tcase_add_loop_test(tc, ended_by_another_thread, 1, ways());
	tcase_add_test_raise_signal(tc, a_second_end_is_a_mistake, SIGABRT);
	tcase_add_test(tc, it_rests_while_it_has_enough_to_write);
	tc = test_case(s, "ends");
	tcase_add_test(tc, an_error_when_threads_are_started);
	tcase_add_loop_test(tc, abandoned_by_a_space_that_is_lost, 1, ways());
}

const struct test_program test_program = {
	.name = "pager",
	.add = add_tests,
	.setup = set_up,
	.teardown = tear_down,
};
