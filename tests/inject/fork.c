/* SPDX-License-Identifier: MIT */
/*
 * inject/fork.c - fork() with every system call failing in turn, in the parent
 * and in the child, until both are through: inject/walk.c.
 *
 * A child may lose what it inherits, loudly: SIGSEGV, SIGBUS or SIGABRT. It
 * never reads another value than that of the fork, nor hangs; and what the
 * parent has is not touched by any of it. A child says by its exit status what
 * it has seen: 0, or 99 and why.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inject/pages.h"
#include "support/access.h"
#include "support/child.h"
#include "support/files.h"
#include "support/frames.h"
#include "support/process.h"
#include "support/test.h"
#include "support/wait.h"

#define COUNT	 24
#define CHILD_MS 15000

static struct pages pages; /* of which the child has the copy of the fork */
static int fds;		   /* before there was a space */

/* ---- children ---- */

static pid_t start(void (*run)(void))
{
	struct rlimit no_core = {0, 0};
	pid_t pid;

	fflush(NULL);
	pid = fork();
	live_check(pid >= 0);
	if (pid)
		return pid;
	walk_in_child();
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGALRM, SIG_DFL);
	alarm((unsigned)(wait_scaled(CHILD_MS) / 1000 + 1));
	run();
	walk_disarm();
	_exit(0);
}

/* It ends well, or dies of the memory that it does not have. */
static void end(pid_t pid)
{
	int status = live_status(pid);

	if (WIFSIGNALED(status)) {
		int sig = WTERMSIG(status);

		if (sig == SIGALRM)
			live_fail("the child hangs");
		if (sig != SIGSEGV && sig != SIGBUS && sig != SIGABRT)
			live_fail("the child died of signal %d", sig);
	} else if (WEXITSTATUS(status)) {
		live_fail("the child says that this is wrong: status %d",
			  WEXITSTATUS(status));
	}
}

/* But for what was there before nothing is open. */
static void check_fds(void)
{
	live_equal(live_count_fds(), fds);
}

static bool inherited(void)
{
	unsigned char flags;

	return vvm_residency(vm, live_addr(pages.base), LIVE_PAGE, &flags) !=
	       -ECHILD;
}

/* Reads what there is: as of the fork, or a signal, up to so many of those. */
static void read_inherited(unsigned failures)
{
	uint64_t value;
	unsigned i;

	for (i = 0; i < COUNT && failures; i++) {
		char *at = pages.base + i * LIVE_PAGE + 8;
		int sig = live_try_load(at, &value);

		failures -= sig != 0;
		if (!sig && value != pages.word[i][0])
			live_fail("in the child page %u is %llx, not %llx", i,
				  (unsigned long long)value,
				  (unsigned long long)pages.word[i][0]);
	}
}

/* ---- fork=die ---- */

/* Nothing can be mapped where the memory was, unless that is what failed. */
static bool addresses_kept(void)
{
	return walk.point != OS_reserve && walk.point != OS_map;
}

static void child_of_die(void)
{
	uint64_t value, a = live_addr(pages.base);
	void *p;

	walk_disarm();
	check_fds();
	live_equal(live_try_load(pages.base, &value), SIGSEGV);
	live_expect(vvm_load(vm, a, &value, 8), -ECHILD);
	p = mmap(pages.base, LIVE_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
		 -1, 0);
	live_check(p != MAP_FAILED);
	if (addresses_kept())
		live_equal(live_try_load(pages.base, &value), SIGSEGV);
	live_expect(vvm_close(vm), -ECHILD);
}

static void run_die(void)
{
	pid_t pid;

	fds = live_count_fds();
	pages_open(VVM_FORK_DIE);
	pages_map(&pages, COUNT);
	pages_fill(&pages, 1);
	walk_arm();
	pid = start(child_of_die);
	pages_write_all(&pages, 2);
	walk_disarm();
	end(pid);
	pages_verify(&pages);
	pages_close();
}

/* ---- fork=inherit ---- */

static bool released(void)
{
	struct vvm_stats st = live_stats(vm);

	return !st.swap_held_pages && !st.fork_snapshots;
}

/* What was kept for children is in no file any more. */
static bool none_kept(void)
{
	char path[64], target[64];
	struct stat st;
	ssize_t n;
	int fd;

	for (fd = 0; fd < 256; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		if (strstr(target, "vvm-preimages") && fstat(fd, &st) == 0 &&
		    st.st_blocks)
			return false;
	}
	return true;
}

/* The parent after the child's end. */
static void finish(pid_t pid)
{
	walk_disarm();
	end(pid);
	pages_verify(&pages);
	live_wait(released(), 10000);
	live_wait(none_kept(), 10000);
	pages_close();
}

/* pages, some resident and dirty, some in swap. */
static void begin(void)
{
	fds = live_count_fds();
	pages_open(VVM_FORK_INHERIT);
	pages_map(&pages, COUNT);
	pages_fill(&pages, 1);
}

