/* SPDX-License-Identifier: MIT */
/*
 * sim/work.c - the program: random calls and accesses of some threads, each
 * with a verdict.
 *
 * Each thread has two words of its own in every page, the second for its
 * signal handler; vvm_store() goes to the first alone, plain accesses to any.
 * The end of each page is room for results of calls: memory that may be paged.
 */
#include "sim/work.h"

#include <errno.h>
#include <string.h>

#include "sim/forks.h"
#include "sim/memory.h"
#include "sim/sched.h"
#include "sim/watch.h"

struct vvm *sim_vm;
struct vvm_heap *sim_heap;

#define RW (VVM_READ | VVM_WRITE)
/* A seed that has seen so much begins nothing new. */
#define MOST_POINTS    20000000
#define MOST_DECISIONS 300000

unsigned sim_own_slot(void)
{
	return sim_self->slot * 2u;
}

bool sim_may_fail(const char *call, int rc, int allowed)
{
	sim_trace(SIM_EV_RESULT, (uint64_t)-rc, 0);
	if (rc == 0)
		return false;
	if (rc == allowed || sim_lossy())
		return true;
	sim_fail("%s: error %d, and nothing was made to fail", call, -rc);
}

/* ---- plain accesses ---- */

static void op_access(void)
{
	unsigned i, n = 1 + (unsigned)sim_below(12), page, slot;
	struct sim_region *r = sim_region_any();

	for (i = 0; r && i < n && r->used; i++) {
		page = (unsigned)sim_below(r->pages);
		slot = (unsigned)sim_below(SIM_SLOTS);
		switch (sim_below(4)) {
		case 0:
			sim_write(r, page, slot);
			break;
		case 1:
			sim_increment(r, page, SIM_SHARED_SLOT);
			break;
		case 2:
			sim_write(r, page, sim_own_slot());
			break;
		default:
			sim_read(r, page, slot);
		}
	}
}

/* Page after page, as streams that are read ahead. */
static void op_scan(void)
{
	struct sim_region *r = sim_region_any();
	unsigned page, n, slot = (unsigned)sim_below(SIM_SLOTS);
	bool write = sim_chance(3);

	if (!r)
		return;
	page = (unsigned)sim_below(r->pages);
	for (n = 0; n < 40 && r->used && page < r->pages; n++, page++) {
		if (write)
			sim_write(r, page, slot);
		else
			sim_read(r, page, slot);
	}
}

void sim_work_signal(void)
{
	unsigned i, n = 1 + (unsigned)sim_below(3);
	struct sim_region *r = sim_region_any();

	for (i = 0; r && i < n && r->used; i++) {
		unsigned page = (unsigned)sim_below(r->pages);

		if (sim_chance(2))
			sim_write(r, page, sim_own_slot() + 1);
		else
			sim_read(r, page, (unsigned)sim_below(SIM_SLOTS));
	}
	if (K->params.heap && sim_chance(4))
		sim_heap_signal();
}

static void op_sleep(void)
{
	sim_wait(SIM_SLEEP, 0, K->now_ns + sim_around(3000000));
}

static void op_check(void)
{
	sim_watch_all();
}

/* ---- all of it ---- */

static const struct op {
	const char *name;
	void (*run)(void);
	unsigned weight;
} ops[] = {
	{"accesses", op_access, 30},
	{"a scan", op_scan, 8},
	{"vvm_store", sim_op_store, 5},
	{"vvm_load", sim_op_load, 5},
	{"vvm_touch", sim_op_touch, 4},
	{"vvm_pin", sim_op_pin, 4},
	{"vvm_residency", sim_op_residency, 3},
	{"vvm_query", sim_op_query, 3},
	{"vvm_stats", sim_op_stats, 1},
	{"vvm_advise", sim_op_advise, 4},
	{"a discard", sim_discard_some, 5},
	{"vvm_protect", sim_op_protect, 5},
	{"vvm_map", sim_op_map, 6},
	{"vvm_unmap", sim_op_unmap, 4},
	{"vvm_resize", sim_op_resize, 2},
	{"sleep", op_sleep, 4},
	{"space_check", op_check, 2},
	{"the heap", sim_heap_op, 15},
	{"fork", sim_fork_op, 3},
};

static const struct op *choose_op(void)
{
	unsigned i, sum = 0;
	uint64_t at;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		sum += ops[i].weight;
	at = sim_below(sum);
	for (i = 0; at >= ops[i].weight; i++)
		at -= ops[i].weight;
	return &ops[i];
}

void sim_work(unsigned count)
{
	const struct op *op;
	unsigned i;

	for (i = 0; i < count && K->points < MOST_POINTS &&
		    K->decisions < MOST_DECISIONS;
	     i++) {
		op = choose_op();
		sim_self->doing = op->name;
		sim_trace(SIM_EV_OP, (uint64_t)(op - ops), i);
		op->run();
		sim_self->doing = NULL;
		K->ops++;
		sim_progress();
	}
}

void sim_close(void)
{
	struct vvm *vm = sim_vm;

	sim_heap_close();
	sim_watch(NULL);
	sim_vm = NULL; /* to signal handlers there is none any more */
	sim_may_fail("vvm_close", vvm_close(vm), 0);
}

void sim_verify_all(void)
{
	struct sim_region *r;
	unsigned page, slot;

	for (r = sim_regions; r < sim_regions + SIM_REGIONS; r++)
		for (page = 0; r->used && page < r->pages; page++)
			for (slot = 0; r->used && slot < SIM_SLOTS; slot += 3)
				sim_read(r, page, slot);
}
