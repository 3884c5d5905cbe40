/* SPDX-License-Identifier: MIT */
/*
 * util/lock.h - the library's locks: a futex mutex, a writer-preferring
 * reader-writer lock and a wait queue.
 *
 * Own locks, not pthread's, for three reasons: the block lock sits in every
 * page table leaf and must be small; everything here is async-signal-safe
 * as long as the interrupted code does not hold the same lock (the inline
 * fault mode needs that); and each lock carries its rank.
 *
 * The lock order is enum lock_rank: a thread may take a lock only if its
 * rank is greater than that of every lock it holds. Checked in debug builds
 * (VVM_DEBUG), per thread. Try-locks are checked too, except that a failed
 * try is never an error.
 */
#ifndef VVM_LOCK_H
#define VVM_LOCK_H

#include <stdatomic.h>
#include "base.h"

enum lock_rank {
	LOCK_HEAP_SLOT = 1, /* threads' caches of a heap, when they exit */
	LOCK_HEAP_TRIM,	    /* gives pages of a heap back */
	LOCK_HEAP_CACHES,   /* list of the caches of a heap */
	LOCK_HEAP_CLASS,    /* spans of a size class */
	LOCK_HEAP_PAGES,    /* free runs of a heap */
	LOCK_FORK,	    /* the spaces that fork children inherit */
	LOCK_MAPPING,	    /* serialises map, unmap, protect, advise */
	LOCK_SPACE,	    /* region index and page table shape (rwlock) */
	LOCK_BLOCK,	    /* one leaf: its entries and counts */
	LOCK_SNAPSHOT,	    /* what fork children may still read of a space */
	LOCK_CLOCK,	    /* the ring of blocks with resident pages */
	LOCK_STORE,	    /* compressed pages of a backing */
	LOCK_SLOTS,	    /* free slots of a backing */
	LOCK_POOL,	    /* free objects of a pool */
	LOCK_MISC,	    /* leaf locks that take nothing */
	LOCK_RANKS
};

struct lock {
	_Atomic uint32_t word; /* 0 free, 1 held, 2 held and waited for */
	uint16_t rank;
	uint16_t reserved;
#ifdef VVM_DEBUG
	_Atomic int owner; /* tid */
#endif
};

void lock_init(struct lock *l, enum lock_rank rank);
/* Takes l; may sleep. */
void lock_take(struct lock *l);
/* Takes l if it is free; never sleeps. */
bool lock_try(struct lock *l);
/*
 * Gives up after timeout_us, not counting time in which the process was stopped
 * (util/awake.h): false then. It polls, so it is not for busy paths.
 */
bool lock_take_timed(struct lock *l, uint64_t timeout_us);
void lock_drop(struct lock *l);
/* For assertions: in debug builds exact, else "somebody holds it". */
bool lock_held(const struct lock *l);
/*
 * For pthread_atfork(): lock_freeze() takes a lock across fork() and
 * lock_thaw() drops it in the parent; the child uses lock_init(). Many may be
 * held, whatever their ranks: the caller sees to an order.
 */
void lock_freeze(struct lock *l);
void lock_thaw(struct lock *l);
/*
 * lock_disown() leaves a lock held, but by nobody: any thread may make it its
 * own by lock_adopt(), and then drops it. A fork holds locks of many spaces
 * from its first handler to its last that way, and a thread that waits too
 * long for the fork can drop them.
 */
void lock_disown(struct lock *l);
void lock_adopt(struct lock *l);

/*
 * What a thread holds, by rank. A thread may die of a signal that the kernel
 * sends to it alone; what it held then would never be free again.
 * lock_drop_dead() drops it. => the thread has ended, and has not been joined.
 * LOCK_SPACE is the one rank of reader-writer locks.
 */
struct lock_table {
	_Atomic(void *) held[LOCK_RANKS];
};
struct lock_table *lock_table(void); /* of the calling thread */
void lock_drop_dead(struct lock_table *t);
/*
 * From now on the calling thread calls look() every AWAKE_STEP_US of waits
 * without a time limit, for this lock (NULL: in a wait queue).
 */
void lock_on_wait(void (*look)(void *arg, const void *lock), void *arg);

struct rwlock {
	_Atomic uint32_t word; /* reader count; top bits: writer, waiting */
	_Atomic uint32_t turn; /* futex that sleepers wait on */
	uint16_t rank;
#ifdef VVM_DEBUG
	_Atomic int owner; /* tid of the writer */
#endif
};

void rwlock_init(struct rwlock *l, enum lock_rank rank);
/* Readers do not nest: a waiting writer bars new readers. */
void rwlock_read(struct rwlock *l);
bool rwlock_try_read(struct rwlock *l);
void rwlock_end_read(struct rwlock *l);
void rwlock_write(struct rwlock *l);
/* As lock_take_timed(). */
bool rwlock_write_timed(struct rwlock *l, uint64_t timeout_us);
void rwlock_disown(struct rwlock *l); /* of a writer; as lock_disown() */
void rwlock_adopt(struct rwlock *l);
void rwlock_end_write(struct rwlock *l);
/* For assertions, as lock_held(). */
bool rwlock_held_write(const struct rwlock *l);

/*
 * Wait queue: an event counter. The waiter takes a ticket while it holds the
 * lock that guards the condition, drops the lock, then waits: it sleeps only
 * while no wake came since the ticket.
 */
struct waitq {
	_Atomic uint32_t seq;
	_Atomic uint32_t waiters;
};

void waitq_init(struct waitq *q);
uint32_t waitq_ticket(struct waitq *q);
/* 0 when woken (perhaps spuriously), -ETIMEDOUT. timeout_us < 0: no limit. */
int waitq_wait(struct waitq *q, uint32_t ticket, int64_t timeout_us);
/* Wakes all. Costs one atomic increment when nobody waits. */
void waitq_wake(struct waitq *q);

#endif
