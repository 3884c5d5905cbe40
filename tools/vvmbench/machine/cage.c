/* SPDX-License-Identifier: MIT */
/*
 * cage.c - a process, and around it what the kernel's paging needs.
 *
 * To measure the kernel's swap, a worker is put into a memory cgroup, a swap
 * area is made, and settings that belong to the whole machine are changed. So
 * two processes: the *supervisor* (who called us) sets up and tears down and
 * does nothing that can fail on its own; the *worker* is forked for each run
 * and may crash, be killed for lack of memory, or exit from anywhere.
 *
 * Ways out, and what restores the machine:
 *
 *	the worker ends, however	the supervisor sees it and undoes
 *	Ctrl-C, SIGTERM, ...		are blocked in the supervisor and read
 *					when it waits: it ends the worker, then
 *					undoes as ever
 *	the supervisor is killed	its worker gets SIGKILL from the kernel
 *					(PR_SET_PDEATHSIG); the next vvmbench
 *					finds the journal and undoes
 *
 * The worker ignores SIGINT, which a terminal sends to both, so that it is
 * the supervisor alone who decides; from it comes SIGTERM, which to the
 * worker means: end early. A SIGPIPE (a closed standard error) is blocked as
 * well: it must not kill us before we have cleaned up.
 *
 * Everything is noted in the journal (journal.c) before it is done. The
 * swap file lasts from cage_open() to cage_close(), all else for one run:
 * while the turn is libvvm's, the machine is as it was found.
 */
#include "vvmbench/machine/cage.h"

#include "os/memcg.h"
#include "common/tool.h"
#include "vvmbench/machine/why.h"
#include "vvmbench/workload/progress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const char journal_path[] = "/run/vvmbench.journal";
static const char page_cluster[] = "/proc/sys/vm/page-cluster";
static const char zswap[] = "/sys/module/zswap/parameters/enabled";

/* Slots beyond the region's: each CPU takes a cluster of 2 MiB for itself. */
#define SPARE_SWAP_BYTES ((uint64_t)64 << 20)

/*
 * Charged for each page of the region once it is touched: its page table
 * entry, its version (engine/memory.c), and for a file 576 bytes of index for
 * 64 pages. For each thread 16 KiB of kernel stack and a few of its own.
 */
enum { PAGE_EXTRA_BYTES = 8 + 4 + 9, THREAD_EXTRA_BYTES = 65536 };

/* How often is looked whether the group is stuck: cgroup_relieve(). */
enum { RELIEF_EVERY_NS = 5000000 };

/* ------------------------------------------------------------------ */
/* Signals								*/

