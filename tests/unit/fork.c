/* SPDX-License-Identifier: MIT */
/*
 * unit/fork.c - forks that do not go well: the space cannot be held still, the
 * child cannot be given one, the space is being closed meanwhile. The parent
 * goes on as if nothing had been, and the child has nothing of it. What children
 * see when all goes well is live/fork's. Needs userfaultfd, else skips.
 */
#include "fork/fork.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/child.h"
#include "support/frames.h"
#include "support/live.h"
#include "support/process.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

#define PAGES  64
#define BUDGET 32

static char *base;
static int fds; /* that there are without a space */

static struct vvm *open_space(enum vvm_fork mode)
{
	struct vvm_options o;
	struct vvm *out = NULL;

	live_options(&o, BUDGET);
	o.fork = mode;
	live_ok(vvm_open(&out, &o));
	return out;
}

static void quiet(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(fd, 2);
	close(fd);
}

static void set_up(void)
{
	fds = live_count_fds();
	vm = open_space(VVM_FORK_INHERIT);
	base = live_map(vm, PAGES, LIVE_RW);
	for (uint64_t i = 0; i < PAGES; i++)
		live_fill(base + i * LIVE_PAGE, i, 1);
	quiet(); /* children say that they inherit nothing */
}

static bool all_right(void)
{
	for (uint64_t i = 0; i < PAGES; i++)
		if (live_verify(base + i * LIVE_PAGE, i, 1) >= 0)
			return false;
	return true;
}

/* ---- children ---- */

enum { INHERITS = 40, HAS_NOTHING };

/* Has it a space, or nothing at all of one? */
static int look(void *arg)
{
	(void)arg;
	os_inject_clear();
	if (live_count_memfds())
		return all_right() ? INHERITS : 99;
	child_check(live_count_fds() == fds);
	child_check(live_count_threads() == 3); /* with . and .. */
	return HAS_NOTHING;
}

static int fork_once(void)
{
	return WEXITSTATUS(live_child(look, NULL));
}

/* All of the space works, and the next child inherits it. */
static void expect_all_is_well(void)
{
	char *other = live_map(vm, PAGES, LIVE_RW);

	for (uint64_t i = 0; i < PAGES; i++)
		live_fill(other + i * LIVE_PAGE, i, 2);
	live_check(all_right());
	live_ok(vvm_unmap(vm, live_addr(other), PAGES * LIVE_PAGE));
	live_equal(fork_once(), INHERITS);
	live_check(all_right());
}

/* ---- what a child may lack ---- */

static _Atomic pid_t no_calloc; /* children of this process have none */

void *__real_calloc(size_t n, size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);

void *__wrap_calloc(size_t n, size_t bytes)
{
	pid_t parent = atomic_load(&no_calloc);

	return parent && getpid() != parent ? NULL : __real_calloc(n, bytes);
}

START_TEST(a_child_without_memory_for_its_backing)
{
	atomic_store(&no_calloc, getpid());
	live_equal(fork_once(), HAS_NOTHING);
	atomic_store(&no_calloc, 0);
	expect_all_is_well();
}
END_TEST

static const enum os_point points[] = {
	OS_memfd,   OS_truncate, OS_pagemap,	   OS_uffd_open,
	OS_eventfd, OS_reserve,	 OS_uffd_register, OS_map,
	OS_advise,  OS_unlock,	 OS_protect,	   OS_thread,
};

/* Each step of setting it up fails; whatever that leaves of the space. */
START_TEST(a_child_that_cannot_be_set_up)
{
	unsigned n, inherited = 0;

	for (n = 1; n < 20 && inherited < 2; n++) {
		int found;

		os_inject_clear();
		os_inject(points[_i], n, false, ENOMEM);
		found = fork_once();
		os_inject_clear();
		live_check(found == INHERITS || found == HAS_NOTHING);
		inherited += found == INHERITS;
	}
	live_equal(inherited, 2);
	expect_all_is_well();
}
END_TEST

