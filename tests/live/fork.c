/* SPDX-License-Identifier: MIT */
/*
 * live/fork.c - fork children that inherit the space: they see the memory as
 * of the fork, both go on independently, children of children as well, and
 * nothing of it is left when they are gone.
 *
 * Every page is stamped with its number and a version. A child dies with
 * status 99 on wrong content, so "died with a message" and "read wrong data"
 * can be told apart.
 */
#include <sys/mman.h>

#include "support/expect.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vvm_heap.h>

#include "os/os.h"
#include "support/child.h"
#include "support/files.h"
#include "support/frames.h"
#include "support/jump.h"
#include "support/live.h"
#include "support/process.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

#define PAGES  128
#define BUDGET 32
/* Two of each paused actor every 100 ms; two more are on their way. */
#define JUMP_LOOKS 12

static char *base;
static uint64_t pages = PAGES; /* that write_all() and wrong() go through */

static struct vvm *open_inherited(uint64_t budget_pages)
{
	struct vvm_options o;
	struct vvm *out = NULL;

	live_options(&o, budget_pages);
	o.fork = VVM_FORK_INHERIT;
	live_ok(vvm_open(&out, &o));
	return out;
}

static void set_up(void)
{
	vm = open_inherited(BUDGET);
	base = live_map(vm, PAGES, LIVE_RW);
}

static void write_all(uint64_t version)
{
	for (uint64_t i = 0; i < pages; i++)
		live_fill(base + i * LIVE_PAGE, i, version);
}

/* The number of pages that are not of this version. */
static unsigned wrong(uint64_t version)
{
	unsigned n = 0;

	for (uint64_t i = 0; i < pages; i++)
		n += live_verify(base + i * LIVE_PAGE, i, version) >= 0;
	return n;
}

/* ---- processes ---- */

/* A pipe as a gate: wait_for() returns when the other side has opened. */
struct gate {
	int fd[2];
};

static void gate_make(struct gate *g)
{
	live_equal(pipe2(g->fd, O_CLOEXEC), 0);
}

static void gate_open(struct gate *g)
{
	live_equal(write(g->fd[1], "x", 1), 1);
}

static void gate_wait(struct gate *g)
{
	char c;

	live_equal(read(g->fd[0], &c, 1), 1);
}

static void gate_free(struct gate *g)
{
	close(g->fd[0]);
	close(g->fd[1]);
}

static bool released(void)
{
	struct vvm_stats st = live_stats(vm);

	return st.swap_held_pages == 0 && st.fork_snapshots == 0;
}

/* The slots and copies that were kept for children are free again. */
static void wait_released(void)
{
	live_wait(released(), 10000);
}

/* ---- one child ---- */

struct meeting {
	struct gate parent, child;
};

/* Reads all, then writes all, while the parent does the same. */
static int read_then_write(void *arg)
{
	(void)arg;
	child_check(wrong(1) == 0);
	write_all(2);
	child_check(wrong(2) == 0);
	return 0;
}

START_TEST(both_go_on_independently)
{
	pid_t pid;

	write_all(1);
	pid = live_fork(read_then_write, NULL);
	write_all(3);
	live_equal(wrong(3), 0);
	live_ended_ok(pid);
	live_equal(wrong(3), 0);
	wait_released();
}
END_TEST

/* The parent has changed everything, twice, before the child looks. */
static int read_late(void *arg)
{
	struct meeting *m = arg;

	gate_wait(&m->parent);
	child_check(wrong(1) == 0);
	return 0;
}

START_TEST(child_sees_the_memory_as_of_the_fork)
{
	struct meeting m;
	pid_t pid;

	gate_make(&m.parent);
	write_all(1);
	pid = live_fork(read_late, &m);
	write_all(3);
	write_all(4);
	gate_open(&m.parent);
	live_ended_ok(pid);
	live_equal(wrong(4), 0);
	wait_released();
	gate_free(&m.parent);
}
END_TEST

static int write_early(void *arg)
{
	struct meeting *m = arg;

	write_all(5);
	gate_open(&m->child);
	child_check(wrong(5) == 0);
	return 0;
}

START_TEST(parent_does_not_see_what_the_child_writes)
{
	struct meeting m;
	pid_t pid;

	gate_make(&m.child);
	write_all(1);
	pid = live_fork(write_early, &m);
	gate_wait(&m.child);
	live_equal(wrong(1), 0);
	live_ended_ok(pid);
	live_equal(wrong(1), 0);
	wait_released();
	gate_free(&m.child);
}
END_TEST

