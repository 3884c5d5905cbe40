/* SPDX-License-Identifier: MIT */
/*
 * api/idle.c - a space in which nothing happens costs no CPU time: all threads
 * of the library sleep, and nothing wakes them.
 *
 * Looked for is one window of WINDOW_MS in which none of them has been on a
 * CPU, by their context switches and ticks in /proc. A busy machine delays it,
 * a thread that looks around now and then leaves none. Where a thread has to
 * look around it does so seldom.
 */
#include <dirent.h>
#include <pthread.h>
#include <string.h>

#include "support/child.h"
#include "support/live.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

/* As long as any period that a thread of ours might have. */
#define WINDOW_MS   500
#define LOOK_US	    20000
#define PATIENCE_MS wait_scaled(10000)
#define MY_THREADS  64

static const char prefix[] = "vvm-"; /* what the library calls its threads */

struct use {
	pid_t tid;
	char name[32];
	unsigned long long switches, ticks;
};

struct usage {
	unsigned count;
	struct use use[MY_THREADS];
};

/* ---- what the threads have used ---- */

static FILE *open_task(pid_t tid, const char *file)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/task/%d/%s", tid, file);
	return fopen(path, "re");
}

/* False: the thread has gone. */
static bool read_name(struct use *u)
{
	FILE *f = open_task(u->tid, "comm");
	bool there = f && fgets(u->name, sizeof u->name, f);

	if (f)
		fclose(f);
	u->name[strcspn(u->name, "\n")] = '\0';
	return there;
}

static void read_switches(struct use *u)
{
	FILE *f = open_task(u->tid, "status");
	unsigned long long n;
	char line[128];

	live_check(f != NULL);
	while (fgets(line, sizeof line, f)) {
		char *at = strstr(line, "voluntary_ctxt_switches:");

		if (at && sscanf(at, "%*s %llu", &n) == 1)
			u->switches += n; /* nonvoluntary ones too */
	}
	fclose(f);
}

static void read_ticks(struct use *u)
{
	FILE *f = open_task(u->tid, "stat");
	unsigned long long user, system;
	char line[512], *at;

	live_check(f && fgets(line, sizeof line, f));
	at = strrchr(line, ')'); /* of the name */
	live_check(at && sscanf(at,
				") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u"
				" %*u %llu %llu",
				&user, &system) == 2);
	u->ticks = user + system;
	fclose(f);
}

static struct usage usage_now(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct usage all = {0};
	struct dirent *d;

	live_check(dir != NULL);
	while ((d = readdir(dir))) {
		struct use u = {.tid = atoi(d->d_name)};

		if (!u.tid || !read_name(&u) ||
		    strncmp(u.name, prefix, strlen(prefix)))
			continue;
		read_switches(&u);
		read_ticks(&u);
		live_check(all.count < MY_THREADS);
		all.use[all.count++] = u;
	}
	closedir(dir);
	return all;
}

/* What was not asleep all the time; NULL: nothing. */
static const struct use *awake_between(const struct usage *a,
				       const struct usage *b)
{
	live_equal(a->count, b->count);
	for (unsigned i = 0; i < a->count; i++) {
		live_equal(a->use[i].tid, b->use[i].tid);
		if (a->use[i].switches != b->use[i].switches ||
		    a->use[i].ticks != b->use[i].ticks)
			return &b->use[i];
	}
	return NULL;
}

/* threads: how many the library has at least. */
static void expect_idle(unsigned threads)
{
	uint64_t end_ms = live_now_ms() + PATIENCE_MS, since_ms = live_now_ms();
	struct usage before = usage_now(), after;
	const struct use *u = NULL;

	live_check(before.count >= threads);
	while (live_now_ms() - since_ms < WINDOW_MS) {
		live_nap_us(LOOK_US);
		after = usage_now();
		u = awake_between(&before, &after);
		if (!u)
			continue;
		if (live_now_ms() > end_ms)
			live_fail("%s (%d) never sleeps: %llu switches, "
				  "%llu ticks",
				  u->name, u->tid, u->switches, u->ticks);
		before = after;
		since_ms = live_now_ms();
	}
}

/* ---- work ---- */

#define SPACES 4

static const uint64_t budgets[SPACES] = {1, 8, 64, 1024};

struct space {
	struct vvm *vm;
	char *base;
	uint64_t pages;
};

