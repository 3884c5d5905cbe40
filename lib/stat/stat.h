/* SPDX-License-Identifier: MIT */
/*
 * stat/stat.h - the writing side of vvm_stat.h: the segment of one space.
 * Without a segment (VVM_STAT=no, or no /dev/shm) the counters live in
 * private memory, regions, blocks and events are not kept, and everything
 * else works the same.
 *
 * In a build with --disable-stats (VVM_NO_STATS) nothing is counted but what
 * the library needs itself, and nothing is published.
 */
#ifndef VVM_LIB_STAT_H
#define VVM_LIB_STAT_H

#include <stdatomic.h>
#include "base.h"
#include "list.h"
#include "util/lock.h"
#include "vvm_stat.h"

#ifdef VVM_NO_STATS
#define STAT_ON 0
#else
#define STAT_ON 1
#endif

/*
 * A table of the segment whose items are taken and given back. What decides
 * about addresses is kept here, where no stranger can write.
 */
struct stat_items {
	char *first;		      /* (i) item 0; NULL: there is no table */
	size_t item_bytes;	      /* (i) */
	struct vvm_stat_table *table; /* (i) in the segment: for readers */
	uint64_t count;		      /* (l) items ever taken */
	uint64_t ready;		      /* (l) items with storage */
	uint64_t max, step;	      /* (i) storage grows by step items */
	uint32_t *spare;	      /* (l) stack of items given back */
	uint64_t spares;	      /* (l) on that stack */
};

/* (i) set by stat_open(), (l) lock, (r) the list of open segments, (a) */
struct stats {
	struct vvm_stat_segment *segment; /* (i) */
	uint64_t mapped_bytes;		  /* (i) from segment on */
	struct vvm_stat_ring *rings;	  /* (i) by actor; NULL: none */
	_Atomic uint64_t rings_ready;	  /* (a) bit i: ring i has storage */
	struct lock lock;		  /* rank LOCK_MISC */
	struct stat_items regions, blocks;
	struct vvm_stat_site *sites;  /* (i) NULL: none */
	_Atomic unsigned sites_state; /* (a) stat/site.c */
	struct list link;	      /* (r) */
	int pid;		      /* (i) of the process that opened it */
	int fd;		/* (i) of the file, holds its lock; or -1 */
	char path[128]; /* (i) of the file, "" when private */
};

/*
 * publish: make the file (O_EXCL, O_NOFOLLOW, 0600) and lock it; files of
 * this user that nobody has locked are removed first. Falls back to private
 * memory. -ENOMEM only.
 */
int stat_open(struct stats *st, bool publish);
/*
 * Marks the segment closed, removes the file and unmaps. In a fork child it
 * only unmaps: the file is the parent's. Never opened (all zero): nothing.
 */
void stat_close(struct stats *st);
/*
 * In a fork child: forgets the parent's open segments, and closes what is
 * left of one. => no other thread yet.
 */
void stat_forked(void);
void stat_abandon(struct stats *st);
/*
 * Gives a new actor its block, for ever, with the caller's tid in it. The
 * application's threads share block 0: VVM_STAT_API gets it as often as it
 * asks. NULL: none left.
 */
struct vvm_stat_actor *stat_actor(struct stats *st, enum vvm_stat_role role);
/* Sum of a counter over the actors. */
int64_t stat_sum(const struct stats *st, enum vvm_stat_counter c);

/* There is a space with an automatic budget, or there was one. */
extern _Atomic bool stat_sizing;

/* An automatic budget goes by these (evict/follow.c). */
static inline bool stat_sizes(enum vvm_stat_counter c)
{
	return c == VVM_STAT_faults_swapin || c == VVM_STAT_faults_zero ||
	       c == VVM_STAT_zero_ahead_pages || c == VVM_STAT_api_fills ||
	       c == VVM_STAT_stall_us || c == VVM_STAT_swapin_pages ||
	       c == VVM_STAT_swapin_reads || c == VVM_STAT_swapin_us ||
	       c == VVM_STAT_unpacked_pages;
}