/* Writes to the pages that were dirty at the fork; reads the others then. */
static int write_the_dirty(void *arg)
{
	const bool *was_dirty = arg;

	for (uint64_t i = 0; i < PAGES; i++)
		if (was_dirty[i])
			live_fill(base + i * LIVE_PAGE, i, 2);
	live_wait(live_count_memfds() == 2, 10000);
	for (uint64_t i = 0; i < PAGES; i++)
		child_check(live_verify(base + i * LIVE_PAGE, i,
					was_dirty[i] ? 2 : 1) < 0);
	return 0;
}

/* ... which are the parent's for as long as it lives, but not for longer. */
START_TEST(a_child_lets_go_of_frames_that_it_does_not_need)
{
	bool was_dirty[PAGES];
	unsigned n = 0;

	live_equal(live_count_memfds(), 2); /* frames, and copies */
	write_all(1);
	for (uint64_t i = 0; i < PAGES; i++)
		n += was_dirty[i] =
			live_flags(vm, base + i * LIVE_PAGE) & VVM_PAGE_DIRTY;
	live_check(n > 0 && n < PAGES);
	live_child_ok(write_the_dirty, was_dirty);
	live_equal(wrong(1), 0);
	wait_released();
}
END_TEST

/* Every call of the interface works in the child. */
static int use_the_interface(void *arg)
{
	uint64_t addr = VVM_ANYWHERE, word;
	struct vvm_stats st;
	char *other;

	(void)arg;
	child_expect(vvm_load(vm, live_addr(base), &word, 8), 0);
	child_check(word == live_stamp(0, 1));
	child_check(wrong(1) == 0);
	child_expect(vvm_map(vm, &addr, PAGES * LIVE_PAGE, LIVE_RW, "own"), 0);
	other = vvm_ptr(vm, addr);
	for (uint64_t i = 0; i < PAGES; i++)
		live_fill(other + i * LIVE_PAGE, i + 1000, 7);
	child_check(wrong(1) == 0);
	for (uint64_t i = 0; i < PAGES; i++)
		child_check(live_verify(other + i * LIVE_PAGE, i + 1000, 7) <
			    0);
	child_expect(vvm_pin(vm, live_addr(base), 4 * LIVE_PAGE), 0);
	child_expect(vvm_unpin(vm, live_addr(base), 4 * LIVE_PAGE), 0);
	child_expect(vvm_advise(vm, live_addr(base), 8 * LIVE_PAGE,
				VVM_ADV_DONTNEED),
		     0);
	child_check(live_is_zero(base));
	child_expect(vvm_protect(vm, live_addr(base), LIVE_PAGE, VVM_READ), 0);
	child_expect(vvm_resize(vm, 2 * BUDGET * LIVE_PAGE), 0);
	child_expect(vvm_stats(vm, &st, sizeof st), 0);
	child_check(st.regions >= 2 && st.budget_pages == 2 * BUDGET);
	child_expect(vvm_unmap(vm, live_addr(base), PAGES * LIVE_PAGE), 0);
	child_expect(vvm_close(vm), 0);
	return 0;
}

START_TEST(the_interface_works_in_the_child)
{
	write_all(1);
	live_ended_ok(live_fork(use_the_interface, NULL));
	live_equal(wrong(1), 0);
	wait_released();
}
END_TEST

static int close_at_once(void *arg)
{
	(void)arg;
	child_expect(vvm_close(vm), 0);
	return 0;
}

START_TEST(child_may_close_at_once)
{
	write_all(1);
	live_ended_ok(live_fork(close_at_once, NULL));
	wait_released();
	live_equal(wrong(1), 0);
}
END_TEST

/* Do they fail on a page that is not there? */
static bool calls_fail(void)
{
	return live_inline() || live_missing_system_calls();
}

/* A system call is the first to touch the memory. */
static int write_to_pipe(void *arg)
{
	struct meeting *m = arg;

	if (calls_fail())
		child_expect(vvm_touch(vm, live_addr(base), PAGES * LIVE_PAGE,
				       VVM_TOUCH_READ),
			     0);
	if (calls_fail())
		base += (PAGES - 1) * LIVE_PAGE;
	child_check(write(m->child.fd[1], base, 64) == 64);
	return 0;
}

START_TEST(a_system_call_may_be_the_first_access)
{
	uint64_t words[8], page = calls_fail() ? PAGES - 1 : 0;
	struct meeting m;

	gate_make(&m.child);
	write_all(1);
	live_ended_ok(live_fork(write_to_pipe, &m));
	live_equal(read(m.child.fd[0], words, 64), 64);
	live_check(words[3] == live_stamp(page * 512 + 3, 1));
	gate_free(&m.child);
}
END_TEST

