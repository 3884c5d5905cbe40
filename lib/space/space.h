/* SPDX-License-Identifier: MIT */
/*
 * space/space.h - struct vvm: one address space with all its state, and the
 * small steps that every actor (fault, evict, mapping, access) is made of.
 *
 * The theory of the whole engine is at the head of space/space.c.
 */
#ifndef VVM_SPACE_H
#define VVM_SPACE_H

#include "swap/backing.h"
#include "swap/pager.h"
#include "space/clock.h"
#include "util/conf.h"
#include "space/frame.h"
#include "space/grip.h"
#include "os/os.h"
#include "os/room.h"
#include "space/pagetable.h"
#include "util/hook.h"
#include "util/pause.h"
#include "space/lives.h"
#include "space/standby.h"
#include "policy/policy.h"
#include "space/region.h"
#include "stat/stat.h"
#include "vvm.h"

/*
 * Below this many frames a page that a fault has just filled is not aged, hence
 * not evicted, for SPACE_GRACE_US: the thread that waited for it has to run and
 * use it first. Otherwise many threads on few frames would only steal from each
 * other. A wake-up takes 25-60 us; 500 leaves room for a busy machine. At
 * larger budgets the hand takes longer than that to come round.
 */
#define SPACE_GRACE_PAGES 512
#define SPACE_GRACE_US	  500

/* A userfaultfd (guard mode: -1), and where other threads reach the handler of its number. */
struct port {
	int uffd;	       /* (i) of its stripes of every region */
	int event;	       /* (i) eventfd that wakes the handler */
	_Atomic bool starving; /* has faults that wait for a frame */
};

struct handler;
struct lanes;
struct reclaimer;
struct snapshots;
struct fork;
struct streams;
struct flusher;

/*
 * Locks: (i) set by vvm_open(), (m) mapping lock, (s) space lock, (b) block
 * lock, (c) clock.lock, (a) atomic, (t) fault/trap.c's registry.
 */
struct vvm {
	struct conf conf;	 /* (i) */
	int memfd;		 /* (i) the frames, at offset = host address */
	int pagemap_fd;		 /* (i) */
	struct room_source room; /* (i) of an automatic budget */
	unsigned uffd_features;	 /* (i) enum os_uffd_feature */
	unsigned forks;		 /* (i) os_fork_count() when it was opened */

	struct lock mapping;	 /* serialises the mapping calls */
	struct rwlock lock;	 /* the space lock */
	struct regions regions;	 /* (s) */
	struct region *unburied; /* (m) the kernel keeps them: map/unmap.c */
	struct pagetable pt;	 /* (s) (b) */
	uint64_t mappings;	 /* (m) vvm_map() calls so far */
	struct frames frames;	 /* (a) */
	struct budget budget;	 /* who may change it: space/budget.c */
	struct waitq frame_free; /* API threads that wait for a frame */
	struct clock clock;	 /* (c) */
	struct pool bounce;	 /* page buffers for reads in place */
	struct grips grips;	 /* (a) who may hold pages past the table */
	struct standby standby;	 /* pages that wait for a stream to come by */

	struct backing *swap;	    /* (i) */
	struct flight flight;	    /* (a) of the regions' own backings */
	struct pagers pagers;	    /* (a) who are code of the program */
	struct backing *orphans;    /* (m) some, to be closed: map/unmap.c */
	struct flusher *flusher;    /* (m) NULL: none is a shared file's yet */
	struct stats stats;	    /* (i) */
	struct vvm_stat_actor *api; /* (i) counters of API threads */

	unsigned handler_count;			/* (i) */
	struct port port[SETTING_HANDLERS_MAX]; /* (i) */
	struct handler *handlers;		/* (i) */
	_Atomic uint32_t
		serving; /* bit i: handler i reads events (fault/crew.c) */
	struct reclaimer *reclaimer; /* (i) */
	struct streams *streams;     /* (i) */
	struct lanes *lanes; /* (i) of inline and guard mode; else NULL */
	struct pause pause;  /* where the actors stop for a fork */
	struct snapshots *snapshots; /* (i) NULL: children do not inherit */
	struct fork *fork;	     /* (i) the same; NULL */
	int reclaim_event;	     /* (i) wakes the reclaimer */
	_Atomic bool reclaim_asleep;
	_Atomic bool stopping; /* the actors shall end */

	struct lives lives;  /* of its threads, */
	_Atomic bool broken; /* one of which died: space/life.c */

	_Atomic bool dormant; /* a fork child has not used it yet */
	struct waitq roused;  /* API threads that wait for the end of that */
	_Atomic unsigned failing; /* fault_fail()s not yet undone */
	_Atomic unsigned willneed_turn;

	struct hook low_space; /* a vvm_low_space_callback; (m) writes */
	struct hook on_fault;  /* a vvm_fault_callback; (m) writes */
};

/*
 * Makes everything but the threads: memfd, userfaultfds, swap, statistics.
 * Errors as vvm_open().
 */
