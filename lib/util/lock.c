/* SPDX-License-Identifier: MIT */
/*
 * util/lock.c - mutex, reader-writer lock and wait queue on futexes.
 *
 * Mutex: the three-state futex mutex (Drepper, "Futexes are tricky"). 0 is
 * free, 1 held, 2 held with perhaps someone asleep. Only a taker that is
 * about to sleep writes 2, and only a drop that finds 2 pays a system call.
 * A taker that slept takes the lock as 2, because others may sleep on.
 *
 * Reader-writer lock: `word` counts readers (bits 0-19) and waiting writers
 * (20-30) and says whether a writer holds it (31). A waiting writer bars new
 * readers, so writers cannot starve; readers may starve if writers never
 * pause, which map and unmap do not do. All sleepers wait on `turn`: bit 0
 * says that somebody sleeps, the rest counts wake-ups. A sleeper sets bit 0,
 * looks at `word` once more, and sleeps while `turn` keeps its value; who
 * frees the lock changes `word`, then looks at bit 0, and if it is set adds
 * one (which clears it) and wakes all. These four accesses are sequentially
 * consistent, so at least one side sees the other: no lost wake-up.
 *
 * Wait queue: `seq` counts wakes. The waker increments seq, then reads
 * `waiters`; the waiter increments waiters, then reads seq: the same pair.
 * The waker reads it after the waiter may be gone, so a queue must live
 * longer than any waker, and not on a waiter's stack.
 *
 * (1) Whoever returns from lock_take/rwlock_* synchronises (acquire) with
 *     all who dropped it before (release). There are no fences, so that
 *     ThreadSanitizer understands every edge.
 * (2) mine.held[r] of a thread is the lock of rank r that it holds. As a lock
 *     may be taken only above all ranks held, there is at most one of each
 *     rank. One store each way, hence safe against a signal handler that takes
 *     locks between any two instructions. Dropping is allowed in any order.
 *     Debug builds check the order by it. When a thread of the library has
 *     died (space/life.c) another drops by it what the dead one held.
 *
 * Rejected: pthread_mutex_t (40 bytes in each of a page table's leaves, and
 * not async-signal-safe); a queue per rwlock side (two futexes more for a
 * lock whose writers are map and unmap).
 */
#include "util/lock.h"

#include <errno.h>
#include <limits.h>

#include "util/awake.h"
#include "util/log.h"
#include "os/os.h"

/*
 * Critical sections are some hundred instructions. 64 pauses took 1.7 us:
 * longer than a section, far shorter than the 50 us of a sleep and wake-up.
 */
#define SPIN_ROUNDS 64
/* Between two tries of a lock that is taken with a time limit. */
#define POLL_US 20
/* Between two looks around of a thread that waits for as long as it takes. */
#define LOOK_US AWAKE_STEP_US

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* ---- what a thread holds, and how it waits ---- */

/* (o), but see lock_drop_dead(). Read in signal handlers: initial-exec. */
static __thread struct lock_table mine
	__attribute__((tls_model("initial-exec")));
static __thread struct {
	void (*look)(void *arg, const void *lock);
	void *arg;
} waiting __attribute__((tls_model("initial-exec"))); /* (o) */

static inline void hold(unsigned rank, void *lock)
{
	atomic_store_explicit(&mine.held[rank], lock, memory_order_relaxed);
}

struct lock_table *lock_table(void)
{
	return &mine;
}

void lock_on_wait(void (*look)(void *arg, const void *lock), void *arg)
{
	waiting.look = look;
	waiting.arg = arg;
}

/*
 * Sleeps while *word is value: for timeout_us, or, if that is below 0, until
 * woken or until it is time to look around. lock: whose word it is; NULL: of a
 * wait queue.
 */
static void sleep_on(const _Atomic uint32_t *word, uint32_t value,
		     int64_t timeout_us, const void *lock)
{
	bool look = waiting.look && timeout_us < 0;
	int rc = os_futex_wait(word, value, look ? LOOK_US : timeout_us);

	if (look && rc == -ETIMEDOUT)
		waiting.look(waiting.arg, lock);
}

