/* SPDX-License-Identifier: MIT */
/*
 * api/pager.c - regions paged by code of the program: what it is asked, when,
 * and what becomes of errors, of pagers that take their time, and of callbacks
 * that touch what they page.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/access.h"
#include "support/child.h"
#include "support/frames.h"
#include "support/live.h"
#include "support/process.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

#define BUDGET 64
#define PAGES  300
#define ALL    UINT64_MAX

/* ---- a store of pages, in memory ---- */

/* A request that was put aside. */
struct later {
	struct vvm_pager_request *rq;
	bool write;
};

static struct store {
	char page[PAGES][LIVE_PAGE];
	_Atomic unsigned busy[PAGES]; /* requests under way */
	_Atomic unsigned reads[PAGES], writes[PAGES], discards[PAGES];
	_Atomic unsigned syncs, calls; /* calls: that have not returned */
	_Atomic unsigned longest;      /* request, in pages */
	/* What fails, and how: -errno. */
	_Atomic int read_error, write_error, sync_error;
	_Atomic uint64_t bad; /* page that fails by itself; ALL: none */
	/* Requests are held while this is set: of all pages, or of one. */
	atomic_bool hold_reads, hold_writes;
	_Atomic uint64_t only; /* ALL: of all */
	_Atomic unsigned held; /* so many are */
	sem_t go;	       /* posted as often as there may be any held */
	/* LATER: */
	atomic_bool later, stop;
	pthread_mutex_t lock;
	struct later queue[1024];
	unsigned queued;
} store;

static char *p; /* what is mapped */

static uint64_t first_of(const struct vvm_pager_request *rq)
{
	return rq->offset / LIVE_PAGE;
}

/* Page i of the store is of this version. */
static void put(uint64_t i, uint64_t version)
{
	live_fill(store.page[i], i, version);
}

static bool has(uint64_t i, uint64_t version)
{
	return live_verify(store.page[i], i, version) == -1;
}

static void setup(void)
{
	live_begin(BUDGET);
	memset(&store, 0, sizeof(store));
	store.bad = store.only = ALL;
	sem_init(&store.go, 0, 0);
	pthread_mutex_init(&store.lock, NULL);
	for (uint64_t i = 0; i < PAGES; i++)
		put(i, 1);
}

static void teardown(void)
{
	live_end();
	live_equal(store.calls, 0);
}

static void begin(const struct vvm_pager_request *rq)
{
	uint64_t n = rq->len / LIVE_PAGE, i;
	unsigned longest = store.longest;

	live_equal(rq->offset % LIVE_PAGE, 0);
	live_equal(rq->len % LIVE_PAGE, 0);
	live_check(n && first_of(rq) + n <= PAGES);
	for (i = first_of(rq); i < first_of(rq) + n; i++)
		live_equal(store.busy[i]++, 0); /* never two of a page */
	while (longest < n && !atomic_compare_exchange_weak(
				      &store.longest, &longest, (unsigned)n))
		;
}

static void end(const struct vvm_pager_request *rq)
{
	for (uint64_t i = first_of(rq); i < first_of(rq) + rq->len / LIVE_PAGE;
	     i++)
		store.busy[i]--;
}

static bool holds_page(const struct vvm_pager_request *rq, uint64_t i)
{
	return i >= first_of(rq) && i < first_of(rq) + rq->len / LIVE_PAGE;
}

static void hold(const struct vvm_pager_request *rq, atomic_bool *flag)
{
	if (!*flag || (store.only != ALL && !holds_page(rq, store.only)))
		return;
	store.held++;
	while (sem_wait(&store.go) < 0)
		;
	store.held--;
}

/* What is held now goes on, and nothing is held any more. */
static void let_go(void)
{
	store.hold_reads = store.hold_writes = false;
	for (unsigned i = 0; i < 2 * PAGES; i++)
		sem_post(&store.go);
}

static int answer_read(struct vvm_pager_request *rq)
{
	for (uint64_t k = 0; k < rq->len / LIVE_PAGE; k++) {
		uint64_t i = first_of(rq) + k;

		live_check(live_is_zero((char *)rq->to + k * LIVE_PAGE));
		memcpy((char *)rq->to + k * LIVE_PAGE, store.page[i],
		       LIVE_PAGE);
		store.reads[i]++;
		if (i == store.bad)
			live_ok(vvm_pager_fail(rq, i * LIVE_PAGE, 1));
	}
	return store.read_error;
}

static int answer_write(struct vvm_pager_request *rq)
{
	for (uint64_t k = 0; k < rq->len / LIVE_PAGE; k++) {
		uint64_t i = first_of(rq) + k;

		store.writes[i]++;
		if (store.write_error)
			continue;
		if (i == store.bad)
			live_ok(vvm_pager_fail(rq, i * LIVE_PAGE, LIVE_PAGE));
		else
			memcpy(store.page[i],
			       (const char *)rq->from + k * LIVE_PAGE,
			       LIVE_PAGE);
	}
	return store.write_error;
}

static void end_later(struct vvm_pager_request *rq, bool write)
{
	int rc = write ? answer_write(rq) : answer_read(rq);

	end(rq);
	vvm_pager_end(rq, rc);
}

static int put_aside(struct vvm_pager_request *rq, bool write)
{
	pthread_mutex_lock(&store.lock);
	live_check(store.queued < LIVE_LEN(store.queue));
	store.queue[store.queued++] = (struct later){rq, write};
	pthread_mutex_unlock(&store.lock);
	return VVM_PAGER_LATER;
}

static int read_pages(void *arg, struct vvm_pager_request *rq)
{
	int rc;

	live_check(arg == &store && rq->to && !rq->from);
	store.calls++;
	begin(rq);
	hold(rq, &store.hold_reads);
	if (store.later) {
		rc = put_aside(rq, false);
	} else {
		rc = answer_read(rq);
		end(rq);
	}
	store.calls--;
	return rc;
}

