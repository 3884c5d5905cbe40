/* SPDX-License-Identifier: MIT */
/*
 * space/region.h - the regions of a space (its "virtual VMAs") and their index.
 *
 * A region is a page-aligned guest range with one host range, permissions
 * and advice. The index is two sorted arrays of pointers, by guest
 * and by host address: a look-up is a binary search in one cache-friendly
 * array; insertion moves 8 bytes for each later region, 4 us at 10,000,
 * and vm.max_map_count keeps the number under 65,530 anyway.
 *
 * Pure data structure. => all functions: the space lock is held, for writing
 * where the index changes. Region structs are malloc'd: only the mapping
 * calls create them, never fault handling.
 */
#ifndef VVM_REGION_H
#define VVM_REGION_H

#include "base.h"
#include "policy/intent.h"
#include "space/chunks.h"
#include "space/kept.h"
#include "space/page.h"
#include "stat/stat.h"
#include "swap/backing.h"

struct region {
	gaddr_t start, end;    /* (s) guest range, page aligned */
	haddr_t host;	       /* (s) host address of start */
	unsigned prot;	       /* (s) VVM_PROT_* of vvm.h */
	unsigned advice;       /* (s) VVM_ADV_NORMAL, RANDOM or SEQUENTIAL */
	unsigned stripe_shift; /* (i) log2 bytes of a stripe */
	uint64_t mapping_id;   /* (i) the vvm_map() call that it came from */
	char name[32];	       /* (i) */
	/*
	 * (i) What its pages are until they are changed, or, if it is their home,
	 * until they are changed by others; NULL: zeros. It is the mapping's:
	 * backing_drop() by the last of its regions closes it.
	 */
	struct backing *backing;
	uint64_t first_page;	      /* (s) number of `start` in the mapping */
	struct intent intent;	      /* (a) */
	struct vvm_stat_region *stat; /* (s) what readers see; or NULL */
	struct kept_range *kept;      /* (m) of its mapping; or NULL */
	struct chunks *chunks;	      /* (m) the same; NULL unless guarded */
	/* (m) on its way out, map/unmap.c: */
	struct region *next;
	uint64_t frames; /* not given back yet, ... */
	bool unpunched;	 /* ... nor freed */
};

struct regions {
	struct region **by_guest, **by_host; /* (s) sorted */
	size_t count, capacity;		     /* (s) */
	struct stats *stats; /* (i) where they are published; or NULL */
	struct kept kept;    /* (m) for fork children */
};

void regions_init(struct regions *rs);
/* Frees the index and every region in it. */
void regions_fini(struct regions *rs);
/* Region that holds the address, or NULL. */
struct region *regions_at_guest(const struct regions *rs, gaddr_t addr);
struct region *regions_at_host(const struct regions *rs, haddr_t addr);
/* First region with end > addr, or NULL: to iterate, pass the last end. */
struct region *regions_next_guest(const struct regions *rs, gaddr_t addr);
/* True when [start, end) meets no region. */
bool regions_free_range(const struct regions *rs, gaddr_t start, gaddr_t end);
/* True when [start, end) is covered without a hole. */
bool regions_cover(const struct regions *rs, gaddr_t start, gaddr_t end);
/* Takes ownership of r. -EEXIST on overlap (guest or host), -ENOMEM. */
int regions_insert(struct regions *rs, struct region *r);
/* Frees a region that is not in the index. */
void regions_free(struct regions *rs, struct region *r);
/*
 * Takes all regions of [start, end), which is cut at both ends, out of the index
 * at once, as a list by `next` in the order of addresses. The caller owns them.
 */
struct region *regions_remove(struct regions *rs, gaddr_t start, gaddr_t end);
/* Tells readers of the statistics what has changed in r. */
void regions_publish(struct regions *rs, struct region *r);
/*
 * Makes addr (inside a region, page aligned) a border between two regions.
 * Does nothing where there is one already or no region. -ENOMEM.
 */
int regions_split(struct regions *rs, gaddr_t addr);
/*
 * Merges neighbours around [start, end) that differ in nothing: contiguous
 * in guest and host, same prot, advice, mapping and stripe.
 */
void regions_merge(struct regions *rs, gaddr_t start, gaddr_t end);

static inline haddr_t region_to_host(const struct region *r, gaddr_t addr)
{
	return r->host + (addr - r->start);
}

static inline gaddr_t region_to_guest(const struct region *r, haddr_t host)
{
	return r->start + (host - r->host);
}

static inline haddr_t region_host_end(const struct region *r)
{
	return r->host + (r->end - r->start);
}

/* Slot of the page of addr in the region's own backing. */
static inline uint64_t region_slot(const struct region *r, gaddr_t addr)
{
	return SLOT_OF_REGION |
	       (r->first_page + bytes_to_pages(addr - r->start));
}

/* Where its own changed pages go: a file that it shares. NULL: to the swap. */
static inline struct backing *region_home(const struct region *r)
{
	return backing_is_home(r->backing) ? r->backing : NULL;
}

/* Does it share a file, be it one that it can never write to? */
static inline bool region_is_shared(const struct region *r)
{
	return region_home(r) || (r->backing && r->backing->read_only);
}

/* log2 of the stripe for a mapping of so many bytes over n handlers. */
unsigned region_stripe_shift(uint64_t bytes, unsigned handlers);
/* Which port a host address belongs to. Stable under splits. */
static inline unsigned region_stripe(const struct region *r, haddr_t host,
				     unsigned handlers)
{
	return (unsigned)((host >> r->stripe_shift) % handlers);
}

/* Verifies order, disjointness and that both arrays agree; ASSERTs. */
void regions_check(const struct regions *rs);

#endif