/* What is counted in any build: the code goes by it. */
static inline bool stat_counts(enum vvm_stat_counter c)
{
	enum { COUNT, GAUGE };
	static const bool always[VVM_STAT_COUNTER_COUNT] = {
#define X(name, kind, help) [VVM_STAT_##name] = (kind) == GAUGE,
		VVM_STAT_COUNTERS(X)
#undef X
	};

	return STAT_ON || always[c] || c == VVM_STAT_faults ||
	       (stat_sizes(c) &&
		atomic_load_explicit(&stat_sizing, memory_order_relaxed));
}

/* Adds n; any thread (relaxed atomic, uncontended when the actor has one). */
static inline void stat_add(struct vvm_stat_actor *a, enum vvm_stat_counter c,
			    int64_t n)
{
	if (stat_counts(c))
		__atomic_fetch_add(&a->counter[c], n, __ATOMIC_RELAXED);
}

#define stat_set(st, name, v) \
	__atomic_store_n(&(st)->segment->value.name, (v), __ATOMIC_RELAXED)

/* ---- faults ---- */

/* The moments that divide a fault into its stages. CLOCK_MONOTONIC. */
struct stat_times {
	uint64_t start_ns;  /* taken from the kernel */
	uint64_t begin_ns;  /* its (last) handling began */
	uint64_t looked_ns; /* page found, the kernel is told next; or 0 */
	uint64_t read_ns;   /* read from swap, or 0; looked_ns: read begins */
};

/* One fault, for the ring. */
struct stat_fault {
	struct stat_times at;
	gaddr_t page;	/* guest address */
	unsigned flags; /* enum vvm_stat_kind and VVM_STAT_EVENT_* */
	int tid;	/* of the thread that faulted, 0: not known */
	uint64_t ip;	/* of its code, enum VVM_STAT_SITE_*, 0: not known */
};

/* A fault ended now, whatever came of it: puts it into the actor's ring. */
void stat_event(struct stats *st, struct vvm_stat_actor *a,
		const struct stat_fault *f, uint64_t end_ns);
/* It was resolved: the same, and counts its latency and stages. */
void stat_resolved(struct stats *st, struct vvm_stat_actor *a,
		   const struct stat_fault *f, uint64_t end_ns);

/*
 * A fault begins to wait, or waits on: the first allocates the storage for
 * sites. Async-signal-safe. => nothing locked.
 */
void stat_waits(struct stats *st, const struct stat_fault *f);
/* It is over: counts it for its site. Async-signal-safe, no lock. */
void stat_waited(struct stats *st, const struct stat_fault *f, uint64_t end_ns);

/* ---- regions and blocks ---- */

/*
 * An item, zero but for a region's seq and a block's base; NULL: no segment
 * (st may be NULL), or no room in it. => may be called in fault handling.
 */
struct vvm_stat_region *stat_region_take(struct stats *st);
struct vvm_stat_block *stat_block_take(struct stats *st, gaddr_t base);
/*
 * Gives r (may be NULL) back. What it counted goes to `heir`, or, if that is
 * NULL, to faults_elsewhere. => nobody counts for r any more.
 */
void stat_region_give(struct stats *st, struct vvm_stat_region *r,
		      struct vvm_stat_region *heir);
/* NULL is allowed. */
void stat_block_give(struct stats *st, struct vvm_stat_block *b);
/* Writes all but the counters; `to` may be NULL. One writer at a time. */
void stat_region_write(struct vvm_stat_region *to,
		       const struct vvm_stat_region *from);
/* Counts a fault for its region; NULL: faults_elsewhere. */
static inline void stat_region_fault(struct stats *st,
				     struct vvm_stat_region *r,
				     enum vvm_stat_kind kind)
{
	uint64_t *word;

	if (!STAT_ON)
		return;
	word = !r ? &st->segment->value.faults_elsewhere
	       : kind == VVM_STAT_KIND_zero   ? &r->faults_zero
	       : kind == VVM_STAT_KIND_swapin ? &r->faults_swapin
	       : kind == VVM_STAT_KIND_wp     ? &r->faults_wp
					      : &r->faults_other;
	__atomic_fetch_add(word, 1, __ATOMIC_RELAXED);
}

/* The same for its block, which may be NULL. => block lock held. */
static inline void stat_block_fault(struct vvm_stat_block *b, uint64_t now_us)
{
	if (!STAT_ON || !b)
		return;
	__atomic_store_n(&b->faults, b->faults + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&b->last_us, now_us, __ATOMIC_RELAXED);
}

#endif