static int write_pages(void *arg, struct vvm_pager_request *rq)
{
	int rc;

	live_check(arg == &store && rq->from && !rq->to);
	store.calls++;
	begin(rq);
	hold(rq, &store.hold_writes);
	if (store.later) {
		rc = put_aside(rq, true);
	} else {
		rc = answer_write(rq);
		end(rq);
	}
	store.calls--;
	return rc;
}

static int discard_pages(void *arg, struct vvm_pager_request *rq)
{
	live_check(arg == &store && !rq->from && !rq->to);
	for (uint64_t i = first_of(rq); i < first_of(rq) + rq->len / LIVE_PAGE;
	     i++) {
		store.discards[i]++;
		memset(store.page[i], 0, LIVE_PAGE);
	}
	return 0;
}

static int sync_store(void *arg, struct vvm_pager_request *rq)
{
	live_check(arg == &store && rq);
	store.syncs++;
	return store.sync_error;
}

/* Ends what was put aside, the last first. */
static void *finisher(void *arg)
{
	struct later l = {0};

	(void)arg;
	for (;;) {
		bool stop = store.stop;

		pthread_mutex_lock(&store.lock);
		l.rq = NULL;
		if (store.queued)
			l = store.queue[--store.queued];
		pthread_mutex_unlock(&store.lock);
		if (l.rq)
			end_later(l.rq, l.write);
		else if (stop)
			return NULL;
		else
			live_nap_us(100);
	}
}

/* ---- mapping ---- */

static const struct vvm_pager whole = {
	.struct_bytes = sizeof(whole),
	.read = read_pages,
	.write = write_pages,
	.sync = sync_store,
	.arg = &store,
};

static char *map_pager(const struct vvm_pager *pager, uint64_t from,
		       uint64_t pages)
{
	uint64_t addr = VVM_ANYWHERE;

	live_ok(vvm_map_pager(vm, &addr, pages * LIVE_PAGE, LIVE_RW, "store",
			      pager, from * LIVE_PAGE));
	return vvm_ptr(vm, addr);
}

static char *map_all(unsigned threads)
{
	struct vvm_pager pager = whole;

	pager.threads = threads;
	return map_pager(&pager, 0, PAGES);
}

static char *at(uint64_t i)
{
	return p + i * LIVE_PAGE;
}

/* Has everything of the store evicted, by what needs all frames. */
static void push_out(void)
{
	uint64_t others = 4 * BUDGET;
	char *other = live_map(vm, others, LIVE_RW);

	live_push_out(vm, p, PAGES, other, others);
	live_ok(vvm_unmap(vm, live_addr(other), others * LIVE_PAGE));
}

static int sync_all(unsigned flags)
{
	return vvm_sync(vm, live_addr(p), PAGES * LIVE_PAGE, flags);
}

static int dontneed(uint64_t i, uint64_t n)
{
	return vvm_advise(vm, live_addr(at(i)), n * LIVE_PAGE,
			  VVM_ADV_DONTNEED);
}

static int advise_random(void)
{
	return vvm_advise(vm, live_addr(p), PAGES * LIVE_PAGE, VVM_ADV_RANDOM);
}

static void unmap_all(void)
{
	live_ok(vvm_unmap(vm, live_addr(p), PAGES * LIVE_PAGE));
}

/* ---- what pages are ---- */

START_TEST(pages_are_what_the_pager_says)
{
	struct live_sampler sampler;

	live_sampler_start(&sampler, BUDGET);
	p = map_all((unsigned)_i);
	for (int round = 0; round < 3; round++)
		for (uint64_t i = 0; i < PAGES; i++)
			live_equal(live_verify(at(i), i, 1), -1);
	live_check(live_sampler_stop(&sampler) <= BUDGET);
	for (uint64_t i = 0; i < PAGES; i++) {
		live_check(store.reads[i] > 0);
		live_equal(store.writes[i], 0);
	}
}
END_TEST

START_TEST(what_is_not_filled_is_zero)
{
	p = map_all(0);
	memset(store.page, 0, sizeof(store.page));
	put(7, 1);
	for (uint64_t i = 0; i < PAGES; i++)
		live_check(i == 7 ? live_verify(at(i), i, 1) == -1
				  : live_is_zero(at(i)));
}
END_TEST

START_TEST(part_of_a_store_at_an_offset)
{
	p = map_pager(&whole, 100, 50);
	for (uint64_t i = 0; i < 50; i++)
		live_equal(live_verify(at(i), 100 + i, 1), -1);
	live_fill(at(3), 103, 2);
	live_ok(vvm_unmap(vm, live_addr(p), 10 * LIVE_PAGE));
	live_check(has(103, 2) && has(102, 1));
	live_equal(live_verify(at(49), 149, 1), -1);
}
END_TEST

START_TEST(adjacent_pages_are_asked_for_at_once)
{
	p = map_all(0);
	live_ok(vvm_advise(vm, live_addr(p), 16 * LIVE_PAGE, VVM_ADV_WILLNEED));
	live_wait(store.reads[15], 20000);
	live_check(store.longest > 1);
	for (uint64_t i = 0; i < 16; i++)
		live_equal(live_verify(at(i), i, 1), -1);
}
END_TEST

/* ---- where changes go ---- */

static void change(uint64_t step, uint64_t version)
{
	for (uint64_t i = 0; i < PAGES; i += step)
		live_fill(at(i), i, version);
}

static void expect_store(uint64_t step, uint64_t version, uint64_t otherwise)
{
	for (uint64_t i = 0; i < PAGES; i++)
		live_check(has(i, i % step ? otherwise : version));
}