/* ---- the lock order, debug builds only ---- */

#ifdef VVM_DEBUG

static const void *held(unsigned rank)
{
	return atomic_load_explicit(&mine.held[rank], memory_order_relaxed);
}

/* Aborts unless rank is above every rank this thread holds. */
static void order_check(const void *lock, unsigned rank)
{
	unsigned r;

	ASSERT(rank > 0 && rank < LOCK_RANKS);
	for (r = rank; r < LOCK_RANKS; r++) {
		if (!held(r))
			continue;
		log_error("lock %p of rank %u taken while holding %p of rank "
			  "%u",
			  lock, rank, held(r), r);
		assert_failed("lock order", __FILE__, __LINE__);
	}
}

static void order_pop(const void *lock, unsigned rank)
{
	ASSERT(held(rank) == lock);
	hold(rank, NULL);
}

static bool order_holds(const void *lock, unsigned rank)
{
	return held(rank) == lock;
}

#define owner_set(l, tid) \
	atomic_store_explicit(&(l)->owner, tid, memory_order_relaxed)
#define owner_is_me(l) \
	(atomic_load_explicit(&(l)->owner, memory_order_relaxed) == os_tid())

#else

#define order_check(lock, rank) ((void)0)
#define order_pop(lock, rank)	hold(rank, NULL)
#define owner_set(l, tid)	((void)0)

#endif

/* ---- mutex ---- */

enum { FREE, HELD, CONTENDED };

void lock_init(struct lock *l, enum lock_rank rank)
{
	atomic_init(&l->word, FREE);
	l->rank = (uint16_t)rank;
	l->reserved = 0;
	owner_set(l, 0);
}

/* One attempt, without order check. */
static bool grab(struct lock *l)
{
	uint32_t expected = FREE;

	return atomic_compare_exchange_strong_explicit(
		&l->word, &expected, HELD, memory_order_acquire,
		memory_order_relaxed);
}

/* Waits in user space while the holder runs; true if that got the lock. */
static bool grab_spinning(struct lock *l)
{
	int i;

	for (i = 0; i < SPIN_ROUNDS; i++) {
		uint32_t word =
			atomic_load_explicit(&l->word, memory_order_relaxed);

		if (word == FREE && grab(l))
			return true;
		if (word == CONTENDED) /* others gave up spinning already */
			return false;
		cpu_relax();
	}
	return false;
}

static void grab_sleeping(struct lock *l)
{
	while (atomic_exchange_explicit(&l->word, CONTENDED,
					memory_order_acquire) != FREE)
		sleep_on(&l->word, CONTENDED, -1, l);
}

void lock_take(struct lock *l)
{
	order_check(l, l->rank);
	if (!grab(l) && !grab_spinning(l))
		grab_sleeping(l);
	hold(l->rank, l);
	owner_set(l, os_tid());
}

bool lock_try(struct lock *l)
{
	if (!grab(l))
		return false;
	order_check(l, l->rank);
	hold(l->rank, l);
	owner_set(l, os_tid());
	return true;
}

bool lock_take_timed(struct lock *l, uint64_t timeout_us)
{
	struct awake awake = {.seen_us = os_now_us()};

	order_check(l, l->rank);
	while (!grab(l)) {
		if (awake_look(&awake, os_now_us()) > timeout_us)
			return false;
		os_sleep_us(POLL_US);
	}
	hold(l->rank, l);
	owner_set(l, os_tid());
	return true;
}

void lock_disown(struct lock *l)
{
	DEBUG_ASSERT(lock_held(l));
	owner_set(l, 0);
	order_pop(l, l->rank);
}

void lock_adopt(struct lock *l)
{
	hold(l->rank, l);
	owner_set(l, os_tid());
}

void lock_drop(struct lock *l)
{
	uint32_t old;

	DEBUG_ASSERT(lock_held(l));
	owner_set(l, 0);
	order_pop(l, l->rank);
	old = atomic_exchange_explicit(&l->word, FREE, memory_order_release);
	ASSERT(old != FREE);
	if (old == CONTENDED)
		os_futex_wake(&l->word, 1);
}

