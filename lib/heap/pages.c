/* SPDX-License-Identifier: MIT */
/*
 * heap/pages.c - runs of free pages, and when they go back to the space.
 *
 * A free run is *clean* when its pages read as zeros and have neither frame
 * nor slot, else *dirty*. Runs of one kind that touch are one run; a clean
 * and a dirty one stay apart. The pages from `top` on were never taken, or
 * came back: a clean run that reaches top becomes part of it.
 *
 * Runs are found by length: bins of one length up to 64 pages, above that four
 * bins for each doubling. The first and the last page of a run have entries
 * in the table that name its length, so a freed run finds both neighbours;
 * the links of a bin are in a table of their own. None of it is in the pages.
 *
 * Invariants, while the lock is free:
 *   (1) The entries of a free run but its first and last are NONE.
 *   (2) No two runs of one kind touch, and no clean run ends at top.
 *   (3) dirty is the number of pages in dirty runs.
 *
 * When to give back. Each call of vvm_advise() costs 5 us and, when other
 * threads run, a TLB shootdown of 20 us more, however many pages it is for;
 * a page that is taken again afterwards costs a fault. So dirty runs are kept
 * and taken first, and only when they are more than a share of the heap the
 * longest are given back, until half of that is left or it has taken long
 * enough for one free(). Runs on their way are in no bin and have no entries:
 * to others they are in use.
 *
 * What is kept may be swapped out meanwhile, and to use such a page again would
 * read back what nobody wants. So a caller that takes pages with nothing alive
 * in them first voids those that are in swap: heap_pages_void(). An eighth of
 * all reads under pressure were of that kind (MEASURED.md, "Heap").
 */
#include "heap/heap.h"

#include "bits.h"

#define EXACT_BINS  64
#define BIN_TRIES   16	/* runs looked at in a bin that holds several lengths */
#define VOID_PAGES  64	/* looked at in one call */
#define AHEAD_PAGES 512 /* more than the space fills ahead at a time */
/* At most 2 ms for a free() that is unlucky; it freed fewer pages itself. */
#define SETTLE_CALLS 64

/*
 * Dirty pages that are kept: an eighth of the pages in use, at least 1 MiB,
 * but no more than 1/16 of the budget: what is kept is paged like the rest.
 */
#define USED_SHIFT   3
#define BUDGET_SHIFT 4
#define KEEP_PAGES   256

void heap_pages_init(struct heap_pages *p, heap_page_t end, uint64_t units)
{
	lock_init(&p->lock, LOCK_HEAP_PAGES);
	lock_init(&p->trim, LOCK_HEAP_TRIM);
	p->end = end;
	atomic_init(&p->top, 1);
	p->meta_top = 1;
	p->meta_end = units;
}

/* ---- bins ---- */

/* The bin that holds runs of n pages. */
static unsigned bin_of(heap_page_t n)
{
	unsigned top;

	if (n <= EXACT_BINS)
		return n - 1;
	top = 31 - (unsigned)__builtin_clz(n);
	return EXACT_BINS + (top - 6) * 4 + ((n >> (top - 2)) & 3);
}

static void bin_add(struct vvm_heap *h, heap_page_t first, heap_page_t n,
		    bool dirty)
{
	struct heap_pages *p = &h->pages;
	unsigned bin = bin_of(n);
	heap_page_t head = p->bin[dirty][bin];

	h->link[first] = (struct heap_link){0, head};
	if (head)
		h->link[head].prev = first;
	p->bin[dirty][bin] = first;
	bit_set(p->full[dirty], bin);
}

static void bin_remove(struct vvm_heap *h, heap_page_t first, heap_page_t n,
		       bool dirty)
{
	struct heap_pages *p = &h->pages;
	struct heap_link link = h->link[first];
	unsigned bin = bin_of(n);

	if (link.next)
		h->link[link.next].prev = link.prev;
	if (link.prev) {
		h->link[link.prev].next = link.next;
		return;
	}
	p->bin[dirty][bin] = link.next;
	if (!link.next)
		bit_clear(p->full[dirty], bin);
}

/* The first bin from `from` on that has runs, or HEAP_BINS. */
static unsigned bin_next(const struct heap_pages *p, unsigned from, bool dirty)
{
	unsigned word = from / BITS_PER_WORD;
	uint64_t bits;

	if (from >= HEAP_BINS)
		return HEAP_BINS;
	bits = p->full[dirty][word] & (~(uint64_t)0 << from % BITS_PER_WORD);
	while (!bits) {
		if (++word == HEAP_BIN_WORDS)
			return HEAP_BINS;
		bits = p->full[dirty][word];
	}
	return word * BITS_PER_WORD + (unsigned)__builtin_ctzll(bits);
}

