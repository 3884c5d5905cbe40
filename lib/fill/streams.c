/* SPDX-License-Identifier: MIT */
/*
 * fill/streams.c - whose faults make a stream.
 *
 * A thread that walks through memory is a stream, whatever the others do. So
 * faults are sorted by thread before policy/prefetch.c looks at them: into
 * LANES lanes, by a hash of the thread. Threads seldom share a lane (they may:
 * a lane follows 16 streams). Nothing is allocated when a thread comes, and
 * nothing is to be cleaned up when one ends. A stream may go from one handler's
 * stripe to the next handler's: its lane stays the same.
 *
 * The largest window is the setting's, but at most 1/BUDGET_SHARE of the
 * budget, so that a few streams cannot fill it with what they have ahead. The
 * default of 2 MiB hides the wake-ups of a handler on a busy machine: 1 MiB is
 * a quarter slower (MEASURED.md, "Readahead").
 *
 * A stream that is given windows of MAP_MIN pages has walked through as many
 * before; its readahead is mapped at once (fill/readahead.c). Then nobody sees
 * each page's use. So the pages from one fault of a stream to the next count as
 * hits, and what a forgotten stream had ahead counts as waste.
 *
 * Rejected: streams of each handler (a stream starts anew in each stripe, and
 * random faults of other threads recycle its entry); streams of each region
 * (the same, and a region would no longer be O(1)); reading the neighbours of a
 * fault that is in no stream, as the kernel's swap does (as many faults as
 * before, 4 to 6 times the reads, 2 to 3 times the time).
 */
#include "fill/streams.h"

#include <errno.h>
#include <stdlib.h>

#include "policy/prefetch.h"

#define LANES	     16
#define LANE_BITS    4
#define BUDGET_SHARE 32
#define MAP_MIN	     32 /* pages */
#define ZEROS_MAX    64 /* pages: 100 us in which a handler does nothing else */

struct lane {
	struct lock lock;      /* rank LOCK_MISC */
	struct prefetch reads; /* (lock) streams of reads from swap */
	struct prefetch zeros; /* (lock) streams over fresh pages */
} __attribute__((aligned(CACHE_LINE)));

struct streams {
	struct lane lane[LANES];
};

int streams_init(struct vvm *vm)
{
	struct streams *all;
	unsigned i;

	all = aligned_alloc(CACHE_LINE, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (i = 0; i < LANES; i++) {
		lock_init(&all->lane[i].lock, LOCK_MISC);
		prefetch_init(&all->lane[i].reads, 0);
		prefetch_init(&all->lane[i].zeros, 0);
	}
	vm->streams = all;
	return 0;
}

void streams_fini(struct vvm *vm)
{
	free(vm->streams);
	vm->streams = NULL;
}

static struct lane *lane_of(struct vvm *vm, uint64_t thread)
{
	/* Fibonacci hashing: ids differ in their middle or low bits. */
	return &vm->streams->lane[thread * 0x9e3779b97f4a7c15u >>
				  (64 - LANE_BITS)];
}

/* The largest window now; 0: none. */
static uint32_t largest_window(const struct vvm *vm)
{
	uint64_t share = atomic_load(&vm->frames.budget) / BUDGET_SHARE;
	uint64_t most = MIN(vm->conf.readahead_max_pages, share);

	return most < PREFETCH_MIN ? 0 : (uint32_t)most;
}

static struct prefetch_plan plan_for(struct lane *lane, struct prefetch *p,
				     haddr_t host, unsigned advice,
				     uint32_t most)
{
	struct prefetch_plan plan;

	lock_take(&lane->lock);
	prefetch_limit(p, most);
	plan = prefetch_fault(p, host >> PAGE_SHIFT, 0,
			      UINT64_MAX >> PAGE_SHIFT,
			      advice == VVM_ADV_SEQUENTIAL);
	lock_drop(&lane->lock);
	return plan;
}

bool streams_read(struct vvm *vm, struct vvm_stat_actor *actor, uint64_t thread,
		  gaddr_t addr, haddr_t host, unsigned advice,
		  struct ahead_job *job)
{
	struct lane *lane = lane_of(vm, thread);
	uint32_t most = largest_window(vm);
	struct prefetch_plan plan;

	if (!most || advice == VVM_ADV_RANDOM)
		return false;
	plan = plan_for(lane, &lane->reads, host, advice, most);
	if (plan.walked >= MAP_MIN)
		stat_add(actor, VVM_STAT_prefetch_hit_pages, plan.walked);
	if (plan.dropped >= MAP_MIN)
		stat_add(actor, VVM_STAT_prefetch_waste_pages, plan.dropped);
	job->addr = addr + ((plan.first - (host >> PAGE_SHIFT)) << PAGE_SHIFT);
	job->stride = plan.stride;
	job->count = job->most = plan.count;
	job->trigger = true;
	job->map = plan.count >= MAP_MIN;
	return plan.count > 0;
}

void streams_zeros(struct vvm *vm, struct vvm_stat_actor *actor,
		   uint64_t thread, haddr_t host, unsigned advice)
{
	struct lane *lane = lane_of(vm, thread);
	uint32_t most = largest_window(vm);
	struct prefetch_plan plan;

	if (!most || advice == VVM_ADV_RANDOM)
		return;
	most = MIN(most, (uint32_t)ZEROS_MAX);
	plan = plan_for(lane, &lane->zeros, host, advice, most);
	if (plan.count && plan.stride == 1)
		ahead_zeros(vm, actor, plan.first << PAGE_SHIFT, plan.count);
}
