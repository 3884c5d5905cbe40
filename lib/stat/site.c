/* SPDX-License-Identifier: MIT */
/*
 * stat/site.c - which code of the program waits for pages.
 *
 * A *site* is an instruction whose faults had to wait: for a read, for a page
 * that was on its way, for a free frame. It is known where the fault comes
 * as a signal; of a fault that the kernel reports to a handler thread only a
 * thread's number is known, and vvmstat looks at that thread while it waits.
 *
 * The table has SETS sets of WAYS items; an address belongs to one set. In a
 * full one the item that waited least makes room for any newcomer, and what it
 * had counted goes to the table's last item. So memory is bounded and the hottest
 * 15 of a set stay, in a process that runs for days, too. The 16th place is that
 * of whoever came last: where more than 16 take turns the last item has most of
 * what the coolest have waited, however long that is by now. A process has seldom
 * that much code that waits.
 *
 * No lock, since it is for signal handlers and must not make faults wait: an
 * item belongs to whoever has put an address into it, by compare and swap.
 *
 *	NONE --> address --> MOVING (its counts go to the last item) --> address
 *
 * Who has found his address just before it is replaced adds to another's: one
 * fault, counted for a neighbour. Two who replace two items at once may put the
 * same address into both: the reader adds them up. A thread that dies within
 * (MOVING) costs an item.
 *
 * It costs a multiplication, a look at up to 16 cache lines (an item has one of
 * its own, which other threads that wait at that code write to) and two or three
 * atomic additions, after a wait that is long most often. A process that never
 * waits has no storage for it. It gets that when a wait begins: when one has
 * ended a call of the library may hold locks.
 *
 * Rejected: the caller too, from the stack (that may be paged itself, and code
 * without frame pointers has none); counting all faults, also those that only
 * fill zeros or unpack: there is nothing to wait for, and there are many.
 */
#include "stat/stat.h"

#include "os/os.h"

#define WAYS	 16
#define SETS	 (VVM_STAT_SITES / WAYS)
#define SET_BITS 6

_Static_assert(SETS == 1 << SET_BITS, "what the hash gives");

enum sites_state { UNTRIED, READY, NONE };

/* ---- storage ---- */

static unsigned state_of(struct stats *st)
{
	return atomic_load_explicit(&st->sites_state, memory_order_acquire);
}

/* Where and how long is nothing that may be read from the segment: stat (5). */
static enum sites_state allocate(struct stats *st)
{
	const uint64_t items = VVM_STAT_SITES + 1;

	if (os_fallocate(st->fd, VVM_STAT_SITES_OFFSET,
			 items * sizeof(struct vvm_stat_site)))
		return NONE;
	__atomic_store_n(&st->sites[VVM_STAT_SITES].ip, VVM_STAT_SITE_OTHERS,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&st->segment->sites.count, items, __ATOMIC_RELEASE);
	return READY;
}

void stat_waits(struct stats *st, const struct stat_fault *f)
{
	unsigned untried = UNTRIED;

	if (!STAT_ON || !f->ip || !st->sites || likely(state_of(st) != UNTRIED))
		return;
	/* Two may do so at once: the same. The first to end decides. */
	atomic_compare_exchange_strong(&st->sites_state, &untried,
				       allocate(st));
}

/* ---- items ---- */

static struct vvm_stat_site *set_of(struct stats *st, uint64_t ip)
{
	/* Fibonacci hashing: addresses of code differ in their low bits. */
	return &st->sites[(ip * 0x9e3779b97f4a7c15u >> (64 - SET_BITS)) * WAYS];
}

static uint64_t ip_of(const struct vvm_stat_site *s)
{
	return __atomic_load_n(&s->ip, __ATOMIC_RELAXED);
}

static bool swap_ip(struct vvm_stat_site *s, uint64_t *old, uint64_t new)
{
	return __atomic_compare_exchange_n(&s->ip, old, new, false,
					   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* The item of ip, or a free one that is made so; NULL: the set is full. */
static struct vvm_stat_site *find(struct vvm_stat_site *set, uint64_t ip)
{
	struct vvm_stat_site *s;

	for (s = set; s < set + WAYS; s++) {
		uint64_t here = ip_of(s);

		if (here == VVM_STAT_SITE_NONE && swap_ip(s, &here, ip))
			return s;
		if (here == ip)
			return s;
	}
	return NULL;
}

static void add(struct vvm_stat_site *s, uint64_t faults, uint64_t stalls,
		uint64_t wait_ns)
{
	__atomic_fetch_add(&s->faults, faults, __ATOMIC_RELAXED);
	if (stalls)
		__atomic_fetch_add(&s->stalls, stalls, __ATOMIC_RELAXED);
	__atomic_fetch_add(&s->wait_ns, wait_ns, __ATOMIC_RELAXED);
}

static uint64_t take(uint64_t *count)
{
	return __atomic_exchange_n(count, 0, __ATOMIC_RELAXED);
}

/* The item that has waited least; NULL: all are on the move. */
static struct vvm_stat_site *coolest(struct vvm_stat_site *set)
{
	struct vvm_stat_site *s, *found = NULL;
	uint64_t ns, least = UINT64_MAX;

	for (s = set; s < set + WAYS; s++) {
		if (ip_of(s) == VVM_STAT_SITE_MOVING)
			continue;
		ns = __atomic_load_n(&s->wait_ns, __ATOMIC_RELAXED);
		if (!found || ns < least) {
			found = s;
			least = ns;
		}
	}
	return found;
}

/* The coolest item of the set, ip's from now on. NULL: none to be had. */
static struct vvm_stat_site *replace(struct stats *st,
				     struct vvm_stat_site *set, uint64_t ip)
{
	struct vvm_stat_site *s = coolest(set);
	uint64_t old = s ? ip_of(s) : VVM_STAT_SITE_MOVING;

	if (old == VVM_STAT_SITE_MOVING ||
	    !swap_ip(s, &old, VVM_STAT_SITE_MOVING))
		return NULL;
	add(&st->sites[VVM_STAT_SITES], take(&s->faults), take(&s->stalls),
	    take(&s->wait_ns));
	__atomic_store_n(&s->ip, ip, __ATOMIC_RELEASE);
	return s;
}

void stat_waited(struct stats *st, const struct stat_fault *f, uint64_t end_ns)
{
	struct vvm_stat_site *set, *s;
	uint64_t start_ns = f->at.start_ns;

	if (!STAT_ON || !f->ip || unlikely(state_of(st) != READY))
		return;
	set = set_of(st, f->ip);
	s = find(set, f->ip);
	if (!s)
		s = replace(st, set, f->ip);
	if (!s)
		s = &st->sites[VVM_STAT_SITES];
	add(s, 1, f->flags & VVM_STAT_EVENT_STALLED ? 1 : 0,
	    end_ns > start_ns ? end_ns - start_ns : 0);
}