/* ---- runs ---- */

static void count_dirty(struct heap_pages *p, heap_page_t n, bool more)
{
	uint32_t dirty = atomic_load_explicit(&p->dirty, memory_order_relaxed);

	atomic_store_explicit(&p->dirty, more ? dirty + n : dirty - n,
			      memory_order_relaxed);
}

/* Makes the run free. It must not touch one of its kind. */
static void run_insert(struct vvm_heap *h, heap_page_t first, heap_page_t n,
		       bool dirty)
{
	heap_entry_t e = HEAP_FREE | (dirty ? HEAP_DIRTY : 0) |
			 (heap_entry_t)n << HEAP_RUN_SHIFT;

	heap_set_entry(h, first, e);
	if (n > 1)
		heap_set_entry(h, first + n - 1, e | HEAP_LAST);
	bin_add(h, first, n, dirty);
	if (dirty)
		count_dirty(&h->pages, n, true);
}

static void run_remove(struct vvm_heap *h, heap_page_t first, heap_page_t n,
		       bool dirty)
{
	bin_remove(h, first, n, dirty);
	heap_set_entry(h, first, HEAP_NONE);
	heap_set_entry(h, first + n - 1, HEAP_NONE);
	if (dirty)
		count_dirty(&h->pages, n, false);
}

/* Is page i an end of a free run of this kind? Then its length, else 0. */
static heap_page_t run_at(const struct vvm_heap *h, heap_page_t i, bool dirty)
{
	heap_entry_t e = heap_entry(h, i);

	if (heap_kind(e) != HEAP_FREE || !!(e & HEAP_DIRTY) != dirty)
		return 0;
	return heap_run_pages(e);
}

static void set_top(struct heap_pages *p, heap_page_t top)
{
	p->high = MAX(p->high, top);
	atomic_store_explicit(&p->top, top, memory_order_relaxed);
}

/* Makes the run free, together with its neighbours. */
static void run_free(struct vvm_heap *h, heap_page_t first, heap_page_t n,
		     bool dirty)
{
	heap_page_t before = run_at(h, first - 1, dirty), after = 0;

	if (before) {
		first -= before;
		run_remove(h, first, before, dirty);
		n += before;
	}
	if (first + n < h->pages.top)
		after = run_at(h, first + n, dirty);
	if (after) {
		run_remove(h, first + n, after, dirty);
		n += after;
	}
	if (!dirty && first + n == h->pages.top)
		set_top(&h->pages, first);
	else
		run_insert(h, first, n, dirty);
}

/* ---- taking ---- */

/* How far `first` is from a page that is aligned. */
static heap_page_t misfit(const struct vvm_heap *h, heap_page_t first,
			  heap_page_t align)
{
	return (heap_page_t)(-((h->base >> PAGE_SHIFT) + first) & (align - 1));
}

static bool run_fits(const struct vvm_heap *h, heap_page_t first,
		     heap_page_t have, heap_page_t n, heap_page_t align)
{
	uint64_t need = (uint64_t)misfit(h, first, align) + n;

	return need <= have;
}

/* A run of this kind that holds n aligned pages; its length in *have. */
static heap_page_t run_find(const struct vvm_heap *h, heap_page_t n,
			    heap_page_t align, bool dirty, heap_page_t *have)
{
	unsigned bin = bin_of(n), tries;
	heap_page_t i;

	for (bin = bin_next(&h->pages, bin, dirty); bin < HEAP_BINS;
	     bin = bin_next(&h->pages, bin + 1, dirty)) {
		i = h->pages.bin[dirty][bin];
		for (tries = 0; i && tries < BIN_TRIES; tries++) {
			*have = heap_run_pages(heap_entry(h, i));
			if (run_fits(h, i, *have, n, align))
				return i;
			i = h->link[i].next;
		}
	}
	return 0;
}

static heap_page_t take_run(struct vvm_heap *h, heap_page_t n,
			    heap_page_t align, bool dirty)
{
	heap_page_t have, skip, first = run_find(h, n, align, dirty, &have);

	if (!first)
		return 0;
	run_remove(h, first, have, dirty);
	skip = misfit(h, first, align);
	if (skip)
		run_insert(h, first, skip, dirty);
	if (have > skip + n)
		run_insert(h, first + skip + n, have - skip - n, dirty);
	return first + skip;
}

