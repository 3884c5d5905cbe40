/* SPDX-License-Identifier: MIT */
/*
 * space/region.c - the index of the regions of a space.
 *
 * Two sorted arrays of pointers to the same regions: by_guest for the public
 * calls, which speak guest addresses, by_host for fault handling, where the
 * kernel reports host addresses. All look-ups are one binary search for "the
 * first region that ends above this address"; the rest follows from it.
 *
 * Splitting and merging keep regions the unit of permissions and advice.
 * Both halves of a split keep mapping_id and stripe_shift, so that a host
 * address has the same userfaultfd for as long as its mapping exists:
 * region_stripe() depends on nothing else. And a page of a mapping has the same
 * slot of its backing: region_slot().
 *
 * Invariants, verified by regions_check():
 *  (1) by_guest is sorted by start, by_host by host; both hold the same
 *	`count` regions.
 *  (2) No two regions overlap, in the guest or in the host.
 *  (3) start, end and host are page aligned, start < end <= GUEST_END.
 *
 * A change that may fail allocates first and changes after, so that an error
 * leaves the index as it was.
 *
 * Rejected: a balanced tree. Its look-up is a chain of cache misses on the
 * fault path, and it buys cheap insertion, which happens once per map call.
 */
#include "space/region.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room for so many regions at first, then twice as many. */
#define REGIONS_FIRST 16

/* The sizes that region_stripe_shift() chooses from. */
#define STRIPES_PER_HANDLER 16
#define STRIPE_SHIFT_MIN    BLOCK_SHIFT /* a block has one descriptor */
#define STRIPE_SHIFT_MAX    40
#define STRIPE_SHIFT_ONE    47 /* host user addresses are below 2^47 */

void regions_init(struct regions *rs)
{
	memset(rs, 0, sizeof(*rs));
}

void regions_publish(struct regions *rs, struct region *r)
{
	struct vvm_stat_region image = {
		.start = r->start,
		.end = r->end,
		.host = r->host,
		.prot = r->prot,
		.advice = r->advice,
		.mapping = r->mapping_id,
	};

	if (!rs->stats)
		return;
	if (!r->stat)
		r->stat = stat_region_take(rs->stats);
	memcpy(image.name, r->name, MIN(sizeof(image.name), sizeof(r->name)));
	stat_region_write(r->stat, &image);
}

/* Its faults go to `heir`, or elsewhere. */
static void withdraw(struct regions *rs, struct region *r, struct region *heir)
{
	if (!rs->stats)
		return;
	stat_region_give(rs->stats, r->stat, heir ? heir->stat : NULL);
	r->stat = NULL;
}

void regions_fini(struct regions *rs)
{
	size_t i;

	for (i = 0; i < rs->count; i++) {
		chunks_drop(rs->by_guest[i]->chunks);
		backing_drop(rs->by_guest[i]->backing);
		free(rs->by_guest[i]);
	}
	free(rs->by_guest);
	free(rs->by_host);
	kept_fini(&rs->kept);
	regions_init(rs);
}

void regions_free(struct regions *rs, struct region *r)
{
	chunks_drop(r->chunks);
	backing_drop(r->backing);
	kept_drop(&rs->kept, r->kept); /* a child has what is open at a fork */
	free(r);
}

