/* SPDX-License-Identifier: MIT */
/*
 * torture/ops_fork.c - children. Where they inherit, a child looks at the
 * memory as of the fork, and so at what other threads were about; then it is
 * alone, owns everything, writes, and forks again: a chain. Where they do not,
 * old pointers kill, whatever has been mapped since.
 *
 * A child that could not inherit, because the fork took too long, is to know
 * (-ECHILD); how many there were is in the last line.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/access.h"
#include "support/child.h"
#include "support/random.h"
#include "torture/ops.h"

#define CHILDREN_MAX  3 /* at once, of the whole program; each has threads */
#define CHAIN	      3 /* generations */
#define LOOKS	      24
#define WRITES	      16
#define NOT_INHERITED 3 /* exit status */

_Atomic uint64_t forks_done, forks_refused;
static _Atomic unsigned children;

struct birth {
	struct worker *worker;
	unsigned generation;
};

/* Waits; true: it had the memory. Any other end than a good one is ours. */
static bool ended(pid_t pid)
{
	int status = live_status(pid);

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != NOT_INHERITED)
		live_fail("a child ended with status %#x", (unsigned)status);
	return false;
}

/* ---- inherit ---- */

static void look_around(struct worker *w)
{
	for (int i = 0; i < LOOKS; i++) {
		cut_check_page(live_below(&w->random, model.pages));
		fixed_look(&w->random);
	}
	for (int i = 0; i < LOOKS / 8; i++)
		cut_check_shared(live_below(&w->random, model.shared_pages));
	for (int i = 0; i < LOOKS / 4; i++)
		page_verify(own_page(w));
}

/* A page that nobody was changing at the fork: ours now. */
static bool still(uint64_t page)
{
	return atomic_load(&model.turn[page]) % 2 == 0;
}

static void work_alone(struct worker *w, uint64_t written[WRITES])
{
	for (int i = 0; i < WRITES; i++) {
		uint64_t page = live_below(&w->random, model.pages);

		written[i] = still(page) ? page : own_page(w);
		if (i % 4 == 3) {
			page_begin(written[i], 0);
			live_ok(vvm_advise(vm, live_addr(page_at(written[i])),
					   LIVE_PAGE, VVM_ADV_DONTNEED));
			page_end(written[i]);
		} else {
			page_write(w, written[i]);
		}
		shared_increment(&w->random);
	}
}

static int child(void *arg);

static int child_inherits(struct birth *b)
{
	struct birth next = {b->worker, b->generation + 1};
	struct worker *w = b->worker;
	uint64_t written[WRITES];
	struct vvm_region region;
	pid_t pid = 0;

	if (vvm_query(vm, live_addr(model.base), &region) == -ECHILD)
		return NOT_INHERITED;
	look_around(w);
	work_alone(w, written);
	if (b->generation < CHAIN && live_below(&w->random, 2))
		pid = live_fork(child, &next);
	/* Beside it. What it writes is not seen here, nor the other way. */
	for (int i = 0; i < WRITES; i++)
		page_verify(written[i]);
	work_alone(w, written);
	for (int i = 0; i < WRITES; i++)
		page_verify(written[i]);
	if (live_below(&w->random, 2))
		live_ok(vvm_close(vm));
	if (pid)
		ended(pid);
	return 0;
}

/* ---- die ---- */

static int child_dies(struct birth *b)
{
	uint64_t value, page = own_page(b->worker);
	struct vvm_region region;
	void *p = mmap(NULL, 64 * LIVE_PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	live_check(p != MAP_FAILED);
	live_expect(vvm_query(vm, live_addr(model.base), &region), -ECHILD);
	live_equal(live_try_load(page_at(page), &value), SIGSEGV);
	live_equal(live_try_store(model.shared, 1), SIGSEGV);
	if (b->generation < CHAIN && live_below(&b->worker->random, 2)) {
		b->generation++;
		ended(live_fork(child, b));
	}
	return 0;
}

static int child(void *arg)
{
	return option.inherit ? child_inherits(arg) : child_dies(arg);
}

/* ---- parent ---- */

static void op_fork(struct worker *w)
{
	struct birth b = {w, 1};

	if (atomic_fetch_add(&children, 1) < CHILDREN_MAX) {
		if (ended(live_fork(child, &b)))
			atomic_fetch_add(&forks_done, 1);
		else
			atomic_fetch_add(&forks_refused, 1);
		page_verify(own_page(w)); /* nothing of the child's */
	}
	atomic_fetch_sub(&children, 1);
}

const struct op fork_ops[] = {
	{"fork", op_fork, 2, OP_NORMAL},
	{NULL, NULL, 0, OP_NORMAL},
};