static heap_page_t take_top(struct vvm_heap *h, heap_page_t n,
			    heap_page_t align)
{
	struct heap_pages *p = &h->pages;
	heap_page_t top = p->top, skip = misfit(h, top, align);

	if ((uint64_t)top + skip + n > p->end)
		return 0;
	set_top(p, top + skip + n);
	if (skip)
		run_free(h, top, skip, false);
	return top + skip;
}

static heap_page_t take_clean(struct vvm_heap *h, heap_page_t n,
			      heap_page_t align)
{
	heap_page_t first = take_run(h, n, align, false);

	return first ? first : take_top(h, n, align);
}

static void count_used(struct heap_pages *p, heap_page_t n, bool more)
{
	uint32_t used = atomic_load_explicit(&p->used, memory_order_relaxed);

	atomic_store_explicit(&p->used, more ? used + n : used - n,
			      memory_order_relaxed);
}

heap_page_t heap_pages_take(struct vvm_heap *h, heap_page_t n,
			    heap_page_t align, bool *fresh)
{
	heap_page_t first;
	bool dirty = !*fresh;

	DEBUG_ASSERT(lock_held(&h->pages.lock));
	first = dirty ? take_run(h, n, align, true) : take_clean(h, n, align);
	if (!first) {
		dirty = !dirty;
		first = dirty ? take_run(h, n, align, true)
			      : take_clean(h, n, align);
	}
	*fresh = !dirty;
	if (first)
		count_used(&h->pages, n, true);
	return first;
}

void heap_pages_give(struct vvm_heap *h, heap_page_t first, heap_page_t n,
		     bool dirty)
{
	DEBUG_ASSERT(lock_held(&h->pages.lock));
	count_used(&h->pages, n, false);
	run_free(h, first, n, dirty);
}

/* How many pages are free from `at` on, in one run or behind top. */
static heap_page_t free_at(const struct vvm_heap *h, heap_page_t at)
{
	heap_entry_t e;

	if (at == h->pages.top)
		return h->pages.end - at;
	e = heap_entry(h, at);
	return heap_kind(e) == HEAP_FREE ? heap_run_pages(e) : 0;
}

/* Is there room for n pages? Neighbours may be of two kinds, then top. */
static bool room_at(const struct vvm_heap *h, heap_page_t at, heap_page_t n)
{
	heap_page_t have;

	while (n > 0) {
		have = free_at(h, at);
		if (!have)
			return false;
		at += have;
		n -= MIN(n, have);
	}
	return true;
}

/* Takes the first n pages of what free_at() has found. */
static void take_at(struct vvm_heap *h, heap_page_t at, heap_page_t n)
{
	heap_page_t have;
	bool dirty;

	if (at == h->pages.top) {
		set_top(&h->pages, at + n);
		return;
	}
	have = heap_run_pages(heap_entry(h, at));
	dirty = heap_entry(h, at) & HEAP_DIRTY;
	run_remove(h, at, have, dirty);
	if (have > n)
		run_insert(h, at + n, have - n, dirty);
}

bool heap_pages_extend(struct vvm_heap *h, heap_page_t at, heap_page_t n)
{
	heap_page_t have;

	DEBUG_ASSERT(lock_held(&h->pages.lock));
	if (!room_at(h, at, n))
		return false;
	count_used(&h->pages, n, true);
	for (; n > 0; n -= have, at += have) {
		have = MIN(n, free_at(h, at));
		take_at(h, at, have);
	}
	return true;
}

/* ---- giving back ---- */

/* Takes the longest dirty run out of the bins: nobody else can find it then. */
static heap_page_t longest_dirty(struct vvm_heap *h, heap_page_t *n)
{
	struct heap_pages *p = &h->pages;
	unsigned word = HEAP_BIN_WORDS, bin;
	heap_page_t first;

	while (word-- > 0)
		if (p->full[true][word])
			break;
	if (word >= HEAP_BIN_WORDS)
		return 0;
	bin = word * BITS_PER_WORD + 63 -
	      (unsigned)__builtin_clzll(p->full[true][word]);
	first = p->bin[true][bin];
	*n = heap_run_pages(heap_entry(h, first));
	run_remove(h, first, *n, true);
	return first;
}

/* The lock is free while the space works. */
static int discard_run(struct vvm_heap *h, heap_page_t first, heap_page_t n)
{
	struct heap_pages *p = &h->pages;
	int rc;

	lock_drop(&p->lock);
	rc = vvm_advise(h->vm, h->base + pages_to_bytes(first),
			pages_to_bytes(n), VVM_ADV_DONTNEED);
	if (rc == 0) {
		atomic_fetch_add_explicit(&p->discards, 1,
					  memory_order_relaxed);
		atomic_fetch_add_explicit(&p->discarded, n,
					  memory_order_relaxed);
	}
	lock_take(&p->lock);
	run_free(h, first, n, rc < 0);
	return rc;
}