/* ---- what the parent does meanwhile ---- */

struct change {
	int (*change)(void);
	uint64_t pages; /* that are left to the parent */
};

static int change_discard(void)
{
	return vvm_advise(vm, live_addr(base), PAGES * LIVE_PAGE,
			  VVM_ADV_DONTNEED);
}

static int change_unmap(void)
{
	return vvm_unmap(vm, live_addr(base), PAGES * LIVE_PAGE);
}

static int change_protect(void)
{
	return vvm_protect(vm, live_addr(base), PAGES * LIVE_PAGE, VVM_READ);
}

static int change_shrink(void)
{
	return vvm_resize(vm, 4 * LIVE_PAGE);
}

static int change_close(void)
{
	int rc = vvm_close(vm);

	set_up();
	write_all(9);
	return rc;
}

static int (*const changes[])(void) = {change_discard, change_unmap,
				       change_protect, change_shrink,
				       change_close};

START_TEST(the_parent_may_do_what_it_wants)
{
	struct meeting m;
	pid_t pid;

	gate_make(&m.parent);
	write_all(1);
	pid = live_fork(read_late, &m);
	live_ok(changes[_i]());
	gate_open(&m.parent);
	live_ended_ok(pid);
	wait_released();
	gate_free(&m.parent);
}
END_TEST

/* Pinned pages, zero pages, and pages that were never touched. */
static int look_at_all_kinds(void *arg)
{
	struct meeting *m = arg;

	gate_wait(&m->parent);
	for (uint64_t i = 0; i < 8; i++)
		child_check(live_verify(base + i * LIVE_PAGE, i, 1) < 0);
	for (uint64_t i = 8; i < 24; i++)
		child_check(live_is_zero(base + i * LIVE_PAGE));
	child_check(vvm_unpin(vm, live_addr(base), LIVE_PAGE) == -EINVAL);
	return 0;
}

START_TEST(pinned_and_zero_pages)
{
	struct meeting m;
	pid_t pid;

	gate_make(&m.parent);
	for (uint64_t i = 0; i < 8; i++)
		live_fill(base + i * LIVE_PAGE, i, 1);
	live_ok(vvm_pin(vm, live_addr(base), 4 * LIVE_PAGE));
	for (uint64_t i = 8; i < 16; i++)
		live_check(live_is_zero(base + i * LIVE_PAGE));
	pid = live_fork(look_at_all_kinds, &m);
	for (uint64_t i = 0; i < 24; i++)
		live_fill(base + i * LIVE_PAGE, i, 2);
	gate_open(&m.parent);
	live_ended_ok(pid);
	live_ok(vvm_unpin(vm, live_addr(base), 4 * LIVE_PAGE));
	wait_released();
	gate_free(&m.parent);
}
END_TEST

/* Nothing can be written any more; a fork needs no slot. */
START_TEST(a_full_swap_does_not_matter)
{
	struct vvm_options o;
	struct meeting m;
	pid_t pid;

	live_ok(vvm_close(vm));
	live_options(&o, BUDGET);
	o.fork = VVM_FORK_INHERIT;
	o.swap_limit_bytes = (PAGES - BUDGET) * LIVE_PAGE;
	live_ok(vvm_open(&vm, &o));
	base = live_map(vm, PAGES, LIVE_RW);
	/* what fits; the child's own swap is as small, so it only reads */
	for (uint64_t i = 0; i < PAGES - BUDGET; i++)
		live_fill(base + i * LIVE_PAGE, i, 1);
	gate_make(&m.child);
	pid = live_fork(write_to_pipe, &m);
	if (live_inline())
		kill(pid, SIGKILL);
	else
		live_ended_ok(pid);
	if (live_inline())
		live_status(pid);
	gate_free(&m.child);
}
END_TEST

/* ---- threads ---- */

#define WRITERS 4

static atomic_bool stop;

struct writer {
	pthread_t thread;
	unsigned id;
	_Atomic uint64_t rounds;
};

static struct writer writers[WRITERS];

/* Words of its own in every page: the first and the last of a page agree. */
static void *keep_writing(void *arg)
{
	struct writer *w = arg;
	uint64_t version = 1;

	for (; !atomic_load(&stop); version++) {
		for (uint64_t i = w->id; i < PAGES; i += WRITERS) {
			volatile uint64_t *page =
				(uint64_t *)(base + i * LIVE_PAGE);

			page[0] = version;
			page[511] = version;
		}
		atomic_fetch_add(&w->rounds, 1);
	}
	return NULL;
}