int space_new(struct vvm **out, const struct conf *conf);
/* => no threads, no regions. Frees it all. */
void space_free(struct vvm *vm);
/*
 * Opens the memfd, the userfaultfds and what else belongs to one process, and
 * closes all of these but the memfd: a fork child needs its own.
 */
int space_open_fds(struct vvm *vm);
void space_close_fds(struct vvm *vm);
/* Locks, frames and clock as of a space without resident pages. */
void space_reset(struct vvm *vm);

/*
 * Moves a page (pt_move) and counts the change. The slot that the page gives
 * up by the move is given back to the backing, except on moves that keep the
 * content in it. => block lock held.
 */
void space_move(struct vvm *vm, struct vvm_stat_actor *actor, struct block *b,
		unsigned i, enum page_state to, uint64_t slot);

/*
 * A page that was just mapped or discarded is as its region begins: SWAPPED, if
 * that has a backing. (Others that are FRESH were changed to zeros.)
 * => block lock held, i is in r.
 */
void space_begin_page(struct block *b, unsigned i, const struct region *r);

/*
 * Takes n frames leaving `reserve` free, and sees that reclaim runs when few
 * are left. False: not enough now.
 */
bool space_take_frames(struct vvm *vm, struct vvm_stat_actor *actor, uint64_t n,
		       uint64_t reserve);
/* There are free frames: wakes whoever waits for one. Any lock may be held. */
void space_wake_waiting(struct vvm *vm);
/* Those that are saved for compressed pages go to whoever waits. */
void space_spend_frames(struct vvm *vm);
/* Gives frames back and wakes whoever waits for one. Any lock may be held. */
void space_give_frames(struct vvm *vm, struct vvm_stat_actor *actor,
		       uint64_t n);
/*
 * Has b, the swap of this process, keep pages compressed in frames, if the
 * settings say so and it can. Errors as vvm_open().
 */
int space_keep(struct vvm *vm, struct backing *b);
/* Wakes the reclaimer unless it is awake. */
void space_kick_reclaim(struct vvm *vm);

/* Where the slot of a page of r is. */
static inline struct backing *space_backing(const struct vvm *vm,
					    const struct region *r,
					    uint64_t slot)
{
	return slot & SLOT_OF_REGION ? r->backing : vm->swap;
}

/*
 * Is a disk gone for a while (struct backing_ops)? Then it is not known whether
 * there will be frames.
 */
static inline bool space_stalled(const struct vvm *vm, uint64_t now_us)
{
	return backing_stalled(vm->swap, now_us) ||
	       flight_stalled(&vm->flight, now_us);
}

/* The userfaultfd that serves a host address of r. */
static inline int space_uffd(const struct vvm *vm, const struct region *r,
			     haddr_t host)
{
	return vm->port[region_stripe(r, host, vm->handler_count)].uffd;
}

/*
 * The block of addr, which lies in a region, with its lock held and the
 * entry of addr MAPPED. NULL: out of memory. => space lock held.
 */
struct block *space_lock_block(struct vvm *vm, gaddr_t addr);

/*
 * Waits until no page of b in [first, last] is FILLING and, with writes, no
 * write-back of the block is in flight. In a broken space nobody will end what
 * is in flight: it is undone. => b's lock held; it is dropped while waiting and
 * held again on return.
 */
void space_wait_busy(struct vvm *vm, struct block *b, unsigned first,
		     unsigned last, bool writes);
/* Wakes every thread that waits on a userfaultfd of the space. */
void space_wake_all(struct vvm *vm);

/* Does the faulting thread resolve its own faults? */
static inline bool space_is_inline(const struct vvm *vm)
{
	return vm->lanes != NULL;
}

/* Is it told by SIGSEGV of guard markers, without a userfaultfd? */
static inline bool space_is_guarded(const struct vvm *vm)
{
	return vm->conf.faults == VVM_FAULTS_GUARD;
}

/* Does the budget follow the machine? space/budget.c */
static inline bool space_is_automatic(const struct vvm *vm)
{
	return atomic_load_explicit(&vm->budget.automatic,
				    memory_order_relaxed);
}

/* Has a thread of the library died? Then all is lost: space/life.c. */
static inline bool space_broken(const struct vvm *vm)
{
	return unlikely(
		atomic_load_explicit(&vm->broken, memory_order_acquire));
}

/* Is this process a fork child of the one that opened vm? */
static inline bool space_forked(const struct vvm *vm)
{
	return vm->forks != os_fork_count();
}

/*
 * In a child that has not used the inherited space: has its actors started,
 * and waits until they are ready. May be called by many threads, and in a
 * signal handler.
 */
void space_rouse(struct vvm *vm);

/* The swap's numbers, but those of transfers in flight, which are all there are. */
void space_backing_stat(struct vvm *vm, struct backing_stat *bs);

/* Brings the segment's values up to date. */
void space_publish(struct vvm *vm);

/* Verifies the numbered invariants of the whole space; for tests. */
void space_check(struct vvm *vm);

#endif