/* ---- a space that is not still ---- */

static atomic_bool held, let_go;

/* What keeps a fork from holding the space still. */
static void *hold(void *arg)
{
	int what = *(int *)arg;
	struct block *b = pt_find(&vm->pt, live_addr(base));

	if (what == 0)
		lock_take(&vm->mapping);
	else
		lock_take(&b->lock);
	if (what == 2) { /* a page on its way */
		b->filling++;
		lock_drop(&b->lock);
	}
	atomic_store(&held, true);
	while (!atomic_load(&let_go))
		live_nap_us(1000);
	if (what == 2) {
		lock_take(&b->lock);
		b->filling--;
		waitq_wake(&b->busy_done);
	}
	if (what == 0)
		lock_drop(&vm->mapping);
	else
		lock_drop(&b->lock);
	return NULL;
}

/* Waiting has a limit, and what was taken until then is given back. */
START_TEST(a_space_that_cannot_be_held_still)
{
	pthread_t thread;
	int what = _i;

	live_equal(pthread_create(&thread, NULL, hold, &what), 0);
	live_wait(atomic_load(&held), 10000);
	live_equal(fork_once(), HAS_NOTHING);
	atomic_store(&let_go, true);
	pthread_join(thread, NULL);
	expect_all_is_well();
}
END_TEST

/* ---- other threads, meanwhile and afterwards ---- */

static atomic_bool streams_used;

static void *use_streams(void *arg)
{
	FILE *f = fopen("/dev/null", "r");

	if (f)
		fclose(f);
	atomic_store(&streams_used, f != NULL);
	return arg;
}

START_TEST(streams_are_free_after_a_fork)
{
	pthread_t thread;

	live_equal(fork_once(), INHERITS);
	live_equal(pthread_create(&thread, NULL, use_streams, NULL), 0);
	live_wait(atomic_load(&streams_used), 10000);
	pthread_join(thread, NULL);
}
END_TEST

static struct vvm *closing;
static pthread_t closer;
static atomic_bool closed, closed_in_the_fork;

static void *close_it(void *arg)
{
	live_ok(vvm_close(closing));
	atomic_store(&closed, true);
	return arg;
}

/* Runs when the library's handler has, before the fork. */
static void close_meanwhile(void)
{
	if (!closing || closer)
		return;
	live_equal(pthread_create(&closer, NULL, close_it, NULL), 0);
	for (int i = 0; i < 50 && !atomic_load(&closed); i++)
		live_nap_us(2000);
	atomic_store(&closed_in_the_fork, atomic_load(&closed));
}

__attribute__((constructor(101))) static void register_first(void)
{
	pthread_atfork(close_meanwhile, NULL, NULL);
}

/* It is closed when the fork is over: no child finds half of it. */
START_TEST(a_space_is_closed_while_the_process_forks)
{
	closing = open_space(_i ? VVM_FORK_INHERIT : VVM_FORK_DIE);
	live_map(closing, PAGES, LIVE_RW);
	live_equal(fork_once(), INHERITS);
	live_check(closer);
	live_check(!atomic_load(&closed_in_the_fork));
	pthread_join(closer, NULL);
	live_check(atomic_load(&closed));
	closing = NULL;
	expect_all_is_well();
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "fork");

	tcase_add_test(tc, a_child_without_memory_for_its_backing);
	tcase_add_loop_test(tc, a_child_that_cannot_be_set_up, 0,
			    LIVE_LEN(points));
	tcase_add_loop_test(tc, a_space_that_cannot_be_held_still, 0, 3);
	tcase_add_test(tc, streams_are_free_after_a_fork);
	tcase_add_loop_test(tc, a_space_is_closed_while_the_process_forks, 0,
			    2);
}

const struct test_program test_program = {
	.name = "fork",
	.add = add_tests,
	.setup = set_up,
	.teardown = live_end,
	.missing = live_missing,
};