START_TEST(changes_get_to_the_pager)
{
	p = map_all(2);
	change(3, 2);
	switch (_i) {
	case 0:
		live_ok(sync_all(VVM_SYNC_SYNC));
		live_equal(store.syncs, 1);
		break;
	case 1:
		live_ok(sync_all(VVM_SYNC_ASYNC));
		live_equal(store.syncs, 0);
		break;
	case 2:
		push_out();
		break;
	case 3:
		unmap_all();
		break;
	case 4:
		live_ok(dontneed(0, PAGES));
		break;
	default:
		live_ok(vvm_close(vm));
		vm = NULL;
	}
	expect_store(3, 2, 1);
	if (_i == 3 || _i > 4)
		return;
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(live_verify(at(i), i, i % 3 ? 1 : 2), -1);
	live_equal(live_stats(vm).swap_used_pages, 0);
}
END_TEST

START_TEST(what_was_not_changed_is_not_written)
{
	p = map_all(0);
	change(5, 2);
	unmap_all();
	for (uint64_t i = 0; i < PAGES; i++)
		live_check(i % 5 ? !store.writes[i] : store.writes[i] > 0);
}
END_TEST

/* Changes are the space's own; the pager is asked again for what is dropped. */
START_TEST(a_pager_that_does_not_write)
{
	struct vvm_pager pager = whole;

	pager.write = NULL;
	pager.sync = NULL;
	p = map_pager(&pager, 0, PAGES);
	change(3, 2);
	push_out();
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(live_verify(at(i), i, i % 3 ? 1 : 2), -1);
	live_ok(sync_all(VVM_SYNC_SYNC));
	expect_store(1, 1, 1);
	live_ok(dontneed(0, PAGES));
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(live_verify(at(i), i, 1), -1);
	live_wait(live_idle_stats(vm).swap_used_pages == 0, 20000);
}
END_TEST

/* What was changed is not written then, and what nobody touched is told, too. */
START_TEST(what_is_void_is_discarded)
{
	struct vvm_pager pager = whole;

	pager.discard = discard_pages;
	if (_i) {
		pager.write = NULL;
		pager.sync = NULL;
	}
	p = map_pager(&pager, 0, PAGES);
	for (uint64_t i = 0; i < 30; i++)
		live_fill(at(i), i, 2);
	live_ok(dontneed(10, 280));
	for (uint64_t i = 0; i < PAGES; i++) {
		live_equal(store.discards[i], i >= 10 && i < 290);
		if (i >= 10 && i < 290)
			live_check(live_is_zero(at(i)));
	}
	for (uint64_t i = 0; i < 10; i++)
		live_equal(live_verify(at(i), i, 2), -1);
	live_equal(live_verify(at(295), 295, 1), -1);
	unmap_all();
	for (uint64_t i = 10; i < 290; i++)
		live_check(live_is_zero(store.page[i]));
}
END_TEST

START_TEST(invalidate_asks_again)
{
	p = map_all(0);
	live_equal(live_verify(at(5), 5, 1), -1);
	put(5, 9);
	live_equal(live_verify(at(5), 5, 1), -1);
	live_ok(sync_all(VVM_SYNC_INVALIDATE));
	live_equal(live_verify(at(5), 5, 9), -1);
}
END_TEST

START_TEST(pins_touches_and_checked_accesses)
{
	char page[LIVE_PAGE];

	p = map_all(0);
	live_ok(vvm_pin(vm, live_addr(at(20)), 4 * LIVE_PAGE));
	live_ok(vvm_load(vm, live_addr(at(21)), page, sizeof(page)));
	live_equal(live_verify(page, 21, 1), -1);
	live_fill(page, 22, 2);
	live_ok(vvm_store(vm, live_addr(at(22)), page, sizeof(page)));
	live_ok(sync_all(VVM_SYNC_SYNC));
	live_check(has(22, 2) && has(21, 1));
	live_ok(vvm_unpin(vm, live_addr(at(20)), 4 * LIVE_PAGE));
	live_ok(vvm_touch(vm, live_addr(p), PAGES * LIVE_PAGE, VVM_TOUCH_READ));
}
END_TEST

/* ---- LATER ---- */

START_TEST(requests_are_ended_later_by_another_thread)
{
	pthread_t thread[3];

	store.later = true;
	p = map_all(2);
	for (unsigned i = 0; i < LIVE_LEN(thread); i++)
		live_equal(pthread_create(&thread[i], NULL, finisher, NULL), 0);
	for (uint64_t version = 1; version < 5; version++) {
		for (uint64_t i = 0; i < PAGES; i++)
			live_equal(live_verify(at(i), i, version), -1);
		change(1, version + 1);
	}
	live_ok(sync_all(VVM_SYNC_ASYNC));
	expect_store(1, 5, 5);
	unmap_all();
	store.stop = true;
	for (unsigned i = 0; i < LIVE_LEN(thread); i++)
		pthread_join(thread[i], NULL);
}
END_TEST

/* ... perhaps before the callback has said so. */
static int read_ended_at_once(void *arg, struct vvm_pager_request *rq)
{
	int rc = read_pages(arg, rq);

	live_equal(rc, 0);
	vvm_pager_end(rq, rc);
	return VVM_PAGER_LATER;
}

START_TEST(a_request_may_be_over_before_its_callback)
{
	struct vvm_pager pager = whole;

	pager.read = read_ended_at_once;
	pager.threads = 3;
	p = map_pager(&pager, 0, PAGES);
	for (int round = 0; round < 5; round++)
		for (uint64_t i = 0; i < PAGES; i++)
			live_equal(live_verify(at(i), i, 1), -1);
}
END_TEST

/* ---- errors ---- */

static void expect_bad(uint64_t i)
{
	uint64_t value;

	live_equal(live_try_load(at(i), &value), SIGBUS);
	live_check(live_signal_addr == at(i));
	live_expect(vvm_load(vm, live_addr(at(i)), &value, sizeof(value)),
		    -VVM_EPOISON);
}

START_TEST(an_error_hits_only_who_asked)
{
	p = map_all(0);
	store.bad = 8;
	expect_bad(8);
	for (uint64_t i = 0; i < PAGES; i++)
		if (i != 8)
			live_equal(live_verify(at(i), i, 1), -1);
	store.bad = ALL;
	expect_bad(8); /* for good, ... */
	if (_i)
		live_ok(dontneed(8, 1));
	else
		live_ok(sync_all(VVM_SYNC_INVALIDATE));
	live_equal(live_verify(at(8), 8, 1), -1); /* ... until this */
}
END_TEST