void lock_freeze(struct lock *l)
{
	if (!grab(l) && !grab_spinning(l))
		grab_sleeping(l);
}

void lock_thaw(struct lock *l)
{
	uint32_t old =
		atomic_exchange_explicit(&l->word, FREE, memory_order_release);

	ASSERT(old != FREE);
	if (old == CONTENDED)
		os_futex_wake(&l->word, 1);
}

bool lock_held(const struct lock *l)
{
#ifdef VVM_DEBUG
	return order_holds(l, l->rank) && owner_is_me(l);
#else
	return atomic_load_explicit(&l->word, memory_order_relaxed) != FREE;
#endif
}

/* ---- reader-writer lock ---- */

#define READER	      1u
#define READERS_MASK  0x000fffffu
#define WAITER	      0x00100000u
#define WAITERS_MASK  0x7ff00000u
#define WRITER	      0x80000000u
#define TURN_SLEEPERS 1u

void rwlock_init(struct rwlock *l, enum lock_rank rank)
{
	atomic_init(&l->word, 0);
	atomic_init(&l->turn, 0);
	l->rank = (uint16_t)rank;
	owner_set(l, 0);
}

/* Sleeps while a bit of `barrier` is set in word; may return early. */
static void rwlock_sleep(struct rwlock *l, uint32_t barrier)
{
	uint32_t turn = atomic_fetch_or(&l->turn, TURN_SLEEPERS);

	if (atomic_load(&l->word) & barrier)
		sleep_on(&l->turn, turn | TURN_SLEEPERS, -1, l);
}

/* => word was changed already, with sequential consistency. */
static void rwlock_wake(struct rwlock *l)
{
	if (atomic_load(&l->turn) & TURN_SLEEPERS) {
		atomic_fetch_add(&l->turn, 1);
		os_futex_wake(&l->turn, INT_MAX);
	}
}

/* Becomes a reader unless a writer holds the lock or waits for it. */
static bool grab_read(struct rwlock *l)
{
	uint32_t word = atomic_load_explicit(&l->word, memory_order_relaxed);

	while (!(word & (WRITER | WAITERS_MASK))) {
		ASSERT((word & READERS_MASK) != READERS_MASK);
		if (atomic_compare_exchange_weak_explicit(
			    &l->word, &word, word + READER,
			    memory_order_acquire, memory_order_relaxed))
			return true;
	}
	return false;
}

void rwlock_read(struct rwlock *l)
{
	int spins = 0;

	order_check(l, l->rank);
	while (!grab_read(l)) {
		if (spins++ < SPIN_ROUNDS)
			cpu_relax();
		else
			rwlock_sleep(l, WRITER | WAITERS_MASK);
	}
	hold(l->rank, l);
}

bool rwlock_try_read(struct rwlock *l)
{
	if (!grab_read(l))
		return false;
	order_check(l, l->rank);
	hold(l->rank, l);
	return true;
}

void rwlock_end_read(struct rwlock *l)
{
	uint32_t old;

	order_pop(l, l->rank);
	old = atomic_fetch_sub(&l->word, READER);
	ASSERT(old & READERS_MASK);
	/* Readers sleep only behind writers, whom end_write() follows. */
	if ((old & READERS_MASK) == READER && (old & WAITERS_MASK))
		rwlock_wake(l);
}

/* Turns a waiting writer into the holder, if nobody is in the way. */
static bool grab_write(struct rwlock *l)
{
	uint32_t word = atomic_load_explicit(&l->word, memory_order_relaxed);

	while (!(word & (WRITER | READERS_MASK))) {
		if (atomic_compare_exchange_weak_explicit(
			    &l->word, &word, (word - WAITER) | WRITER,
			    memory_order_acquire, memory_order_relaxed))
			return true;
	}
	return false;
}