static void start_writers(void)
{
	atomic_store(&stop, false);
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i].id = i;
		atomic_store(&writers[i].rounds, 0);
		live_equal(pthread_create(&writers[i].thread, NULL,
					  keep_writing, &writers[i]),
			   0);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		live_wait(atomic_load(&writers[i].rounds) > 0, 60000);
}

static void stop_writers(void)
{
	atomic_store(&stop, true);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
}

/*
 * A consistent cut of each writer: versions fall by one at most, at one place
 * of its pages, and within a page too.
 */
static int check_cut(void *arg)
{
	uint64_t seen[PAGES][2];

	(void)arg;
	for (uint64_t i = 0; i < PAGES; i++) {
		const volatile uint64_t *page =
			(uint64_t *)(base + i * LIVE_PAGE);

		seen[i][0] = page[0];
		seen[i][1] = page[511];
	}
	for (uint64_t w = 0; w < WRITERS; w++) {
		uint64_t last = seen[w][0], steps = 0;

		for (uint64_t i = w; i < PAGES; i += WRITERS)
			for (int k = 0; k < 2; k++) {
				child_check(seen[i][k] == last ||
					    seen[i][k] + 1 == last);
				steps += seen[i][k] != last;
				last = seen[i][k];
			}
		child_check(steps <= 1);
	}
	/* and it stays as it was */
	for (uint64_t i = 0; i < PAGES; i++) {
		const volatile uint64_t *page =
			(uint64_t *)(base + i * LIVE_PAGE);

		child_check(page[0] == seen[i][0] && page[511] == seen[i][1]);
	}
	return 0;
}

START_TEST(fork_while_other_threads_write)
{
	start_writers();
	for (int i = 0; i < 8; i++)
		live_ended_ok(live_fork(check_cut, NULL));
	stop_writers();
	wait_released();
}
END_TEST

#define AHEAD_BUDGET 2048
#define AHEAD_PAGES  1024

static int look_at_some(void *arg)
{
	(void)arg;
	for (uint64_t i = 0; i < AHEAD_PAGES; i += 50)
		child_check(live_verify(base + i * LIVE_PAGE, i, 1) < 0);
	return 0;
}

/* Pages that are read ahead have arrived or not: they are the child's, too. */
START_TEST(fork_while_pages_are_read_ahead)
{
	char *other;

	live_ok(vvm_close(vm));
	vm = open_inherited(AHEAD_BUDGET);
	base = live_map(vm, AHEAD_PAGES, LIVE_RW);
	other = live_map(vm, 2 * AHEAD_BUDGET, LIVE_RW);
	for (uint64_t i = 0; i < AHEAD_PAGES; i++)
		live_fill(base + i * LIVE_PAGE, i, 1);
	for (long n = 0; n < 10; n++) {
		live_push_out(vm, base, AHEAD_PAGES, other, 2 * AHEAD_BUDGET);
		live_ok(vvm_advise(vm, live_addr(other),
				   2 * AHEAD_BUDGET * LIVE_PAGE,
				   VVM_ADV_DONTNEED));
		live_ok(vvm_advise(vm, live_addr(base), AHEAD_PAGES * LIVE_PAGE,
				   VVM_ADV_WILLNEED));
		live_nap_us(100 * n);
		live_ended_ok(live_fork(look_at_some, NULL));
	}
	wait_released();
}
END_TEST

#define CHILDREN 50

START_TEST(fifty_children_at_once)
{
	pid_t pid[CHILDREN];

	start_writers();
	for (int i = 0; i < CHILDREN; i++)
		pid[i] = live_fork(check_cut, NULL);
	for (int i = 0; i < CHILDREN; i++)
		live_ended_ok(pid[i]);
	stop_writers();
	wait_released();
}
END_TEST

#define FORKERS 3

/*
 * None of them forks while another one starts or ends: that takes the locks of
 * the address sanitizer's allocator, which a child then finds taken for ever.
 */
static pthread_barrier_t all_started, all_done;

static void *fork_often(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&all_started);
	for (int i = 0; i < 4; i++)
		live_ended_ok(live_fork(check_cut, NULL));
	pthread_barrier_wait(&all_done);
	return NULL;
}