START_TEST(a_request_fails_as_a_whole)
{
	p = map_all(0);
	live_ok(advise_random());
	store.read_error = -EIO;
	expect_bad(3);
	store.read_error = 12345; /* is no result */
	expect_bad(4);
	store.read_error = 0;
	for (uint64_t i = 5; i < PAGES; i++)
		live_equal(live_verify(at(i), i, 1), -1);
	live_ok(dontneed(0, 5));
	live_equal(live_verify(at(3), 3, 1), -1);
}
END_TEST

/* What is not in a request cannot fail. */
static int fail_outside(void *arg, struct vvm_pager_request *rq)
{
	live_expect(vvm_pager_fail(rq, rq->offset + rq->len, 1), -EINVAL);
	live_expect(vvm_pager_fail(rq, rq->offset, rq->len + 1), -EINVAL);
	live_expect(vvm_pager_fail(rq, rq->offset, 0), -EINVAL);
	live_expect(vvm_pager_fail(rq, rq->offset, UINT64_MAX), -EINVAL);
	if (rq->offset)
		live_expect(vvm_pager_fail(rq, rq->offset - 1, 2), -EINVAL);
	return read_pages(arg, rq);
}

START_TEST(failing_what_was_not_asked)
{
	struct vvm_pager pager = whole;

	pager.read = fail_outside;
	p = map_pager(&pager, 0, PAGES);
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(live_verify(at(i), i, 1), -1);
}
END_TEST

START_TEST(a_failing_write_is_told_of_and_costs_nothing)
{
	p = map_all(0);
	for (uint64_t i = 0; i < 20; i++)
		live_fill(at(i), i, 2);
	store.write_error = -ENOSPC;
	live_expect(sync_all(VVM_SYNC_SYNC), -ENOSPC);
	store.write_error = 0;
	store.bad = 7;
	live_expect(sync_all(VVM_SYNC_ASYNC), -EIO);
	for (uint64_t i = 0; i < 20; i++)
		live_check(has(i, i == 7 ? 1 : 2));
	store.bad = ALL;
	live_ok(sync_all(VVM_SYNC_SYNC));
	live_check(has(7, 2));
	store.sync_error = -EIO;
	live_fill(at(0), 0, 3);
	live_expect(sync_all(VVM_SYNC_SYNC), -EIO);
	live_check(has(0, 3));
	store.sync_error = 0;
	live_ok(sync_all(VVM_SYNC_SYNC));
}
END_TEST

START_TEST(reclaim_lives_with_a_pager_that_cannot_write)
{
	uint64_t others = 4 * BUDGET;
	char *other = live_map(vm, others, LIVE_RW);

	p = map_all(0);
	store.write_error = -EIO;
	for (uint64_t i = 0; i < BUDGET / 2; i++)
		live_fill(at(i), i, 2);
	for (uint64_t i = 0; i < others; i++)
		live_fill(other + i * LIVE_PAGE, i, 1);
	for (uint64_t i = 0; i < others; i++)
		live_equal(live_verify(other + i * LIVE_PAGE, i, 1), -1);
	for (uint64_t i = 0; i < BUDGET / 2; i++)
		live_equal(live_verify(at(i), i, 2), -1);
	expect_store(1, 1, 1);
	store.write_error = 0;
	unmap_all();
	for (uint64_t i = 0; i < BUDGET / 2; i++)
		live_check(has(i, 2));
}
END_TEST

START_TEST(unmapping_what_cannot_be_written_is_counted)
{
	p = map_all(0);
	live_fill(at(3), 3, 2);
	store.write_error = -EIO;
	unmap_all();
	live_check(has(3, 1));
	live_check(live_stats(vm).writeback_failed_pages > 0);
}
END_TEST

START_TEST(arguments)
{
	struct vvm_pager pager = whole;
	uint64_t addr = VVM_ANYWHERE;
	int threads = live_count_threads();

#define REFUSED(offset, want)                                                  \
	live_expect(vvm_map_pager(vm, &addr, LIVE_PAGE, LIVE_RW, NULL, &pager, \
				  offset),                                     \
		    want)
	live_expect(vvm_map_pager(vm, &addr, LIVE_PAGE, LIVE_RW, NULL, NULL, 0),
		    -EINVAL);
	live_expect(
		vvm_map_pager(vm, NULL, LIVE_PAGE, LIVE_RW, NULL, &pager, 0),
		-EINVAL);
	live_expect(vvm_map_pager(vm, &addr, 0, LIVE_RW, NULL, &pager, 0),
		    -EINVAL);
	REFUSED(1, -EINVAL);
	REFUSED((uint64_t)1 << 63, -EINVAL);
	pager.struct_bytes--;
	REFUSED(0, -EINVAL);
	pager = whole;
	pager.read = NULL;
	REFUSED(0, -EINVAL);
	pager = whole;
	pager.write = NULL;
	REFUSED(0, -EINVAL);
	pager = whole;
	pager.flags = 1;
	REFUSED(0, -EINVAL);
	pager = whole;
	pager.threads = VVM_PAGER_THREADS + 1;
	REFUSED(0, -EINVAL);
	addr = (uint64_t)(uintptr_t)live_map(vm, 1, LIVE_RW);
	pager = whole;
	REFUSED(0, -EEXIST);
	live_equal(live_count_threads(), threads);
}
END_TEST

