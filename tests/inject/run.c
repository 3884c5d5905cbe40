/* SPDX-License-Identifier: MIT */
/*
 * inject/run.c - programs under vvmrun with every system call failing in turn,
 * by VVM_INJECT in their environment: while the space is opened (@), and from
 * then on. How often a point is used, a space in this process tells.
 *
 * A program that cannot be paged is refused: 125, and a word of why. One that
 * runs ends as without vvmrun; or it gets no memory, or dies of SIGBUS or of a
 * message, where the failure does not pass; but it computes nothing wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vvm_heap.h>

#include "inject/walk.h"
#include "support/child.h"
#include "support/files.h"
#include "support/live.h"
#include "support/process.h"
#include "support/test.h"
#include "support/wait.h"

#define VVMRUN "tools/vvmrun/vvmrun"
#define GUEST  "tests/inject/guest"
/* Uses after the start that fail in turn: most are like those before. */
#define LATER_USES  3
#define EXIT_VVMRUN 125
#define SECONDS	    20

static uint64_t *uses; /* of each point while a space with a heap is opened */

static void set_up(void)
{
	setenv("VVM_SWAP", live_dir, 1);
	setenv("VVM_RESIDENT", "256K", 1);
	setenv("VVM_SWAP_LIMIT", "16M", 1);
	setenv("VVM_FORK", "inherit", 1);
}

static int open_one(void *arg)
{
	struct vvm_heap *heap;
	unsigned i;

	(void)arg;
	walk_in_child();
	os_inject_clear();
	live_ok(vvm_open(&vm, NULL));
	live_ok(vvm_heap_open(vm, NULL, &heap));
	for (i = 0; i < OS_POINT_COUNT; i++)
		uses[i] = os_inject_uses(i);
	live_ok(vvm_close(vm));
	return 0;
}

static void count_uses(void)
{
	uses = mmap(NULL, OS_POINT_COUNT * sizeof(*uses),
		    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	live_check(uses != MAP_FAILED);
	live_child_ok(open_one, NULL);
}

/* ---- one program ---- */

struct outcome {
	int status;
	char out[64], err[4096];
};

static void read_all(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	close(fd);
}

/* What passes fails nothing, however long it takes; what does not, soon. */
static void run_guest(const char *spec, bool forever, struct outcome *o)
{
	int out = memfd_create("out", 0), err = memfd_create("err", 0);
	pid_t pid;

	live_check(out >= 0 && err >= 0);
	pid = fork();
	live_check(pid >= 0);
	if (pid == 0) {
		dup2(out, 1);
		dup2(err, 2);
		setenv("VVM_INJECT", spec, 1);
		setenv("VVM_FRAME_WAIT_MS", forever ? "100" : "60000", 1);
		signal(SIGALRM, SIG_DFL);
		alarm((unsigned)wait_scaled(SECONDS));
		execl(VVMRUN, VVMRUN, GUEST, NULL);
		_exit(98);
	}
	o->status = live_status(pid);
	read_all(out, o->out, sizeof(o->out));
	read_all(err, o->err, sizeof(o->err));
}

static bool ended_well(const struct outcome *o)
{
	return WIFEXITED(o->status) && WEXITSTATUS(o->status) == 0 &&
	       strcmp(o->out, "good\n") == 0;
}

/* It was not started, and says so. */
static bool was_refused(const struct outcome *o)
{
	return WIFEXITED(o->status) && WEXITSTATUS(o->status) == EXIT_VVMRUN &&
	       strstr(o->err, "cannot page its memory");
}

/* malloc() gave it nothing, and it can live with that. */
static bool had_no_memory(const struct outcome *o)
{
	return WIFEXITED(o->status) && WEXITSTATUS(o->status) == 3;
}

/* SIGBUS, or an end with a message. */
static bool died(const struct outcome *o)
{
	return WIFSIGNALED(o->status) &&
	       (WTERMSIG(o->status) == SIGBUS ||
		(WTERMSIG(o->status) == SIGABRT && *o->err));
}

static void try_spec(const char *spec, bool forever)
{
	struct outcome o;

	expect_context(spec);
	if (getenv("INJECT_VERBOSE"))
		fprintf(stderr, "%s\n", spec);
	run_guest(spec, forever, &o);
	if (!ended_well(&o) && !was_refused(&o) && !had_no_memory(&o) &&
	    !(forever && died(&o)))
		live_fail("status %#x, it says: %s%s", (unsigned)o.status,
			  o.out, o.err);
	live_equal(live_count_dir(live_dir), 2); /* . and .. */
}

static void try_at(unsigned point, uint64_t n, int error, bool early)
{
	char spec[64];
	int forever;

	for (forever = 0; forever < 2; forever++) {
		snprintf(spec, sizeof(spec), "%s%s:%d%s:%d", early ? "@" : "",
			 walk_point_name(point), (int)n, forever ? "+" : "",
			 error);
		try_spec(spec, forever);
	}
}

/* ---- all ---- */

static unsigned errors_to_try(unsigned point)
{
	const struct walk_error *e = walk_errors(point);
	unsigned n = 0;

	while (e[n].error && (walk_all() || n < 1))
		n++;
	return n;
}

/* Each use of the point up to `last` fails with each of its errors. */
static void try_all(unsigned point, uint64_t last, bool starting)
{
	const char *wish = getenv("INJECT_POINT");
	uint64_t n;
	unsigned i;

	if (wish && strcmp(wish, walk_point_name(point)))
		return;
	for (i = 0; i < errors_to_try(point); i++)
		for (n = 1; n <= last; n++)
			if (!walk_errors(point)[i].once)
				try_at(point, n, walk_errors(point)[i].error,
				       starting);
}

START_TEST(a_start_that_fails)
{
	try_all((unsigned)_i, uses[_i], true);
}
END_TEST

START_TEST(a_run_that_fails)
{
	try_all((unsigned)_i, (walk_all() ? 4 : 1) * LATER_USES, false);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *start = test_case(s, "start"), *run = test_case(s, "run");

	count_uses();
	test_limit(start, 600);
	test_limit(run, 600);
	tcase_add_loop_test(start, a_start_that_fails, 0, OS_POINT_COUNT);
	tcase_add_loop_test(run, a_run_that_fails, 0, OS_POINT_COUNT);
}

static void begin(void)
{
	live_dir_make();
	set_up();
}

const struct test_program test_program = {
	.name = "inject_run",
	.add = add_tests,
	.missing = live_missing,
	.modes = true,
	.begin = begin,
	.end = live_dir_remove,
};
