/* SPDX-License-Identifier: MIT */
/*
 * inject/walk.c - walks n for one point after the other.
 *
 * A scenario is run again and again, from opening a space to closing it. In
 * each run one use of one point fails, once, or it and all that follow. After
 * each run the process must hold what it held before: descriptors, threads,
 * mappings (by their bytes), blocks of malloc, files of statistics and swap.
 * What the data and the errors must be, the scenario checks.
 *
 * Each pair of scenario and point is a test, and so a process, of its own; the
 * pairs are found by a run that counts. A thread watches: a run that takes too
 * long is a hang, and fails by name, with what the process's threads wait for.
 *
 * Short and long. Every use of every point fails in either. The short walk
 * gives the first error of errors.c to each (but to the first only of what polls)
 * and the others to one use, once; the long one (INJECT_ALL=1, `make
 * inject`) all to all.
 *
 * malloc() is a point as well, by --wrap: only what is linked into the program
 * comes here, and that is the library and its tests.
 */
#include "inject/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/access.h"
#include "support/child.h"
#include "support/files.h"
#include "support/live.h"
#include "support/process.h"
#include "support/test.h"
#include "support/wait.h"
#include "vvm_stat.h"

#define JOBS_MAX 4096
/* No scenario uses a point so often. */
#define N_MAX 2000
/* Uses, in the short walk, of what is asked again and again. */
#define POLL_USES  8
#define CASE_MS	   20000
#define TEST_LIMIT 300

struct walk_case walk;

struct job {
	const struct walk_scenario *scenario;
	unsigned point;
	enum vvm_io io;
};

static struct job jobs[JOBS_MAX];
static unsigned job_count;

/* With the children of a scenario. */
static struct shared {
	_Atomic uint64_t uses[WALK_POINTS];
} * shared;

/* ---- malloc ---- */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *ptr, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
void __real_free(void *ptr);

static _Atomic bool armed;
static _Atomic uint64_t allocs;	  /* while armed */
static _Atomic int64_t allocated; /* blocks */

static bool refused(void)
{
	uint64_t use;

	if (!armed)
		return false;
	use = ++allocs;
	if (walk.point != WALK_ALLOC || !walk.n ||
	    (use != walk.n && !(walk.forever && use > walk.n)))
		return false;
	errno = ENOMEM;
	return true;
}

static void *count(void *ptr)
{
	if (ptr)
		allocated++;
	return ptr;
}

void *__wrap_malloc(size_t bytes)
{
	return refused() ? NULL : count(__real_malloc(bytes));
}

void *__wrap_calloc(size_t n, size_t bytes)
{
	return refused() ? NULL : count(__real_calloc(n, bytes));
}

void *__wrap_realloc(void *ptr, size_t bytes)
{
	void *to;

	if (refused())
		return NULL;
	to = __real_realloc(ptr, bytes);
	return ptr ? to : count(to);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
	return refused() ? NULL : count(__real_aligned_alloc(align, bytes));
}

void __wrap_free(void *ptr)
{
	if (ptr)
		allocated--;
	__real_free(ptr);
}

/* ---- arming ---- */

void walk_arm(void)
{
	os_inject_clear();
	allocs = 0;
	if (walk.n && walk.point < OS_POINT_COUNT)
		os_inject(walk.point, walk.n, walk.forever, walk.error);
	armed = true;
}

static void note_uses(unsigned point, uint64_t uses)
{
	uint64_t seen = shared->uses[point];

	while (uses > seen &&
	       !atomic_compare_exchange_weak(&shared->uses[point], &seen, uses))
		;
}

void walk_disarm(void)
{
	unsigned i;

	if (!armed)
		return;
	armed = false;
	for (i = 0; i < OS_POINT_COUNT; i++) {
		os_inject(i, 1, false, 0);
		note_uses(i, os_inject_uses(i));
	}
	note_uses(WALK_ALLOC, allocs);
}

/* ---- what the process holds ---- */

struct holdings {
	int fds, threads, files, segments;
	uint64_t mapped_bytes;
	int64_t allocated;
};

/* But for what malloc and the stack grow by. */
static uint64_t mapped_bytes(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long long start, end;
	uint64_t bytes = 0;
	char line[512];

	live_check(f != NULL);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx-%llx", &start, &end) == 2 &&
		    !strstr(line, "[heap]") && !strstr(line, "[stack]"))
			bytes += end - start;
	fclose(f);
	return bytes;
}