START_TEST(threads_are_limited_and_end_with_the_region)
{
	int threads = live_count_threads(), fds = 0;
	struct vvm_pager pager = whole;
	uint64_t addr = VVM_ANYWHERE;
	char *q[4];

	pager.threads = VVM_PAGER_THREADS;
	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 4; i++)
			q[i] = map_pager(&pager, 0, 2);
		live_expect(vvm_map_pager(vm, &addr, LIVE_PAGE, LIVE_RW, NULL,
					  &pager, 0),
			    -EAGAIN);
		live_equal(live_count_threads(), threads + 256);
		live_equal(live_verify(q[3], 0, 1), -1);
		for (unsigned i = 0; i < 4; i++)
			live_ok(vvm_unmap(vm, live_addr(q[i]), 2 * LIVE_PAGE));
		live_wait(live_count_threads() == threads, 20000);
		if (!round) /* the library's own threads have begun by now */
			fds = live_count_fds();
	}
	live_equal(live_count_fds(), fds);
}
END_TEST

/* ---- pagers that take their time ---- */

#define WAITERS 80  /* more than a handler has buffers, which are 64 */
#define ROOM	128 /* frames */

static _Atomic unsigned begun;

static void *wait_for_page(void *arg)
{
	uint64_t i = (uint64_t)(uintptr_t)arg;

	begun++;
	live_equal(live_verify(at(i), i, 1), -1);
	return NULL;
}

/* Works with more memory than there is. */
static void work_elsewhere(char *other, uint64_t pages, uint64_t version)
{
	for (uint64_t i = 0; i < pages; i++)
		live_fill(other + i * LIVE_PAGE, i, version);
	for (uint64_t i = 0; i < pages; i++)
		live_equal(live_verify(other + i * LIVE_PAGE, i, version), -1);
}

START_TEST(who_waits_for_a_pager_stops_nobody_else)
{
	pthread_t thread[WAITERS];
	struct vvm_options o;
	char *other;

	live_ok(vvm_close(vm));
	live_options(&o, ROOM);
	live_ok(vvm_open(&vm, &o));
	other = live_map(vm, 4 * ROOM, LIVE_RW);
	p = map_all(1);
	live_ok(advise_random());
	store.hold_reads = true;
	for (uint64_t i = 0; i < WAITERS; i++)
		live_equal(pthread_create(&thread[i], NULL, wait_for_page,
					  (void *)(uintptr_t)(3 * i)),
			   0);
	live_wait(store.held == 1, 20000);
	live_wait(begun == WAITERS, 20000);
	live_wait(live_count_flags(vm, p, PAGES, VVM_PAGE_BUSY) >= 32, 20000);
	for (uint64_t version = 1; version < 4; version++)
		work_elsewhere(other, 4 * ROOM, version);
	live_equal(store.held, 1);
	let_go();
	for (uint64_t i = 0; i < WAITERS; i++)
		pthread_join(thread[i], NULL);
}
END_TEST

START_TEST(a_pager_that_does_not_write_yet_stops_nobody_else)
{
	char *other = live_map(vm, 4 * BUDGET, LIVE_RW);

	p = map_all((unsigned)_i);
	store.hold_writes = true;
	/* no neighbours: each is a write of its own */
	for (uint64_t i = 0; i < BUDGET; i += 2)
		live_fill(at(i), i, 2);
	for (uint64_t version = 1; version < 6; version++)
		work_elsewhere(other, 4 * BUDGET, version);
	live_wait(store.held > 0, 20000);
	for (uint64_t version = 6; version < 8; version++)
		work_elsewhere(other, 4 * BUDGET, version);
	for (uint64_t i = 0; i < BUDGET; i += 2)
		live_equal(live_verify(at(i), i, 2), -1);
	let_go();
	live_ok(sync_all(VVM_SYNC_SYNC));
	for (uint64_t i = 0; i < BUDGET; i += 2)
		live_check(has(i, 2));
}
END_TEST

/*
 * Its clean pages go, though they are neighbours of what is being written. That is
 * not written once more meanwhile: whose write ends last would count.
 */
START_TEST(clean_pages_need_no_pager_to_go)
{
	uint64_t others = 4 * BUDGET, value;
	char *other = live_map(vm, others, LIVE_RW);

	p = map_all(2);
	live_ok(advise_random());
	store.hold_writes = true;
	live_fill(at(0), 0, 2);
	work_elsewhere(other, others, 1);
	live_wait(store.held == 1, 20000);
	live_fill(at(0), 0, 3);
	for (int round = 0; round < 3; round++) {
		for (uint64_t i = 1; i < BUDGET; i++)
			live_equal(live_try_load(at(i), &value), 0);
		work_elsewhere(other, others, 2);
	}
	live_equal(store.held, 1);
	let_go();
	live_ok(sync_all(VVM_SYNC_SYNC));
	live_check(has(0, 3));
	live_equal(live_verify(at(0), 0, 3), -1);
}
END_TEST

static _Atomic unsigned low_calls;

static void count_low(struct vvm *space, const struct vvm_low_space *info,
		      void *arg)
{
	(void)space;
	(void)info;
	(void)arg;
	low_calls++;
}

static uint64_t fill_swap(char *other, uint64_t pages)
{
	uint64_t i = 0;

	while (i < pages && live_try_store(other + i * LIVE_PAGE, i) == 0)
		i++;
	live_check(i < pages);
	return i;
}

/* Who is to be told of a full swap would wait for it: reclaim goes on instead. */
START_TEST(a_full_swap_and_a_pager_that_does_not_write)
{
	uint64_t value, pages = 256, stored;
	struct vvm_options o;
	char *other;

	live_ok(vvm_close(vm));
	live_limits(&o, 16, 64 * LIVE_PAGE, 1000, NULL);
	live_ok(vvm_open(&vm, &o));
	live_ok(vvm_on_low_space(vm, count_low, NULL));
	p = map_all(2);
	other = live_map(vm, pages, LIVE_RW);
	store.hold_writes = true;
	live_fill(at(0), 0, 2);
	stored = fill_swap(other, pages);
	live_wait(store.held == 1, 20000);
	/* room for what need not be written */
	live_ok(vvm_advise(vm, live_addr(other + (stored - 8) * LIVE_PAGE),
			   8 * LIVE_PAGE, VVM_ADV_DONTNEED));
	for (uint64_t n = 0; n < 90; n++) {
		live_equal(live_try_load(other + n % 30 * LIVE_PAGE, &value),
			   0);
		live_equal(value, n % 30);
	}
	let_go();
	live_ok(sync_all(VVM_SYNC_SYNC));
	live_check(has(0, 2));
	fill_swap(other, pages);
	live_wait(low_calls > 0, 20000);
}
END_TEST