/* In at most so many calls. => trim lock held. */
static int trim(struct vvm_heap *h, heap_page_t keep, uint64_t calls)
{
	struct heap_pages *p = &h->pages;
	heap_page_t first, n;
	int rc = 0;

	lock_take(&p->lock);
	while (rc == 0 && p->dirty > keep && calls-- > 0) {
		first = longest_dirty(h, &n);
		if (!first)
			break;
		rc = discard_run(h, first, n);
	}
	lock_drop(&p->lock);
	return rc;
}

/*
 * The space fills zeros ahead of a stream over fresh pages, and so behind top:
 * pages that nobody has asked for. => trim lock held.
 */
static int discard_ahead(struct vvm_heap *h)
{
	struct heap_pages *p = &h->pages;
	heap_page_t first, end;
	int rc = 0;

	lock_take(&p->lock);
	first = p->top;
	end = (heap_page_t)MIN((uint64_t)p->high + AHEAD_PAGES, p->end);
	if (end > first) {
		set_top(p, end); /* ours for the moment */
		rc = discard_run(h, first, end - first);
		p->high = p->top;
	}
	lock_drop(&p->lock);
	return rc;
}

int heap_pages_trim_all(struct vvm_heap *h)
{
	int rc, ahead;

	lock_take(&h->pages.trim);
	rc = trim(h, 0, UINT64_MAX);
	ahead = discard_ahead(h);
	lock_drop(&h->pages.trim);
	return rc < 0 ? rc : ahead;
}

/* The stretch of pages from i on that are in swap only; 0: i is not. */
static unsigned swapped_stretch(const unsigned char *flags, unsigned i,
				unsigned n)
{
	unsigned start = i;

	while (i < n && (flags[i] & VVM_PAGE_SWAPPED) &&
	       !(flags[i] & VVM_PAGE_RESIDENT))
		i++;
	return i - start;
}

static void void_some(struct vvm_heap *h, uint64_t addr, unsigned n)
{
	unsigned char flags[VOID_PAGES];
	unsigned i, stretch;

	if (vvm_residency(h->vm, addr, pages_to_bytes(n), flags) < 0)
		return;
	for (i = 0; i < n; i += stretch + 1) {
		stretch = swapped_stretch(flags, i, n);
		if (stretch)
			vvm_advise(h->vm, addr + pages_to_bytes(i),
				   pages_to_bytes(stretch), VVM_ADV_DONTNEED);
	}
}

void heap_pages_void(struct vvm_heap *h, uint64_t addr, uint64_t bytes)
{
	struct heap_pages *p = &h->pages;
	uint64_t end = page_floor(addr + bytes);
	unsigned n;

	if (atomic_load_explicit(&p->used, memory_order_relaxed) <=
	    atomic_load_explicit(&p->keep_most, memory_order_relaxed) * 8)
		return;
	for (addr = page_ceil(addr); addr < end; addr += pages_to_bytes(n)) {
		n = (unsigned)MIN(VOID_PAGES, (end - addr) >> PAGE_SHIFT);
		void_some(h, addr, n);
	}
}

void heap_pages_budget(struct vvm_heap *h)
{
	struct vvm_stats stats;
	uint64_t most = KEEP_PAGES;

	if (vvm_stats(h->vm, &stats, sizeof(stats)) == 0)
		most = stats.budget_pages >> BUDGET_SHIFT;
	atomic_store_explicit(&h->pages.keep_most,
			      (uint32_t)MIN(most, UINT32_MAX),
			      memory_order_relaxed);
}

void heap_pages_settle(struct vvm_heap *h)
{
	struct heap_pages *p = &h->pages;
	uint32_t used = atomic_load_explicit(&p->used, memory_order_relaxed);
	uint32_t keep = MAX(used >> USED_SHIFT, KEEP_PAGES);

	keep = MIN(keep,
		   atomic_load_explicit(&p->keep_most, memory_order_relaxed));
	if (likely(atomic_load_explicit(&p->dirty, memory_order_relaxed) <=
		   keep))
		return;
	if (!lock_try(&p->trim))
		return;	      /* one thread at a time pays for it */
	heap_pages_budget(h); /* it may have been changed: vvm_resize() */
	trim(h, keep / 2, SETTLE_CALLS);
	lock_drop(&p->trim);
}