static struct space spaces[SPACES];

/* Its budget is full with dirty pages, and more has been read ahead. */
static void *work(void *arg)
{
	struct space *s = arg;
	uint64_t random = s->pages;

	for (uint64_t i = 0; i < s->pages; i++)
		live_fill(s->base + i * LIVE_PAGE, i, 1);
	for (uint64_t i = 0; i < s->pages; i++)
		live_equal(live_verify(s->base + i * LIVE_PAGE, i, 1), -1);
	for (uint64_t i = 0; i < s->pages; i++) {
		uint64_t page = live_below(&random, s->pages);

		live_fill(s->base + page * LIVE_PAGE, page, 1);
	}
	return NULL;
}

static void open_all(void)
{
	for (unsigned i = 0; i < SPACES; i++) {
		struct vvm_options o;

		live_options(&o, budgets[i]);
		o.handlers = 2;
		o.stat_segment = 1;
		if (i % 2)
			o.fork = VVM_FORK_INHERIT;
		live_ok(vvm_open(&spaces[i].vm, &o));
		spaces[i].pages = 3 * budgets[i] + 8;
		spaces[i].base =
			live_map(spaces[i].vm, spaces[i].pages, LIVE_RW);
	}
}

static void close_all(void)
{
	for (unsigned i = 0; i < SPACES; i++)
		live_ok(vvm_close(spaces[i].vm));
}

static void work_on_all(void)
{
	pthread_t thread[SPACES];

	for (unsigned i = 0; i < SPACES; i++)
		live_equal(pthread_create(&thread[i], NULL, work, &spaces[i]),
			   0);
	for (unsigned i = 0; i < SPACES; i++)
		pthread_join(thread[i], NULL);
}

/* ---- tests ---- */

/* At least: a handler (inline mode on two CPUs has no more) and a reclaimer. */
#define SPACE_THREADS 2

START_TEST(spaces_are_idle_after_work)
{
	open_all();
	work_on_all();
	expect_idle(SPACES * SPACE_THREADS);
	close_all();
}
END_TEST

/* Of two spaces that it inherits it has used one; the other is dormant. */
static int idle_child(void *arg)
{
	(void)arg;
	work(&spaces[1]);
	expect_idle(SPACE_THREADS + 1);
	return 0;
}

/* ... and so is the parent. */
START_TEST(spaces_are_idle_after_a_fork)
{
	pid_t pid;

	open_all();
	work_on_all();
	pid = live_fork(idle_child, NULL);
	expect_idle(SPACES * SPACE_THREADS);
	live_ended_ok(pid);
	close_all();
}
END_TEST

/* 1024 frames: less than `low` are free, and nothing can be evicted. */
#define PINNED	   1014
#define STEPS_MS   100
#define STEPS_MOST 200 /* one that never sleeps does some 10,000 */

/* Reclaim waits for vvm_unpin(): it does not look for it all the time. */
START_TEST(pinned_memory_is_left_alone)
{
	uint64_t end_ms = live_now_ms() + PATIENCE_MS, before, steps;
	struct vvm *vm = live_open(1024);
	char *base = live_map(vm, 1100, LIVE_RW);

	live_ok(vvm_pin(vm, live_addr(base), PINNED * LIVE_PAGE));
	do {
		live_check(live_now_ms() < end_ms);
		before = live_stats(vm).reclaim_steps;
		live_nap_us(STEPS_MS * 1000);
		steps = live_stats(vm).reclaim_steps - before;
	} while (steps > STEPS_MOST);
	live_ok(vvm_unpin(vm, live_addr(base), PINNED * LIVE_PAGE));
	for (uint64_t i = 0; i < 1100; i++)
		live_fill(base + i * LIVE_PAGE, i, 1);
	for (uint64_t i = 0; i < 1100; i++)
		live_equal(live_verify(base + i * LIVE_PAGE, i, 1), -1);
	live_ok(vvm_close(vm));
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "idle");

	tcase_add_test(tc, spaces_are_idle_after_work);
	tcase_add_test(tc, spaces_are_idle_after_a_fork);
	tcase_add_test(tc, pinned_memory_is_left_alone);
}

const struct test_program test_program = {
	.name = "api_idle",
	.add = add_tests,
	.missing = live_missing,
	.modes = true,
};