/* All is dirty and its pager does not answer: it is waited for, but not long. */
START_TEST(no_frame_in_time)
{
	struct vvm_options o;
	uint64_t value, i;
	int sig = 0;

	live_ok(vvm_close(vm));
	live_limits(&o, 8, 0, 200, NULL);
	live_ok(vvm_open(&vm, &o));
	p = map_all(1);
	live_ok(advise_random());
	store.hold_writes = true;
	for (i = 0; i < 16 && !sig; i++)
		sig = live_try_store(at(i), i);
	live_equal(sig, SIGBUS);
	let_go();
	live_wait(live_try_load(at(200), &value) == 0, 20000);
	live_ok(sync_all(VVM_SYNC_SYNC));
	for (uint64_t k = 0; k + 1 < i; k++)
		live_equal(*(uint64_t *)store.page[k], k);
}
END_TEST

static void *unmap_it(void *arg)
{
	unmap_all();
	*(atomic_bool *)arg = true;
	return NULL;
}

static void *load_it(void *arg)
{
	uint64_t value;

	*(_Atomic int *)arg = live_try_load(at(9), &value);
	return NULL;
}

static void *close_it(void *arg)
{
	live_ok(vvm_close(vm));
	vm = NULL;
	*(atomic_bool *)arg = true;
	return NULL;
}

static bool is_mapped(void)
{
	struct vvm_region r;

	return vvm_query(vm, live_addr(p), &r) == 0 && r.start <= live_addr(p);
}

START_TEST(unmapping_waits_for_requests_under_way)
{
	atomic_bool gone = false;
	_Atomic int sig = -1;
	pthread_t loader, unmapper;

	p = map_all(2);
	live_ok(advise_random());
	live_fill(at(2), 2, 2);
	store.hold_reads = store.hold_writes = true;
	live_equal(pthread_create(&loader, NULL, load_it, (void *)&sig), 0);
	live_wait(store.held == 1, 20000);
	live_equal(pthread_create(&unmapper, NULL, _i ? close_it : unmap_it,
				  (void *)&gone),
		   0);
	if (!_i) { /* it writes before it takes the region away */
		live_wait(store.held == 2, 20000);
		live_check(is_mapped() && !gone);
	}
	live_check(!gone);
	let_go();
	pthread_join(unmapper, NULL);
	live_equal(store.calls, 0);
	pthread_join(loader, NULL);
	live_check(sig == 0 || sig == SIGSEGV);
	live_check(has(2, 2));
}
END_TEST

/* ---- callbacks that touch what they page ---- */

static struct {
	char *other; /* of the space, and not resident */
	char *plain;
	struct vvm *vm, *second;
	char *elsewhere; /* of the other space */
	int pipe[2];
	int load, store, call; /* what came of it */
	int api[6];
	int wrote;
	/* ThreadSanitizer does not know that a callback comes after an access */
	atomic_bool ready, done;
} inside;

static int touch_inside(void *arg, struct vvm_pager_request *rq)
{
	struct vvm_region r;
	uint64_t value;

	if (inside.ready && !inside.done) {
		/* the very page that is asked for */
		inside.load = live_try_load(p + rq->offset, &value);
		inside.store = live_try_store(inside.other, 1);
		inside.api[0] = vvm_load(inside.vm, live_addr(inside.other),
					 &value, sizeof(value));
		inside.api[1] = vvm_touch(inside.vm, live_addr(inside.other),
					  LIVE_PAGE, VVM_TOUCH_READ);
		inside.api[2] = vvm_unmap(inside.vm, live_addr(inside.other),
					  LIVE_PAGE);
		inside.api[3] = vvm_query(inside.vm, 0, &r);
		inside.api[4] = vvm_sync(inside.vm, live_addr(p), LIVE_PAGE,
					 VVM_SYNC_SYNC);
		inside.api[5] = vvm_close(inside.vm);
		inside.call = (int)vvm_syscall(SYS_write, inside.pipe[1],
					       (long)inside.other, 1, 0, 0, 0);
		inside.wrote = write(inside.pipe[1], p + rq->offset, 1) == -1
				       ? errno
				       : 0;
		live_fill(inside.elsewhere, 5, 5);
		live_equal(live_verify(inside.elsewhere, 5, 5), -1);
		live_check(vvm_ptr(inside.vm, live_addr(p)) == NULL);
		inside.done = true;
	}
	return read_pages(arg, rq);
}

START_TEST(callbacks_must_not_touch_the_space)
{
	struct vvm_pager pager = whole;
	struct vvm_options o;
	uint64_t value;

	pager.read = touch_inside;
	p = map_pager(&pager, 0, PAGES);
	live_ok(advise_random());
	inside.vm = vm;
	inside.other = live_map(vm, 1, LIVE_RW);
	live_options(&o, 8);
	live_ok(vvm_open(&inside.second, &o));
	inside.elsewhere = live_map(inside.second, 1, LIVE_RW);
	live_equal(pipe(inside.pipe), 0);
	inside.ready = true;
	/* by the marker that its system call meets who waits is hit, too */
	live_wait(live_try_load(at(11), &value) == 0, 20000);
	live_check(inside.done);
	live_equal(inside.load, SIGBUS);
	live_equal(inside.store, SIGBUS);
	for (unsigned i = 0; i < LIVE_LEN(inside.api); i++)
		live_equal(inside.api[i], -EDEADLK);
	live_equal(inside.call, -EFAULT);
	live_equal(inside.wrote, EFAULT);
	/* nothing of that stays */
	live_wait(live_try_store(inside.other, 1) == 0, 20000);
	for (uint64_t i = 0; i < PAGES; i++)
		live_wait(live_try_load(at(i), &value) == 0, 20000);
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(live_verify(at(i), i, 1), -1);
	live_ok(vvm_close(inside.second));
	close(inside.pipe[0]);
	close(inside.pipe[1]);
}
END_TEST