START_TEST(several_threads_fork)
{
	pthread_t thread[FORKERS];

	pthread_barrier_init(&all_started, NULL, FORKERS + 1);
	pthread_barrier_init(&all_done, NULL, FORKERS);
	start_writers();
	for (int i = 0; i < FORKERS; i++)
		live_equal(pthread_create(&thread[i], NULL, fork_often, NULL),
			   0);
	pthread_barrier_wait(&all_started);
	for (int i = 0; i < FORKERS; i++)
		pthread_join(thread[i], NULL);
	stop_writers();
	wait_released();
}
END_TEST

/* ---- generations ---- */

/* Each generation rewrites a third of the pages, and the next one checks. */
static unsigned version_of(uint64_t page, unsigned generation)
{
	unsigned g, v = 1;

	for (g = 1; g <= generation; g++)
		if (page % 3 == g % 3)
			v = g + 10;
	return v;
}

static int generation(void *arg)
{
	unsigned g = *(unsigned *)arg, next = g + 1;
	pid_t pid = -1;

	for (uint64_t i = 0; i < PAGES; i++)
		child_check(live_verify(base + i * LIVE_PAGE, i,
					version_of(i, g - 1)) < 0);
	for (uint64_t i = g % 3; i < PAGES; i += 3)
		live_fill(base + i * LIVE_PAGE, i, g + 10);
	if (next <= 5)
		pid = live_fork(generation, &next);
	for (uint64_t i = 0; i < PAGES; i++)
		child_check(live_verify(base + i * LIVE_PAGE, i,
					version_of(i, g)) < 0);
	if (pid > 0) {
		write_all(77);
		live_ended_ok(pid);
		child_check(wrong(77) == 0);
	}
	return 0;
}

START_TEST(children_of_children)
{
	unsigned first = 1;
	pid_t pid;

	write_all(1);
	pid = live_fork(generation, &first);
	write_all(99);
	live_ended_ok(pid);
	live_equal(wrong(99), 0);
	wait_released();
}
END_TEST

/* As daemons do: the child forks and is gone, its child goes on. */
static int orphan(void *arg)
{
	struct meeting *m = arg;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGALRM, SIG_DFL);
		alarm(live_child_seconds());
		gate_wait(&m->parent);
		child_check(wrong(1) == 0);
		write_all(6);
		child_check(wrong(6) == 0);
		gate_open(&m->child);
		_exit(0);
	}
	return pid < 0;
}

START_TEST(the_child_is_gone_before_its_child)
{
	struct meeting m;

	gate_make(&m.parent);
	gate_make(&m.child);
	write_all(1);
	live_ended_ok(live_fork(orphan, &m));
	write_all(2);
	gate_open(&m.parent);
	gate_wait(&m.child);
	live_equal(wrong(2), 0);
	wait_released();
	gate_free(&m.parent);
	gate_free(&m.child);
}
END_TEST

/* The whole of it in a child, which is the parent that is gone first. */
static int parent_first(void *arg)
{
	struct meeting *m = arg;
	pid_t pid;

	set_up();
	write_all(1);
	pid = live_fork(read_late, m);
	write_all(2);
	return pid < 0;
}

static int (*const lasts[])(void *) = {parent_first};

START_TEST(the_parent_is_gone_first)
{
	struct meeting m;
	char c;

	live_end();
	gate_make(&m.parent);
	gate_make(&m.child);
	live_ended_ok(live_fork(lasts[_i], &m));
	/* the grandchild has the writing end as long as it lives */
	close(m.child.fd[1]);
	gate_open(&m.parent);
	live_equal(read(m.child.fd[0], &c, 1), 0);
	close(m.child.fd[0]);
	gate_free(&m.parent);
	set_up();
}
END_TEST

/* ---- nothing is left ---- */

static void run_true(void)
{
	char *argv[] = {"true", NULL};
	pid_t pid = fork();

	live_check(pid >= 0);
	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	live_ended_ok(pid);
}

START_TEST(fork_and_exec_leave_nothing)
{
	int fds, maps, threads;
	struct vvm_stats st;
	uint64_t swap;

	write_all(1);
	run_true();
	wait_released();
	fds = live_count_fds();
	maps = live_count_maps();
	threads = live_count_threads();
	swap = live_stats(vm).swap_used_pages;
	for (int i = 0; i < 100; i++) {
		live_fill(base + (i % PAGES) * LIVE_PAGE, i % PAGES, 1);
		run_true();
	}
	wait_released();
	live_equal(wrong(1), 0);
	st = live_stats(vm);
	live_check(st.swap_used_pages <= swap + BUDGET);
	live_equal(live_count_fds(), fds);
	live_equal(live_count_threads(), threads);
	live_check(live_count_maps() <= maps + 4);
}
END_TEST