static void write_and_close(void)
{
	unsigned i;

	for (i = 0; i < COUNT; i++)
		pages_write(&pages, i, 5);
	for (i = 0; i < COUNT; i++)
		pages_read(&pages, i);
	PAGES_ALLOW(vvm_advise(vm, live_addr(pages.base), 2 * LIVE_PAGE,
			       VVM_ADV_DONTNEED),
		    ENOMEM);
	live_ok(vvm_close(vm));
	check_fds();
}

static void child_of_inherit(void)
{
	if (!inherited()) {
		uint64_t value;

		walk_disarm();
		check_fds();
		live_equal(live_try_load(pages.base, &value), SIGSEGV);
		return;
	}
	read_inherited(2);
	write_and_close();
}

/* Both go on, and everything fails in turn: before the fork, in either after. */
static void run_inherit(void)
{
	pid_t pid;

	begin();
	walk_arm();
	pid = start(child_of_inherit);
	pages_write_all(&pages, 2);
	finish(pid);
}

/* The child's first touch, and all that it does: nothing failed before. */
static void child_alone(void)
{
	walk_arm();
	child_of_inherit();
}

static void run_child(void)
{
	pid_t pid;

	begin();
	pid = start(child_alone);
	finish(pid);
}

/* ---- what is kept for a child ---- */

static int gate[2];

static void open_gate(void)
{
	live_equal(write(gate[1], "x", 1), 1);
}

static void child_looks_late(void)
{
	char c;

	live_equal(read(gate[0], &c, 1), 1);
	live_check(inherited());
	read_inherited(COUNT);
}

/*
 * The parent writes to, discards, unmaps and pages out what the child has not
 * looked at yet.
 */
static void change_all(void)
{
	uint64_t a = live_addr(pages.base);
	unsigned i;
	int rc;

	for (i = COUNT - 1; i >= COUNT - 3; i--)
		pages_write(&pages, i, 3);
	rc = vvm_advise(vm, a + (COUNT - 6) * LIVE_PAGE, 3 * LIVE_PAGE,
			VVM_ADV_DONTNEED);
	PAGES_ALLOW(rc, ENOMEM);
	for (i = COUNT - 6; i < COUNT - 3; i++) {
		if (rc == 0)
			pages_zero(&pages, i, 1);
		pages.gone[i] = rc != 0;
	}
	rc = vvm_unmap(vm, a + (COUNT - 9) * LIVE_PAGE, 3 * LIVE_PAGE);
	PAGES_ALLOW(rc, ENOMEM);
	for (i = COUNT - 9; i < COUNT - 6; i++)
		pages.gone[i] = rc == 0;
	for (i = 0; i < COUNT; i++) /* which pushes out what is left */
		if (!pages.gone[i])
			pages_write(&pages, i, 4);
}

static void run_snapshot(void)
{
	pid_t pid;

	live_check(pipe2(gate, O_CLOEXEC) == 0);
	begin();
	pid = start(child_looks_late);
	walk_arm();
	change_all();
	walk_disarm();
	open_gate();
	finish(pid);
	close(gate[0]);
	close(gate[1]);
}

/* Pages that only move out, unchanged; then the parent closes. */
static void run_orphan(void)
{
	struct pages other;
	pid_t pid;
	unsigned i;

	live_check(pipe2(gate, O_CLOEXEC) == 0);
	begin();
	pid = start(child_looks_late);
	walk_arm();
	PAGES_ALLOW(vvm_resize(vm, PAGES_BUDGET / 2 * LIVE_PAGE), EBUSY);
	walk_disarm();
	pages_map(&other, COUNT);
	for (i = 0; i < 2; i++)
		pages_write_all(&other, i + 1);
	pages_verify(&pages);
	walk_arm();
	live_ok(vvm_close(vm));
	walk_disarm();
	open_gate();
	end(pid);
	close(gate[0]);
	close(gate[1]);
}

/* ---- a child of a child ---- */

static void grandchild(void)
{
	if (inherited()) {
		read_inherited(2);
		return;
	}
	walk_disarm();
	check_fds();
}

static void child_forks(void)
{
	unsigned i;
	pid_t pid;

	live_check(inherited());
	for (i = 0; i < COUNT; i += 2)
		pages_write(&pages, i, 6);
	walk_arm();
	pid = start(grandchild);
	for (i = 0; i < COUNT; i++)
		pages_write(&pages, i, 7);
	walk_disarm();
	end(pid);
	pages_verify(&pages);
	live_ok(vvm_close(vm));
	check_fds();
}

static void run_grandchild(void)
{
	pid_t pid;

	begin();
	pid = start(child_forks);
	finish(pid);
}

static const struct walk_scenario scenarios[] = {
	{.name = "fork=die", .run = run_die},
	{.name = "fork=inherit", .run = run_inherit},
	{.name = "child", .run = run_child},
	{.name = "snapshot", .run = run_snapshot},
	{.name = "orphan", .run = run_orphan},
	{.name = "grandchild", .run = run_grandchild},
};

static void add_tests(Suite *s)
{
	walk_add(s, scenarios, LIVE_LEN(scenarios));
}

const struct test_program test_program = {
	.name = "inject_fork",
	.add = add_tests,
	.missing = live_missing,
	.modes = true,
	.begin = live_dir_make,
	.end = live_dir_remove,
};