static int die_inside(void *arg, struct vvm_pager_request *rq)
{
	(void)arg;
	*(volatile char *)(p + rq->offset + LIVE_PAGE * 50) = 1;
	return 0;
}

static int child_that_dies(void *arg)
{
	struct vvm_pager pager = whole;
	uint64_t addr = VVM_ANYWHERE;
	struct vvm_options o;

	(void)arg;
	live_default_signals(); /* before the library's own */
	live_options(&o, BUDGET);
	child_expect(vvm_open(&vm, &o), 0);
	pager.read = die_inside;
	child_expect(vvm_map_pager(vm, &addr, PAGES * LIVE_PAGE, LIVE_RW, NULL,
				   &pager, 0),
		     0);
	p = vvm_ptr(vm, addr);
	(void)*(volatile char *)at(0);
	return 0;
}

/* A program without handlers dies of it, rather than hang. */
START_TEST(a_callback_that_touches_its_pages_is_deadly)
{
	int status = live_child(child_that_dies, NULL);

	live_check(WIFSIGNALED(status));
	live_equal(WTERMSIG(status), SIGBUS);
}
END_TEST

/* ---- signals ---- */

#define SIGNALS	  200
#define HANDLED	  200 /* its first page */
#define HANDLED_N 100

static volatile sig_atomic_t handled;

static volatile uint64_t *counter(uint64_t i)
{
	return (volatile uint64_t *)(void *)at(HANDLED + i % HANDLED_N) + 9;
}

static void on_alarm(int sig)
{
	(void)sig;
	if (handled == SIGNALS) /* on a slow machine nothing else would run */
		return;
	*counter((uint64_t)handled * 37) += 1;
	handled++;
}

static uint64_t count_all(void)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < HANDLED_N; i++)
		sum += *counter(i);
	return sum;
}

/* Handlers wait for the pager as well, whatever they have interrupted. */
START_TEST(signal_handlers_touch_its_pages)
{
	struct sigaction action = {.sa_handler = on_alarm,
				   .sa_flags = SA_RESTART};
	struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
	uint64_t before, version = 1;

	p = map_all(2);
	before = count_all();
	live_ok(sigaction(SIGALRM, &action, NULL));
	live_ok(setitimer(ITIMER_REAL, &often, NULL));
	for (; handled < SIGNALS; version++)
		for (uint64_t i = 0; i < 2 * BUDGET; i++) {
			live_equal(live_verify(at(i), i, version), -1);
			live_fill(at(i), i, version + 1);
			if (i % 16 == 0)
				live_ok(vvm_sync(vm, live_addr(at(i)),
						 LIVE_PAGE, VVM_SYNC_SYNC));
		}
	live_ok(setitimer(ITIMER_REAL, &never, NULL));
	live_equal(count_all() - before, SIGNALS);
	unmap_all();
	for (uint64_t i = 0; i < 2 * BUDGET; i++)
		live_check(has(i, version));
}
END_TEST

/* ---- fork ---- */

static char *own;

static int use_in_child(void *arg)
{
	(void)arg;
	child_check(live_verify(own, 7, 7) == -1);
	live_fill(own, 7, 8);
	child_expect(sync_all(VVM_SYNC_SYNC), -VVM_EUNMAPPED);
	live_child_works(vm, 2 * BUDGET);
	return 0;
}

START_TEST(children_have_no_part_in_it)
{
	struct vvm_pager pager = whole;
	struct vvm_options o;

	live_ok(vvm_close(vm));
	live_options(&o, BUDGET);
	o.fork = _i ? VVM_FORK_INHERIT : VVM_FORK_DIE;
	live_ok(vvm_open(&vm, &o));
	if (_i > 1) {
		pager.write = NULL;
		pager.sync = NULL;
	}
	p = map_pager(&pager, 0, PAGES);
	own = live_map(vm, 1, LIVE_RW);
	live_fill(own, 7, 7);
	for (uint64_t i = 0; i < 20; i++)
		live_fill(at(i), i, 2);
	live_child_dies_at(at(0));
	live_child_dies_at(at(100));
	if (_i)
		live_child_ok(use_in_child, NULL);
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(live_verify(at(i), i, i < 20 ? 2 : 1), -1);
	unmap_all();
	for (uint64_t i = 0; i < PAGES; i++)
		live_check(has(i, i < 20 && _i < 2 ? 2 : 1));
}
END_TEST

/* ---- many threads on few frames ---- */

#define STRESS_THREADS 10
#define STRESS_OPS     400
#define STRESS_BUDGET  12
#define STRESS_PAGES   200
#define UNMAP_FIRST    220
#define UNMAP_PAGES    24

struct writer {
	unsigned id;
	uint64_t seed;
	uint64_t version[STRESS_PAGES]; /* of its own pages */
};

static atomic_bool over;

/* Only w writes to page i: what it has synced is there, and nothing newer. */
static void stress_own(struct writer *w, uint64_t i)
{
	switch (live_below(&w->seed, 8)) {
	case 0:
	case 1:
	case 2:
		live_fill(at(i), i, ++w->version[i]);
		break;
	case 3:
		live_ok(vvm_sync(vm, live_addr(at(i)), LIVE_PAGE,
				 VVM_SYNC_SYNC));
		live_check(has(i, w->version[i]));
		break;
	case 4:
		live_ok(dontneed(i, 1));
		live_check(has(i, w->version[i]));
		break;
	default:
		live_equal(live_verify(at(i), i, w->version[i]), -1);
	}
}

