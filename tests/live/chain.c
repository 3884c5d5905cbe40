/* SPDX-License-Identifier: MIT */
/*
 * live/chain.c - "a grandchild read 0 where its grandparent had published 1":
 * chains of forks, each process of which forks on while its own threads and
 * those of all before it write.
 *
 * VVM_CHAIN_SECONDS: for how long, in each fault mode (2 without it).
 *
 * A page has two words, which only one thread of a process writes: word 1 is
 * live_stamp(page, version), then word 0 is the version; then the version is
 * published, in plain memory. A fork is a cut through each thread, so its child
 * must find the published version, or the next one. It goes on from there.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "support/child.h"
#include "support/live.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

#define BUDGET	16
#define PAGES	160
#define WRITERS 2
#define DEPTH	4 /* generations after the first */

static char *base;
static _Atomic uint64_t published[PAGES];
static _Atomic bool stop;
static pthread_t writer[WRITERS];
static _Atomic unsigned writing; /* writers that have begun */
static uint64_t chains;

static _Atomic uint64_t *words(uint64_t page)
{
	return (_Atomic uint64_t *)(void *)(base + page * LIVE_PAGE);
}

static void write_page(uint64_t page)
{
	uint64_t version = published[page] + 1;

	words(page)[1] = live_stamp(page, version);
	words(page)[0] = version;
	published[page] = version;
}

static void *write_pages(void *arg)
{
	uint64_t id = (uintptr_t)arg, state = id + 1 + (uint64_t)getpid();

	writing++;
	while (!stop)
		write_page(live_below(&state, PAGES / WRITERS) * WRITERS + id);
	return NULL;
}

/* 0, or what is wrong with the page of a process that has just begun. */
static int wrong_page(uint64_t page, unsigned depth)
{
	uint64_t version = words(page)[0], stamp = words(page)[1];
	uint64_t said = published[page];

	if ((version == said || version == said + 1) &&
	    (stamp == live_stamp(page, version) ||
	     stamp == live_stamp(page, version + 1) || (!stamp && !version)))
		return 0;
	fprintf(stderr,
		"generation %u: page %d has version %llu, stamp of %s; "
		"published was %llu\n",
		depth, (int)page, (unsigned long long)version,
		stamp == live_stamp(page, version) ? "the same" : "another",
		(unsigned long long)said);
	return 1;
}

static int wrong_pages(unsigned depth)
{
	int wrong = 0;

	for (uint64_t i = 0; i < PAGES; i++) {
		wrong |= wrong_page(i, depth);
		published[i] = words(i)[0];
	}
	return wrong;
}

static void start_writers(void)
{
	stop = false;
	writing = 0;
	for (uintptr_t i = 0; i < WRITERS; i++)
		live_ok(pthread_create(&writer[i], NULL, write_pages,
				       (void *)i));
	/*
	 * AddressSanitizer's allocator is not made for forks: a thread that
	 * begins may have its locks, and a child waits for them for ever.
	 */
	if (LIVE_SANITIZED)
		live_wait(writing == WRITERS, 20000);
}

static void stop_writers(void)
{
	stop = true;
	for (unsigned i = 0; i < WRITERS; i++)
		live_ok(pthread_join(writer[i], NULL));
}

/* What its own threads have written must be there, to the last version. */
static int wrong_at_the_end(void)
{
	int wrong = 0;

	for (uint64_t i = 0; i < PAGES; i++)
		wrong |= words(i)[0] != published[i] ||
			 (published[i] &&
			  words(i)[1] != live_stamp(i, published[i]));
	return wrong;
}

static int descend(void *arg)
{
	unsigned depth = (unsigned)(uintptr_t)arg;
	int status = 0;

	if (depth && wrong_pages(depth))
		return 99;
	start_writers();
	/* Some of the time a whole chain is there before anybody writes much. */
	if (chains % 3)
		live_nap_us((long)(chains % 7) * 700);
	if (depth < DEPTH)
		status = live_status(
			live_fork(descend, (void *)(uintptr_t)(depth + 1)));
	stop_writers();
	if (wrong_at_the_end())
		return 98;
	return status != 0;
}

START_TEST(every_generation_sees_what_was_published)
{
	uint64_t end_ms = live_now_ms() +
			  1000 * (uint64_t)live_setting("VVM_CHAIN_SECONDS", 2);

	for (chains = 0; chains < 3 || live_now_ms() < end_ms; chains++)
		live_equal(descend(NULL), 0);
}
END_TEST

static void set_up(void)
{
	struct vvm_options o;

	live_options(&o, BUDGET);
	o.fork = VVM_FORK_INHERIT;
	live_ok(vvm_open(&vm, &o));
	base = live_map(vm, PAGES, LIVE_RW);
}

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "chain");

	test_limit(tc, TEST_SECONDS +
			       (unsigned)live_setting("VVM_CHAIN_SECONDS", 2));
	tcase_add_test(tc, every_generation_sees_what_was_published);
}

const struct test_program test_program = {
	.name = "live_chain",
	.add = add_tests,
	.setup = set_up,
	.teardown = live_end,
	.missing = live_missing,
	.modes = true,
};