/* Index of the first region with end > addr; count when there is none. */
static size_t guest_index(const struct regions *rs, gaddr_t addr)
{
	size_t lo = 0, hi = rs->count, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (rs->by_guest[mid]->end > addr)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* The same in host addresses. */
static size_t host_index(const struct regions *rs, haddr_t addr)
{
	size_t lo = 0, hi = rs->count, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (region_host_end(rs->by_host[mid]) > addr)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

struct region *regions_next_guest(const struct regions *rs, gaddr_t addr)
{
	size_t i = guest_index(rs, addr);

	return i < rs->count ? rs->by_guest[i] : NULL;
}

struct region *regions_at_guest(const struct regions *rs, gaddr_t addr)
{
	struct region *r = regions_next_guest(rs, addr);

	return r && r->start <= addr ? r : NULL;
}

struct region *regions_at_host(const struct regions *rs, haddr_t addr)
{
	size_t i = host_index(rs, addr);

	if (i == rs->count || rs->by_host[i]->host > addr)
		return NULL;
	return rs->by_host[i];
}

bool regions_free_range(const struct regions *rs, gaddr_t start, gaddr_t end)
{
	struct region *r = regions_next_guest(rs, start);

	return !r || r->start >= end;
}

static bool host_range_free(const struct regions *rs, haddr_t start,
			    haddr_t end)
{
	size_t i = host_index(rs, start);

	return i == rs->count || rs->by_host[i]->host >= end;
}

bool regions_cover(const struct regions *rs, gaddr_t start, gaddr_t end)
{
	size_t i = guest_index(rs, start);

	while (start < end) {
		if (i == rs->count || rs->by_guest[i]->start > start)
			return false;
		start = rs->by_guest[i++]->end;
	}
	return true;
}

/* ---- changing the index ---- */

static int grow_array(struct region ***array, size_t capacity)
{
	struct region **bigger =
		realloc(*array, capacity * sizeof(struct region *));

	if (!bigger)
		return -ENOMEM;
	*array = bigger;
	return 0;
}

/* Makes room for one more region in both arrays. */
static int make_room(struct regions *rs)
{
	size_t capacity = rs->capacity ? rs->capacity * 2 : REGIONS_FIRST;
	int err;

	if (rs->count < rs->capacity)
		return 0;
	err = grow_array(&rs->by_guest, capacity);
	if (!err)
		err = grow_array(&rs->by_host, capacity);
	if (!err)
		rs->capacity = capacity;
	return err;
}

static void insert_at(struct region **array, size_t count, size_t i,
		      struct region *r)
{
	memmove(array + i + 1, array + i,
		(count - i) * sizeof(struct region *));
	array[i] = r;
}

/* Puts r, which meets no other region, into both arrays. => there is room. */
static void link_region(struct regions *rs, struct region *r)
{
	insert_at(rs->by_guest, rs->count, guest_index(rs, r->start), r);
	insert_at(rs->by_host, rs->count, host_index(rs, r->host), r);
	rs->count++;
}

int regions_insert(struct regions *rs, struct region *r)
{
	ASSERT(r->start < r->end && r->end <= GUEST_END);
	ASSERT(((r->start | r->end | r->host) & PAGE_MASK) == 0);
	if (!regions_free_range(rs, r->start, r->end) ||
	    !host_range_free(rs, r->host, region_host_end(r)))
		return -EEXIST;
	if (make_room(rs))
		return -ENOMEM;
	link_region(rs, r);
	regions_publish(rs, r);
	return 0;
}

/* One pass over each array: linear however many there are. */
struct region *regions_remove(struct regions *rs, gaddr_t start, gaddr_t end)
{
	size_t first = guest_index(rs, start), last = first, i, kept = 0;
	struct region *head = NULL, **tail = &head, *r;

	for (; last < rs->count && rs->by_guest[last]->start < end; last++) {
		r = rs->by_guest[last];
		ASSERT(r->start >= start && r->end <= end);
		withdraw(rs, r, NULL);
		r->next = NULL;
		*tail = r;
		tail = &r->next;
	}
	if (first == last)
		return NULL;
	memmove(rs->by_guest + first, rs->by_guest + last,
		(rs->count - last) * sizeof(struct region *));
	for (i = 0; i < rs->count; i++) {
		r = rs->by_host[i];
		if (r->start < start || r->start >= end)
			rs->by_host[kept++] = r;
	}
	rs->count -= last - first;
	ASSERT(kept == rs->count);
	return head;
}

int regions_split(struct regions *rs, gaddr_t addr)
{
	struct region *r = regions_at_guest(rs, addr), *upper;

	ASSERT((addr & PAGE_MASK) == 0);
	if (!r || r->start == addr)
		return 0;
	upper = malloc(sizeof(*upper));
	if (!upper)
		return -ENOMEM;
	if (make_room(rs)) {
		free(upper);
		return -ENOMEM;
	}
	*upper = *r;
	upper->host = region_to_host(r, addr);
	upper->first_page += bytes_to_pages(addr - r->start);
	upper->start = r->end = addr;
	upper->stat = NULL;
	kept_use(upper->kept);
	chunks_use(upper->chunks);
	backing_use(upper->backing);
	link_region(rs, upper);
	regions_publish(rs, r);
	regions_publish(rs, upper);
	return 0;
}

/* Is b, the next region above a, the same thing going on? */
static bool mergeable(const struct region *a, const struct region *b)
{
	return a->end == b->start && region_host_end(a) == b->host &&
	       a->prot == b->prot && a->advice == b->advice &&
	       a->mapping_id == b->mapping_id &&
	       a->stripe_shift == b->stripe_shift;
}

static bool region_is_empty(const struct region *r)
{
	return r->start == r->end;
}

/* Takes the empty regions out of an array; returns how many are left. */
static size_t drop_empty(struct regions *rs, struct region **array,
			 bool release)
{
	size_t i, kept = 0;

	for (i = 0; i < rs->count; i++) {
		if (!region_is_empty(array[i]))
			array[kept++] = array[i];
		else if (release)
			regions_free(rs, array[i]);
	}
	return kept;
}

/*
 * One pass that empties every region swallowed by the one below it, one that
 * takes the empty ones out: linear even when thousands merge at once.
 */
void regions_merge(struct regions *rs, gaddr_t start, gaddr_t end)
{
	size_t i = guest_index(rs, start ? start - 1 : 0);
	struct region *into, *r;
	bool merged = false;

	if (i == rs->count)
		return;
	into = rs->by_guest[i];
	while (++i < rs->count && rs->by_guest[i]->start <= end) {
		r = rs->by_guest[i];
		if (!mergeable(into, r)) {
			into = r;
			continue;
		}
		into->end = r->end;
		r->end = r->start;
		withdraw(rs, r, into);
		regions_publish(rs, into);
		merged = true;
	}
	if (!merged)
		return;
	drop_empty(rs, rs->by_host, false);
	rs->count = drop_empty(rs, rs->by_guest, true);
}

/*
 * About 16 stripes for each descriptor: enough that a hot part of the region
 * spreads over all of them, few enough for the kernel, to which each stripe is
 * a mapping.
 */
unsigned region_stripe_shift(uint64_t bytes, unsigned handlers)
{
	uint64_t stripe;
	unsigned shift;

	ASSERT(handlers > 0);
	if (handlers == 1)
		return STRIPE_SHIFT_ONE;
	stripe = bytes / STRIPES_PER_HANDLER / handlers;
	shift = stripe ? 63 - (unsigned)__builtin_clzll(stripe) : 0;
	return MIN(MAX(shift, STRIPE_SHIFT_MIN), STRIPE_SHIFT_MAX);
}

/* ---- verification ---- */

static void check_guest(const struct regions *rs, size_t i)
{
	const struct region *r = rs->by_guest[i];

	ASSERT(r->start < r->end && r->end <= GUEST_END);
	ASSERT(((r->start | r->end | r->host) & PAGE_MASK) == 0);
	ASSERT(i == 0 || rs->by_guest[i - 1]->end <= r->start);
	ASSERT(regions_at_host(rs, r->host) == r);
}

static void check_host(const struct regions *rs, size_t i)
{
	const struct region *r = rs->by_host[i];

	ASSERT(i == 0 || region_host_end(rs->by_host[i - 1]) <= r->host);
	ASSERT(regions_at_guest(rs, r->start) == r);
}

void regions_check(const struct regions *rs)
{
	size_t i;

	ASSERT(rs->count <= rs->capacity);
	for (i = 0; i < rs->count; i++) {
		check_guest(rs, i);
		check_host(rs, i);
	}
}