/* Our statistics in /dev/shm. */
static int count_segments(void)
{
	char prefix[64];
	struct dirent *e;
	int n = 0;
	DIR *dir = opendir(VVM_STAT_DIR);

	snprintf(prefix, sizeof(prefix), "%s%d.", VVM_STAT_PREFIX,
		 (int)getpid());
	while (dir && (e = readdir(dir)))
		n += !strncmp(e->d_name, prefix, strlen(prefix));
	if (dir)
		closedir(dir);
	return n;
}

static struct holdings hold_now(void)
{
	return (struct holdings){
		.fds = live_count_fds(),
		.threads = live_count_threads(),
		.files = live_count_dir(live_dir),
		.segments = count_segments(),
		.mapped_bytes = LIVE_SANITIZED ? 0 : mapped_bytes(),
		.allocated = allocated,
	};
}

static bool same(const struct holdings *a, const struct holdings *b)
{
	/* What the kernel will not unmap stays mapped; so with a file. */
	bool unmapped = walk.point != OS_unmap || !walk.n;
	bool unlinked = walk.point != OS_unlink || !walk.n;

	return a->fds == b->fds && a->threads == b->threads &&
	       a->files == b->files && a->allocated == b->allocated &&
	       (!unlinked || a->segments == b->segments) &&
	       (!unmapped || a->mapped_bytes == b->mapped_bytes);
}

static void list_fds(void)
{
	char path[64], target[256];
	ssize_t n;
	int fd;

	for (fd = 0; fd < 1024; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		if (n > 0)
			fprintf(stderr, "  %d: %.*s\n", fd, (int)n, target);
	}
}

/* A thread that was joined may be seen a moment longer. */
static void expect_same(const struct holdings *before)
{
	uint64_t end = live_now_ms() + wait_scaled(2000);
	struct holdings now;

	while (now = hold_now(), !same(&now, before) && live_now_ms() < end)
		live_nap_us(1000);
	if (same(&now, before))
		return;
	if (now.fds != before->fds)
		list_fds();
	live_fail("it holds %d descriptors (%d before), %d threads (%d), "
		  "%lld bytes mapped (%lld), %lld blocks of malloc (%lld), "
		  "%d files (%d), %d segments (%d)",
		  now.fds, before->fds, now.threads, before->threads,
		  (long long)now.mapped_bytes, (long long)before->mapped_bytes,
		  (long long)now.allocated, (long long)before->allocated,
		  now.files, before->files, now.segments, before->segments);
}

/* ---- the watch ---- */

static _Atomic uint64_t deadline_ms; /* 0: nothing to watch */

static void show(const char *tid, const char *what)
{
	char path[320], text[2048];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%s/%s", tid, what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text));
	if (n > 0)
		fprintf(stderr, "  %s %s: %.*s\n", tid, what, (int)n, text);
	if (fd >= 0)
		close(fd);
}

static void show_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		show(e->d_name, "comm");
		show(e->d_name, "syscall");
		show(e->d_name, "stack");
	}
	if (dir)
		closedir(dir);
}

static void *watch(void *arg)
{
	uint64_t end;

	for (;;) {
		live_nap_us(100000);
		end = deadline_ms;
		if (!end || live_now_ms() < end)
			continue;
		show_threads();
		if (getenv("INJECT_STOP")) /* for a debugger */
			pause();
		live_fail("it hangs");
	}
	return arg;
}

static void start_watch(void)
{
	static bool started;
	pthread_t thread;

	if (started)
		return;
	started = true;
	live_check(pthread_create(&thread, NULL, watch, NULL) == 0);
	pthread_detach(thread);
}

/* ---- one run, and all ---- */

bool walk_all(void)
{
	return live_setting("INJECT_ALL", 0) != 0;
}

void walk_in_child(void)
{
	expect_in_child(99);
}

static const char *describe(void)
{
	static char text[256];
	const char *io = walk.io == VVM_IO_SYNC ? "sync" : "io_uring";

	if (walk.n)
		snprintf(text, sizeof(text), "%s (%s), %s: use %d fails%s, %s",
			 walk.scenario, io, walk_point_name(walk.point),
			 (int)walk.n, walk.forever ? " for ever" : "",
			 strerrorname_np(walk.error));
	else
		snprintf(text, sizeof(text), "%s (%s), nothing fails",
			 walk.scenario, io);
	return text;
}

/* True: the use that fails was reached. */
static bool run_once(const struct walk_scenario *s)
{
	struct holdings before = hold_now();

	memset(shared, 0, sizeof(*shared));
	expect_context(describe());
	if (getenv("INJECT_VERBOSE"))
		fprintf(stderr, "%s\n", describe());
	deadline_ms = live_now_ms() + wait_scaled(CASE_MS);
	s->run();
	walk_disarm();
	deadline_ms = 0;
	expect_same(&before);
	return walk.n && shared->uses[walk.point] >= walk.n;
}