static int sleep_on(void *arg)
{
	struct meeting *m = arg;

	child_check(wrong(1) == 0);
	gate_open(&m->child);
	for (;;)
		pause();
}

START_TEST(a_killed_child_leaves_nothing)
{
	struct meeting m;
	int fds;

	write_all(1);
	gate_make(&m.child);
	fds = live_count_fds();
	for (int i = 0; i < 5; i++) {
		pid_t pid = live_fork(sleep_on, &m);
		int status;

		gate_wait(&m.child);
		write_all(1);
		live_check(live_stats(vm).fork_snapshots == 1);
		kill(pid, SIGKILL);
		status = live_status(pid);
		live_check(WIFSIGNALED(status));
	}
	wait_released();
	live_equal(live_count_fds(), fds);
	live_equal(wrong(1), 0);
	gate_free(&m.child);
}
END_TEST

/* ---- what goes wrong ---- */

/* Right content, or death by a signal; never 99. */
static int look_once(void *arg)
{
	(void)arg;
	child_check(wrong(1) == 0);
	write_all(2);
	child_check(wrong(2) == 0);
	return 0;
}

static void quiet(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(fd, 2);
	close(fd);
}

static const enum os_point points[] = {
	OS_memfd,     OS_reserve,	OS_map,		OS_unmap,
	OS_advise,    OS_frame_read,	OS_truncate,	OS_pagemap,
	OS_uffd_open, OS_uffd_register, OS_uffd_wp,	OS_open,
	OS_fallocate, OS_eventfd,	OS_thread,	OS_ring_setup,
	OS_pipe,      OS_epoll,		OS_frame_write,
};

/*
 * The n-th use of a point fails, in the parent or, since children inherit
 * the plan and count on, in the child. The parent is never harmed.
 */
START_TEST(a_failing_system_call_is_no_wrong_data)
{
	unsigned n, lived = 0;

	quiet();
	live_ok(vvm_close(vm));
	vm = open_inherited(8); /* each point is met soon, with few faults */
	base = live_map(vm, PAGES, LIVE_RW);
	pages = 12;
	for (n = 1; n <= 8 && lived < 2; n++) {
		int status;

		write_all(1);
		os_inject_clear();
		os_inject(points[_i], n, false, ENOMEM);
		status = live_status(live_fork(look_once, NULL));
		os_inject_clear();
		/* a sanitizer's handler turns the signal into status 1 */
		if (WIFEXITED(status) &&
		    !(LIVE_SANITIZED && WEXITSTATUS(status) == 1)) {
			live_equal(WEXITSTATUS(status), 0);
			lived++;
		} else {
			lived = 0;
		}
		live_equal(wrong(1), 0);
	}
	wait_released();
}
END_TEST

/*
 * A handler that was registered before the library's, so that it runs between
 * the moment when the space is held still and the fork. It waits for a
 * thread that waits for the space.
 */
static atomic_bool handler_armed, handler_runs, thread_done, handler_jumps;
static struct vvm_heap *handler_heap;
static char *handler_blocks[8];

/* Frees so much that the heap would give pages back, and takes them again. */
static void use_heap(void)
{
	for (unsigned i = 0; i < LIVE_LEN(handler_blocks); i++)
		vvm_free(handler_heap, handler_blocks[i]);
	for (unsigned i = 0; i < LIVE_LEN(handler_blocks); i++) {
		handler_blocks[i] = vvm_malloc(handler_heap, 64 * LIVE_PAGE);
		live_check(handler_blocks[i] != NULL);
	}
	live_ok(vvm_advise(vm, live_addr(base) + PAGES * LIVE_PAGE - LIVE_PAGE,
			   LIVE_PAGE, VVM_ADV_COLD));
}

static bool handler_frees;
static char *spare;
static struct vvm *to_close;

/* What the program may do in its own handlers. */
static void use_the_space(void)
{
	if (!handler_frees)
		return;
	live_ok(vvm_unmap(vm, live_addr(spare), 64 * LIVE_PAGE));
	spare = live_map(vm, 64, LIVE_RW);
	live_ok(vvm_touch(vm, live_addr(spare), 64 * LIVE_PAGE,
			  VVM_TOUCH_WRITE));
	live_ok(vvm_close(to_close));
	to_close = NULL;
}