static void *stress(void *arg)
{
	struct writer *w = arg;
	uint64_t mine = STRESS_PAGES / STRESS_THREADS;

	for (uint64_t i = 0; i < STRESS_PAGES; i++)
		w->version[i] = 1;
	for (int n = 0; n < STRESS_OPS; n++)
		stress_own(w,
			   live_below(&w->seed, mine) * STRESS_THREADS + w->id);
	return NULL;
}

static void *unmap_and_map(void *arg)
{
	(void)arg;
	for (uint64_t version = 2; !over; version++) {
		char *q = map_pager(&whole, UNMAP_FIRST, UNMAP_PAGES);

		for (uint64_t i = 0; i < UNMAP_PAGES; i++)
			live_fill(q + i * LIVE_PAGE, UNMAP_FIRST + i, version);
		live_ok(vvm_unmap(vm, live_addr(q), UNMAP_PAGES * LIVE_PAGE));
		for (uint64_t i = 0; i < UNMAP_PAGES; i++)
			live_check(has(UNMAP_FIRST + i, version));
	}
	return NULL;
}

static void *invalidate(void *arg)
{
	(void)arg;
	while (!over)
		live_ok(vvm_sync(vm, live_addr(p), STRESS_PAGES * LIVE_PAGE,
				 VVM_SYNC_ASYNC | VVM_SYNC_INVALIDATE));
	return NULL;
}

START_TEST(many_threads_on_few_frames)
{
	static struct writer writers[STRESS_THREADS];
	pthread_t thread[STRESS_THREADS], others[4];
	struct live_sampler sampler;
	uint64_t frames;
	struct vvm_options o;

	live_ok(vvm_close(vm));
	live_options(&o, STRESS_BUDGET);
	live_ok(vvm_open(&vm, &o));
	store.later = _i;
	p = map_all(3);
	live_sampler_start(&sampler, STRESS_BUDGET);
	live_equal(pthread_create(&others[0], NULL, unmap_and_map, NULL), 0);
	live_equal(pthread_create(&others[1], NULL, invalidate, NULL), 0);
	live_equal(pthread_create(&others[2], NULL, finisher, NULL), 0);
	live_equal(pthread_create(&others[3], NULL, finisher, NULL), 0);
	for (unsigned i = 0; i < STRESS_THREADS; i++) {
		writers[i] = (struct writer){.id = i, .seed = i + 1};
		live_equal(
			pthread_create(&thread[i], NULL, stress, &writers[i]),
			0);
	}
	for (unsigned i = 0; i < STRESS_THREADS; i++)
		pthread_join(thread[i], NULL);
	over = true;
	pthread_join(others[0], NULL);
	pthread_join(others[1], NULL);
	frames = live_sampler_stop(&sampler);
	if (frames > STRESS_BUDGET)
		live_fail("%llu frames", (unsigned long long)frames);
	live_ok(vvm_close(vm));
	vm = NULL;
	store.stop = true;
	pthread_join(others[2], NULL);
	pthread_join(others[3], NULL);
	for (uint64_t i = 0; i < STRESS_PAGES; i++)
		live_check(has(i, writers[i % STRESS_THREADS].version[i]));
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "content");

	tcase_add_loop_test(tc, pages_are_what_the_pager_says, 0, 4);
	tcase_add_test(tc, what_is_not_filled_is_zero);
	tcase_add_test(tc, part_of_a_store_at_an_offset);
	tcase_add_test(tc, adjacent_pages_are_asked_for_at_once);
	tc = test_case(s, "changes");
	tcase_add_loop_test(tc, changes_get_to_the_pager, 0, 6);
	tcase_add_test(tc, what_was_not_changed_is_not_written);
	tcase_add_test(tc, a_pager_that_does_not_write);
	tcase_add_loop_test(tc, what_is_void_is_discarded, 0, 2);
	tcase_add_test(tc, invalidate_asks_again);
	tcase_add_test(tc, pins_touches_and_checked_accesses);
	tc = test_case(s, "later");
	tcase_add_test(tc, requests_are_ended_later_by_another_thread);
	tcase_add_test(tc, a_request_may_be_over_before_its_callback);
	tc = test_case(s, "errors");
	tcase_add_loop_test(tc, an_error_hits_only_who_asked, 0, 2);
	tcase_add_test(tc, a_request_fails_as_a_whole);
	tcase_add_test(tc, failing_what_was_not_asked);
	tcase_add_test(tc, a_failing_write_is_told_of_and_costs_nothing);
	tcase_add_test(tc, reclaim_lives_with_a_pager_that_cannot_write);
	test_counted(tc, unmapping_what_cannot_be_written_is_counted);
	tcase_add_test(tc, arguments);
	tcase_add_test(tc, threads_are_limited_and_end_with_the_region);
	tc = test_case(s, "slow");
	tcase_add_test(tc, who_waits_for_a_pager_stops_nobody_else);
	tcase_add_loop_test(
		tc, a_pager_that_does_not_write_yet_stops_nobody_else, 1, 3);
	tcase_add_test(tc, clean_pages_need_no_pager_to_go);
	tcase_add_test(tc, a_full_swap_and_a_pager_that_does_not_write);
	tcase_add_test(tc, no_frame_in_time);
	tcase_add_loop_test(tc, unmapping_waits_for_requests_under_way, 0, 2);
	tc = test_case(s, "inside");
	tcase_add_test(tc, callbacks_must_not_touch_the_space);
	tcase_add_test(tc, a_callback_that_touches_its_pages_is_deadly);
	tcase_add_test(tc, signal_handlers_touch_its_pages);
	tc = test_case(s, "fork");
	if (!LIVE_TSAN) /* "dup thread": a new one has an old one's stack */
		tcase_add_loop_test(tc, children_have_no_part_in_it, 0, 3);
	tc = test_case(s, "stress");
	tcase_add_loop_test(tc, many_threads_on_few_frames, 0, 2);
	test_limit(tc, 300);
}

const struct test_program test_program = {
	.name = "api_pager",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
	.missing = live_missing,
	.modes = true,
};