void rwlock_write(struct rwlock *l)
{
	int spins = 0;

	order_check(l, l->rank);
	atomic_fetch_add(&l->word, WAITER);
	while (!grab_write(l)) {
		if (spins++ < SPIN_ROUNDS)
			cpu_relax();
		else
			rwlock_sleep(l, WRITER | READERS_MASK);
	}
	hold(l->rank, l);
	owner_set(l, os_tid());
}

void rwlock_end_write(struct rwlock *l)
{
	uint32_t old;

	DEBUG_ASSERT(rwlock_held_write(l));
	owner_set(l, 0);
	order_pop(l, l->rank);
	old = atomic_fetch_and(&l->word, ~WRITER);
	ASSERT(old & WRITER);
	rwlock_wake(l);
}

bool rwlock_write_timed(struct rwlock *l, uint64_t timeout_us)
{
	struct awake awake = {.seen_us = os_now_us()};

	order_check(l, l->rank);
	atomic_fetch_add(&l->word, WAITER);
	while (!grab_write(l)) {
		if (awake_look(&awake, os_now_us()) > timeout_us) {
			atomic_fetch_sub(&l->word, WAITER);
			rwlock_wake(l); /* readers that we barred */
			return false;
		}
		os_sleep_us(POLL_US);
	}
	hold(l->rank, l);
	owner_set(l, os_tid());
	return true;
}

void rwlock_disown(struct rwlock *l)
{
	DEBUG_ASSERT(rwlock_held_write(l));
	owner_set(l, 0);
	order_pop(l, l->rank);
}

void rwlock_adopt(struct rwlock *l)
{
	hold(l->rank, l);
	owner_set(l, os_tid());
}

bool rwlock_held_write(const struct rwlock *l)
{
#ifdef VVM_DEBUG
	return order_holds(l, l->rank) && owner_is_me(l);
#else
	return atomic_load_explicit(&l->word, memory_order_relaxed) & WRITER;
#endif
}

/* ---- wait queue ---- */

void waitq_init(struct waitq *q)
{
	atomic_init(&q->seq, 0);
	atomic_init(&q->waiters, 0);
}

uint32_t waitq_ticket(struct waitq *q)
{
	return atomic_load(&q->seq);
}

/* Sleeps until seq leaves ticket or the deadline (0: none) has come. */
static int wait_past(struct waitq *q, uint32_t ticket, uint64_t deadline_us)
{
	int64_t left_us = -1;

	while (atomic_load(&q->seq) == ticket) {
		if (deadline_us) {
			left_us = (int64_t)(deadline_us - os_now_us());
			if (left_us <= 0)
				return -ETIMEDOUT;
		}
		sleep_on(&q->seq, ticket, left_us, NULL);
	}
	return 0;
}

int waitq_wait(struct waitq *q, uint32_t ticket, int64_t timeout_us)
{
	uint64_t deadline_us = 0;
	int error;

	if (timeout_us >= 0)
		deadline_us = os_now_us() + (uint64_t)timeout_us;
	atomic_fetch_add(&q->waiters, 1);
	error = wait_past(q, ticket, deadline_us);
	atomic_fetch_sub(&q->waiters, 1);
	return error;
}

void waitq_wake(struct waitq *q)
{
	atomic_fetch_add(&q->seq, 1);
	if (atomic_load(&q->waiters))
		os_futex_wake(&q->seq, INT_MAX);
}

/* ---- what the dead leave ---- */

static void rwlock_drop_dead(struct rwlock *l)
{
	if (atomic_load(&l->word) & WRITER)
		atomic_fetch_and(&l->word, ~WRITER);
	else
		atomic_fetch_sub(&l->word, READER);
	rwlock_wake(l);
}

void lock_drop_dead(struct lock_table *t)
{
	unsigned rank;

	for (rank = LOCK_RANKS - 1; rank > 0; rank--) {
		void *lock = atomic_exchange(&t->held[rank], NULL);

		if (lock && rank == LOCK_SPACE)
			rwlock_drop_dead(lock);
		else if (lock)
			lock_thaw(lock);
	}
}