static const int interrupting[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

enum { INTERRUPTING = sizeof(interrupting) / sizeof(interrupting[0]) };

static void interrupting_set(sigset_t *set)
{
	unsigned i;

	sigemptyset(set);
	for (i = 0; i < INTERRUPTING; i++)
		sigaddset(set, interrupting[i]);
}

/* All but those that mean a bug of ours, and those that stop a process. */
static void block_signals(sigset_t *old)
{
	static const int open[] = {SIGSEGV, SIGBUS,  SIGILL,  SIGFPE,  SIGABRT,
				   SIGTRAP, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT};
	sigset_t set;
	unsigned i;

	sigfillset(&set);
	for (i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		sigdelset(&set, open[i]);
	sigprocmask(SIG_BLOCK, &set, old);
}

bool cage_interrupted(const struct cage *c)
{
	sigset_t pending;
	unsigned i;

	sigpending(&pending);
	for (i = 0; i < INTERRUPTING; i++)
		if (sigismember(&pending, interrupting[i]))
			return true;
	return c->interrupted;
}

static bool stop_writing(const void *cage)
{
	return cage_interrupted(cage);
}

/* ------------------------------------------------------------------ */
/* What is permitted							*/

/* Notes and makes a group of our own. */
static int make_group(struct cage *c, struct cgroup *g, struct why *why)
{
	char name[32];
	int error;

	snprintf(name, sizeof(name), "vvmbench-%d", (int)getpid());
	cgroup_name(g, &c->place, name);
	error = journal_note_group(&c->journal, g->path);
	if (error)
		return why_not(why, "the journal: %s", strerror(-error));
	return cgroup_make(g, why);
}

static void try_group(struct cage *c)
{
	off_t mark = journal_mark(&c->journal);
	struct cgroup g;

	if (cgroup_find(&c->place, MEMCG_ROOT, MEMCG_SELF, &c->no_group) == 0)
		make_group(c, &g, &c->no_group);
	journal_undo(&c->journal, mark);
}

/* Makes the file that all runs use, and swaps it on and off. */
static void try_swap(struct cage *c, const struct plan *plan)
{
	off_t mark;

	if (swapfile_make(&c->file, &c->journal, plan_directory(plan),
			  plan->size_bytes + SPARE_SWAP_BYTES, stop_writing, c,
			  &c->no_swap))
		return;
	mark = journal_mark(&c->journal);
	swapfile_on(&c->file, &c->journal, &c->no_swap);
	journal_undo(&c->journal, mark);
}

static void try_zswap(struct cage *c)
{
	if (access(zswap, W_OK))
		why_not(&c->no_zswap, "%s",
			errno == ENOENT ? "the kernel has no zswap"
					: "zswap is read-only");
}

const char *cage_refuses(const struct cage *c, unsigned bits)
{
	if (bits && *c->no_group.text)
		return c->no_group.text;
	if (bits & (CAGE_SWAP | CAGE_ZSWAP) && *c->no_swap.text)
		return c->no_swap.text;
	if (bits & CAGE_ZSWAP && *c->no_zswap.text)
		return c->no_zswap.text;
	return NULL;
}

void cage_open(struct cage *c, const struct plan *plan, unsigned bits)
{
	memset(c, 0, sizeof(*c));
	c->file.fd = c->journal.fd = -1;
	block_signals(&c->old_mask);
	if (!bits)
		return;
	if (geteuid() != 0)
		why_not(&c->no_group, "only root may (cgroup, swapon)");
	else if (journal_open(&c->journal, journal_path, &c->no_group) == 0)
		try_group(c);
	if (bits & (CAGE_SWAP | CAGE_ZSWAP) && !*c->no_group.text)
		try_swap(c, plan);
	if (bits & CAGE_ZSWAP)
		try_zswap(c);
}

/* Those that came too late for a worker: they have been obeyed. */
static void forget_signals(void)
{
	static const struct timespec now;
	sigset_t set;

	interrupting_set(&set);
	while (sigtimedwait(&set, NULL, &now) > 0)
		continue;
}

void cage_close(struct cage *c)
{
	swapfile_close(&c->file);
	journal_close(&c->journal);
	forget_signals();
	sigprocmask(SIG_SETMASK, &c->old_mask, NULL);
}

/* ------------------------------------------------------------------ */
/* The worker								*/

/* How the signals of a worker are is in the theory. */
static void worker_signals(const struct cage *c)
{
	bench_catch_interrupts();
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigprocmask(SIG_SETMASK, &c->old_mask, NULL);
}

_Noreturn static void worker_main(struct cage *c, pid_t supervisor,
				  struct cgroup *group, cage_body body,
				  void *arg)
{
	int status, error;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != supervisor)
		_exit(TOOL_ENDED);
	journal_drop(&c->journal);
	swapfile_close(&c->file);
	worker_signals(c);
	error = group ? cgroup_enter(group) : 0;
	if (error)
		tool_die(TOOL_FAILED, "cannot enter %s: %s", group->path,
			 strerror(-error));
	status = body(arg, group);
	fflush(NULL);
	_exit(status);
}

void cage_fence(struct cgroup *group, const struct plan *plan)
{
	uint64_t more = plan_pages(plan) * PAGE_EXTRA_BYTES +
			plan->threads * THREAD_EXTRA_BYTES;
	int error = cgroup_fence(group, plan->resident_bytes, more);

	if (error)
		tool_die(TOOL_FAILED, "cannot limit %s: %s", group->path,
			 strerror(-error));
}

/* ------------------------------------------------------------------ */
/* The supervisor							*/

/* A signal to us, or 0 after a moment in which the group was helped on. */
static int next_signal(const struct cgroup *group, unsigned *reliefs)
{
	static const struct timespec tick = {.tv_nsec = RELIEF_EVERY_NS};
	sigset_t set;
	int sig;

	interrupting_set(&set);
	sigaddset(&set, SIGCHLD);
	if (!group)
		return sigwait(&set, &sig) ? 0 : sig;
	sig = sigtimedwait(&set, NULL, &tick);
	if (sig < 0)
		*reliefs += cgroup_relieve(group) > 0;
	return sig < 0 ? 0 : sig;
}

/* Waits for the worker; passes on signals as they come. */
static int supervise(struct cage *c, pid_t pid, const struct cgroup *group)
{
	unsigned reliefs = 0;
	int status, sig;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		sig = next_signal(group, &reliefs);
		if (!sig || sig == SIGCHLD)
			continue;
		kill(pid, c->interrupted ? SIGKILL : SIGTERM);
		c->interrupted = true;
	}
	if (reliefs)
		tool_warn("the kernel found nothing to swap %u times; the "
			  "cgroup was lent memory for a moment",
			  reliefs);
	return status;
}

static int set(struct cage *c, const char *path, const char *value,
	       struct why *why)
{
	int error = journal_set(&c->journal, path, value);

	return error ? why_not(why, "%s: %s", path, strerror(-error)) : 0;
}

/* A kernel without zswap has nothing to be switched off. */
static int set_swap(struct cage *c, const struct cage_needs *needs,
		    struct why *why)
{
	char pages[12];

	snprintf(pages, sizeof(pages), "%d", needs->page_cluster);
	if (set(c, page_cluster, pages, why))
		return -1;
	if (access(zswap, F_OK) == 0 &&
	    set(c, zswap, needs->bits & CAGE_ZSWAP ? "Y" : "N", why))
		return -1;
	return swapfile_on(&c->file, &c->journal, why);
}

static int set_up(struct cage *c, const struct cage_needs *needs,
		  struct cgroup *group, struct why *why)
{
	const char *refusal = cage_refuses(c, needs->bits);

	if (refusal)
		return why_not(why, "%s", refusal);
	if (needs->bits & (CAGE_SWAP | CAGE_ZSWAP) && set_swap(c, needs, why))
		return -1;
	return needs->bits ? make_group(c, group, why) : 0;
}

int cage_run(struct cage *c, const struct cage_needs *needs, cage_body body,
	     void *arg, int *status, struct why *why)
{
	off_t mark = journal_mark(&c->journal);
	pid_t self = getpid(), pid;
	struct cgroup group;
	int error = set_up(c, needs, &group, why);

	if (!error) {
		fflush(NULL);
		pid = fork();
		if (pid == 0)
			worker_main(c, self, needs->bits ? &group : NULL, body,
				    arg);
		if (pid > 0)
			*status =
				supervise(c, pid, needs->bits ? &group : NULL);
		else
			error = why_not(why, "fork: %s", strerror(errno));
	}
	journal_undo(&c->journal, mark);
	return error;
}