static void wait_for_thread(void)
{
	use_the_space();
	if (atomic_exchange(&handler_jumps, false))
		jump(JUMP_LOOKS);
	if (handler_heap)
		use_heap();
	if (!atomic_load(&handler_armed))
		return;
	atomic_store(&handler_runs, true);
	while (!atomic_load(&thread_done))
		live_nap_us(1000);
}

__attribute__((constructor(101))) static void register_first(void)
{
	pthread_atfork(wait_for_thread, use_the_space, NULL);
}

static void *write_meanwhile(void *arg)
{
	(void)arg;
	while (!atomic_load(&handler_runs))
		live_nap_us(1000);
	live_fill(base, 0, 2);
	atomic_store(&thread_done, true);
	return NULL;
}

/* It inherits nothing: no descriptor, and nothing lands where the memory was. */
static int touch(void *arg)
{
	char *p;
	int i;

	(void)arg;
	child_check(live_count_memfds() == 0);
	for (i = 0; i < 16; i++) {
		p = mmap(NULL, PAGES * LIVE_PAGE, PROT_READ,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		child_check(p != MAP_FAILED);
		child_check(p + PAGES * LIVE_PAGE <= base ||
			    p >= base + PAGES * LIVE_PAGE);
	}
	live_default_signals();
	return *(volatile char *)base ? 98 : 97;
}

START_TEST(a_fork_that_waits_for_a_faulting_thread_gets_on)
{
	pthread_t thread;
	int status;

	quiet();
	write_all(1);
	live_equal(pthread_create(&thread, NULL, write_meanwhile, NULL), 0);
	atomic_store(&handler_armed, true);
	status = live_status(live_fork(touch, NULL));
	atomic_store(&handler_armed, false);
	pthread_join(thread, NULL);
	live_check(!WIFEXITED(status) || LIVE_SANITIZED);
	live_check(!WIFEXITED(status) || WEXITSTATUS(status) == 1);
	live_equal(live_verify(base, 0, 2), -1);
	live_fill(base, 0, 1);
	live_equal(wrong(1), 0);
	live_ended_ok(
		live_fork(read_then_write, NULL)); /* the next one works */
	wait_released();
}
END_TEST

/* It frees and allocates, and the child inherits as ever. */
START_TEST(a_fork_handler_may_use_a_heap)
{
	struct vvm_heap *heap;

	live_ok(vvm_heap_open(vm, NULL, &heap));
	for (unsigned i = 0; i < LIVE_LEN(handler_blocks); i++) {
		handler_blocks[i] = vvm_malloc(heap, 64 * LIVE_PAGE);
		memset(handler_blocks[i], 1, 64 * LIVE_PAGE);
	}
	write_all(1);
	handler_heap = heap;
	live_ended_ok(live_fork(read_then_write, NULL));
	handler_heap = NULL;
	live_equal(wrong(1), 0);
	live_ok(vvm_heap_close(heap));
	wait_released();
}
END_TEST

/* All paused actors see the clock jump; none of them lets go for that. */
static void *close_meanwhile(void *arg)
{
	while (!atomic_load(&handler_runs))
		live_nap_us(1000);
	live_ok(vvm_close(arg));
	atomic_store(&thread_done, true);
	return NULL;
}

/* A fork waits for a thread that closes a space, which waits for the fork. */
START_TEST(a_space_that_is_closed_in_a_fork)
{
	struct vvm *closed = open_inherited(BUDGET);
	char *p = live_map(closed, 8, LIVE_RW);
	pthread_t thread;

	quiet();
	live_fill(p, 1, 1);
	live_equal(pthread_create(&thread, NULL, close_meanwhile, closed), 0);
	atomic_store(&handler_armed, true);
	live_status(live_fork(touch, NULL));
	atomic_store(&handler_armed, false);
	pthread_join(thread, NULL);
	write_all(1);
	live_ended_ok(live_fork(read_then_write, NULL));
	wait_released();
}
END_TEST

/* "free() in a prepare handler hangs": in the thread that forks. */
START_TEST(handlers_of_the_program_may_free)
{
	write_all(1);
	spare = live_map(vm, 64, LIVE_RW);
	for (int i = 0; i < 5; i++) {
		pid_t pid;

		to_close = open_inherited(BUDGET);
		live_fill(spare, 7, 7);
		handler_frees = true;
		pid = live_fork(read_then_write, NULL);
		handler_frees = false;
		live_equal(wrong(1), 0);
		live_ended_ok(pid);
	}
	wait_released();
}
END_TEST

START_TEST(a_process_that_is_stopped_in_a_fork)
{
	write_all(1);
	atomic_store(&handler_jumps, true);
	live_ended_ok(live_fork(read_then_write, NULL));
	live_equal(wrong(1), 0);
	wait_released();
}
END_TEST

/* ---- several spaces ---- */

struct two {
	struct vvm *vm[2];
	char *p[2];
};

static int use_two(void *arg)
{
	struct two *t = arg;

	for (uint64_t i = 0; i < PAGES; i++)
		child_check(live_verify(t->p[0] + i * LIVE_PAGE, i, 1) < 0);
	child_check(wrong(3) == 0);
	child_check(vvm_touch(t->vm[1], live_addr(t->p[1]), LIVE_PAGE,
			      VVM_TOUCH_READ) == -ECHILD);
	child_expect(vvm_close(t->vm[0]), 0);
	child_check(wrong(3) == 0);
	return 0;
}

START_TEST(of_three_spaces_two_are_inherited)
{
	struct two t = {.vm = {open_inherited(BUDGET), live_open(BUDGET)}};

	for (int i = 0; i < 2; i++)
		t.p[i] = live_map(t.vm[i], PAGES, LIVE_RW);
	for (uint64_t i = 0; i < PAGES; i++) {
		live_fill(t.p[0] + i * LIVE_PAGE, i, 1);
		live_fill(t.p[1] + i * LIVE_PAGE, i, 2);
	}
	write_all(3);
	live_ended_ok(live_fork(use_two, &t));
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(live_verify(t.p[1] + i * LIVE_PAGE, i, 2), -1);
	live_equal(wrong(3), 0);
	live_ok(vvm_close(t.vm[0]));
	live_ok(vvm_close(t.vm[1]));
}
END_TEST

/* The parent's swap has a name; the child's is in the same directory. */
START_TEST(the_swap_is_a_file_with_a_name)
{
	struct vvm_options o;

	live_ok(vvm_close(vm));
	live_dir_make();
	live_options(&o, BUDGET);
	o.fork = VVM_FORK_INHERIT;
	o.swap_path = live_path("swap");
	live_ok(vvm_open(&vm, &o));
	base = live_map(vm, PAGES, LIVE_RW);
	write_all(1);
	live_ended_ok(live_fork(read_then_write, NULL));
	live_equal(live_count_dir(live_dir), 3); /* with . and .. */
	wait_released();
	live_dir_remove();
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "fork");

	tcase_add_test(tc, both_go_on_independently);
	tcase_add_test(tc, child_sees_the_memory_as_of_the_fork);
	tcase_add_test(tc, parent_does_not_see_what_the_child_writes);
	tcase_add_test(tc, a_child_lets_go_of_frames_that_it_does_not_need);
	tcase_add_test(tc, the_interface_works_in_the_child);
	tcase_add_test(tc, child_may_close_at_once);
	tcase_add_test(tc, a_system_call_may_be_the_first_access);
	tcase_add_loop_test(tc, the_parent_may_do_what_it_wants, 0,
			    LIVE_LEN(changes));
	tcase_add_test(tc, pinned_and_zero_pages);
	tcase_add_test(tc, a_full_swap_does_not_matter);
	tcase_add_test(tc, fork_while_other_threads_write);
	tcase_add_test(tc, fork_while_pages_are_read_ahead);
	tcase_add_test(tc, fifty_children_at_once);
	tcase_add_test(tc, several_threads_fork);
	tcase_add_test(tc, children_of_children);
	tcase_add_test(tc, the_child_is_gone_before_its_child);
	tcase_add_loop_test(tc, the_parent_is_gone_first, 0, LIVE_LEN(lasts));
	tcase_add_test(tc, fork_and_exec_leave_nothing);
	tcase_add_test(tc, a_killed_child_leaves_nothing);
	tcase_add_test(tc, a_fork_that_waits_for_a_faulting_thread_gets_on);
	tcase_add_test(tc, handlers_of_the_program_may_free);
	tcase_add_test(tc, a_space_that_is_closed_in_a_fork);
	tcase_add_test(tc, a_fork_handler_may_use_a_heap);
	tcase_add_test(tc, a_process_that_is_stopped_in_a_fork);
	tcase_add_test(tc, of_three_spaces_two_are_inherited);
	tcase_add_test(tc, the_swap_is_a_file_with_a_name);
	tcase_add_loop_test(tc, a_failing_system_call_is_no_wrong_data, 0,
			    LIVE_LEN(points));
}

const struct test_program test_program = {
	.name = "live_fork",
	.add = add_tests,
	.setup = set_up,
	.teardown = live_end,
	.missing = live_missing,
	.modes = true,
};