/* Is the point in the list? All are, if there is none. */
static bool names(const unsigned *list, unsigned point)
{
	while (list && *list != WALK_END && *list != point)
		list++;
	return !list || *list == point;
}

static void walk_error(const struct walk_scenario *s,
		       const struct walk_error *e, uint64_t most)
{
	walk.error = e->error;
	for (walk.n = 1; walk.n <= most; walk.n++) {
		walk.forever = false;
		if (!run_once(s) || s->itself)
			break;
		walk.forever = true;
		if (!e->once && most > 1 && names(s->forever, walk.point))
			run_once(s);
	}
	live_check(walk.n <= N_MAX);
}

/* It is used as often as the machine is slow. */
static bool is_polled(unsigned point)
{
	switch (point) {
	case OS_uffd_read:
	case OS_pagemap:
	case OS_poll:
	case OS_futex:
	case OS_ring_enter:
		return true;
	default:
		return false;
	}
}

/* How many uses get an error: all, in the long walk and of the first one. */
static uint64_t most_uses(unsigned point, bool first)
{
	if (walk_all())
		return N_MAX + 1;
	if (!first)
		return 1;
	return is_polled(point) ? POLL_USES : N_MAX + 1;
}

static void begin(const struct job *job)
{
	walk = (struct walk_case){.scenario = job->scenario->name,
				  .point = job->point,
				  .io = job->io};
	live_catch();
}

START_TEST(walk_the_point)
{
	const struct job *job = &jobs[_i];
	const struct walk_error *e = walk_errors(job->point);
	bool first = true;

	begin(job);
	start_watch();
	job->scenario->run(); /* stacks and the like are cached from now on */
	walk_disarm();
	for (; e->error; e++, first = false)
		walk_error(job->scenario, e, most_uses(job->point, first));
}
END_TEST

/* ---- which points are there ---- */

static int count_uses(void *arg)
{
	walk_in_child();
	begin(arg);
	expect_context(describe());
	((const struct job *)arg)->scenario->run();
	walk_disarm();
	return 0;
}

static bool is_chosen(const struct walk_scenario *s, unsigned point)
{
	const char *wish = getenv("INJECT_POINT");

	if (wish && strcmp(wish, walk_point_name(point)))
		return false;
	return names(s->points, point);
}

/* What of the two engines is different. */
static bool differs(unsigned point)
{
	switch (point) {
	case OS_pread:
	case OS_pwrite:
	case OS_poll:
	case OS_futex:
	case OS_frame_read:
		return true;
	default:
		return walk_all();
	}
}

static unsigned find_jobs(const struct walk_scenario *s, enum vvm_io io)
{
	struct job job = {.scenario = s, .io = io};
	unsigned before = job_count, point;

	memset(shared, 0, sizeof(*shared));
	live_child_ok(count_uses, &job);
	for (point = 0; point < WALK_POINTS; point++) {
		if (!shared->uses[point] || !walk_errors(point)->error ||
		    !is_chosen(s, point) ||
		    (io == VVM_IO_SYNC && !differs(point)))
			continue;
		live_check(job_count < JOBS_MAX);
		job.point = point;
		jobs[job_count++] = job;
	}
	return before;
}

/* Of the cases: libcheck keeps the pointer. */
#define CASES_MAX 64
static char case_name[CASES_MAX][64];
static unsigned case_count;

static void add_scenario(Suite *suite, const struct walk_scenario *s,
			 enum vvm_io io)
{
	const char *wish = getenv("CK_RUN_CASE");
	char *name = case_name[case_count];
	unsigned first;
	TCase *tc;

	live_check(case_count < CASES_MAX);
	snprintf(name, sizeof(case_name[0]), "%s%s", s->name,
		 io == VVM_IO_SYNC ? " sync" : "");
	if (wish && strcmp(wish, name))
		return;
	first = find_jobs(s, io);
	case_count++;
	tc = test_case(suite, name);
	test_limit(tc, walk_all() ? 20 * TEST_LIMIT : TEST_LIMIT);
	tcase_add_loop_test(tc, walk_the_point, (int)first, (int)job_count);
}

void walk_add(Suite *suite, const struct walk_scenario *scenarios,
	      unsigned count)
{
	unsigned i;

	if (!shared)
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	live_check(shared != MAP_FAILED);
	job_count = case_count = 0;
	for (i = 0; i < count; i++) {
		add_scenario(suite, &scenarios[i], VVM_IO_AUTO);
		add_scenario(suite, &scenarios[i], VVM_IO_SYNC);
	}
}
