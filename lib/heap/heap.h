/* SPDX-License-Identifier: MIT */
/*
 * heap/heap.h - what the files of the heap share. The theory is in heap/heap.c.
 */
#ifndef VVM_HEAP_INTERNAL_H
#define VVM_HEAP_INTERNAL_H

#include <vvm_heap.h>

#include "base.h"
#include "os/os.h"
#include "util/lock.h"

/* ---- size classes: heap/class.c ---- */

#define HEAP_CLASSES	72
#define HEAP_SMALL_MAX	((size_t)32 << 10)
#define HEAP_SPAN_PAGES 16  /* a span has at most so many */
#define HEAP_SPAN_COUNT 256 /* and so many objects */

struct heap_class_info {
	uint32_t bytes;	 /* of an object, a multiple of 16 */
	uint32_t magic;	 /* offset * magic >> 32 == offset / bytes */
	uint16_t pages;	 /* of a span */
	uint16_t count;	 /* objects in a span */
	uint16_t units;	 /* of 16 bytes: its struct span */
	uint16_t cached; /* the most a thread cache holds */
	uint32_t first;	 /* where they begin in heap_cache.object */
};

/* (i) Computed once for each heap; the same for all. */
struct heap_classes {
	struct heap_class_info info[HEAP_CLASSES];
	uint32_t cached; /* sum of info.cached */
};

void heap_classes_init(struct heap_classes *c);

/* The class for so many bytes, 0 to HEAP_SMALL_MAX. */
static inline unsigned heap_class_of(size_t bytes)
{
	unsigned top;

	if (bytes <= 256)
		return (unsigned)(bytes + 15 + !bytes) / 16 - 1;
	top = 63 - (unsigned)__builtin_clzll(bytes - 1);
	return top * 8 + (unsigned)((bytes - 1) >> (top - 3)) - 56;
}

/* ---- the table of pages ---- */

/*
 * One entry for each page of the reservation; page 0 is never used, so that
 * 0 is no page. The two low bits say what it is:
 *	NONE   no object starts here: inside a run, or never used
 *	SMALL  any page of a span: class << 2 | page of the span << 9 |
 *	       struct span << 32
 *	LARGE  first page of a large object: flags << 2 | pages of the run << 8;
 *	       the next entry is NONE | bytes << 2
 *	FREE   first and last page of a free run: dirty << 2 | last << 3 |
 *	       pages << 8; last is 0 in a run of one page
 */
enum heap_kind { HEAP_NONE, HEAP_SMALL, HEAP_LARGE, HEAP_FREE, HEAP_KINDS };

#define HEAP_KIND_MASK	 3u
#define HEAP_DIRTY	 4u /* of FREE */
#define HEAP_LAST	 8u /* of FREE */
#define HEAP_GAP_CLEAN	 4u /* of LARGE: the page behind was not written */
#define HEAP_GAP_GUARDED 8u /* of LARGE: it has no permissions */
#define HEAP_RUN_SHIFT	 8

typedef uint64_t heap_entry_t;
typedef uint32_t heap_page_t; /* index of a page in the reservation */

/* States of an object, a byte each. */
enum heap_state {
	HEAP_FRESH,	   /* free; all zero, was never used */
	HEAP_USED,	   /* free */
	HEAP_CACHED_FRESH, /* in a thread cache; all zero */
	HEAP_CACHED,
	HEAP_QUARANTINED,
	HEAP_LIVE
};

/* A run of pages for objects of one class. Linked by heap_span_t. */
typedef uint32_t heap_span_t; /* index in units of 16 bytes; 0: none */

struct span {
	heap_span_t prev, next; /* (c) of its list; (p) next of the free */
	heap_page_t page;	/* (i) the first */
	uint16_t free;		/* (c) objects FRESH or USED */
	uint16_t hint;		/* (c) none below is free */
	uint8_t class;		/* (i) */
	uint8_t list;		/* (c) index in heap_class.list, or NO_LIST */
	/* (c) while free; then of who has the object */
	_Atomic uint8_t state[];
};

/* Lists of spans with free objects, by how much of them is free. */
enum { HEAP_LISTS = 5, HEAP_LIST_EMPTY = 4, HEAP_NO_LIST = 255 };

struct heap_class {
	_Alignas(CACHE_LINE) struct lock lock; /* rank LOCK_HEAP_CLASS + i */
	heap_span_t list[HEAP_LISTS];	       /* (c) */
	_Atomic uint32_t spans;		       /* (c) writes */
	_Atomic uint64_t out; /* (c) writes: objects not free in a span */
	_Atomic uint64_t refills, flushes; /* (c) writes */
};

/* ---- free runs: heap/pages.c ---- */

#define HEAP_BINS      168
#define HEAP_BIN_WORDS 3

struct heap_link {
	heap_page_t prev, next;
};

struct heap_pages {
	struct lock lock;     /* rank LOCK_HEAP_PAGES */
	struct lock trim;     /* rank LOCK_HEAP_TRIM: who gives pages back */
	heap_page_t end;      /* (i) */
	_Atomic uint32_t top; /* (p) writes: pages from here are free, clean */
	heap_page_t bin[2][HEAP_BINS];	  /* (p) [1]: dirty */
	uint64_t full[2][HEAP_BIN_WORDS]; /* (p) bit: bin is not empty */
	heap_page_t high;		  /* (p) highest top since a trim */
	_Atomic uint32_t dirty;		  /* (p) writes: pages of dirty runs */
	_Atomic uint32_t used;		  /* (p) writes: pages taken */
	_Atomic uint32_t keep_most;	  /* (a) limit of dirty: see trim */
	_Atomic uint64_t large, large_bytes;	     /* (p) writes */
	_Atomic uint64_t discards, discarded;	     /* (a) calls, pages */
	heap_span_t spare[HEAP_SPAN_COUNT / 16 + 3]; /* (p) by units */
	_Atomic uint64_t meta_top; /* (p) writes: units given out */
	uint64_t meta_end;	   /* (i) */
};

/* ---- thread caches: heap/cache.c ---- */

#define HEAP_SLOTS 64 /* heaps that have them; slot HEAP_SLOTS: none */

struct cache_bin {
	_Atomic uint16_t count; /* (o) writes: objects in it */
	uint16_t limit;		/* (o) how many it may hold now */
};

/* (o) A thread that uses the cache, or holds locks. */
struct heap_inside {
	_Atomic uint8_t yes;
	uint64_t signals; /* mask before */
};

struct heap_cache {
	struct heap_cache *next; /* (k) of heap.caches or heap.retired */
	const void *owner;	 /* (k) its thread; NULL: retired */
	struct heap_inside inside;
	struct cache_bin bin[HEAP_CLASSES];
	void *object[]; /* (o) of a class from info.first on; the last is
			 * taken first */
};

/* What a thread has: a cache for each slot whose heap has that id. */
struct heap_thread {
	struct {
		uint64_t id;
		struct heap_cache *cache;
	} slot[HEAP_SLOTS + 1]; /* (o) the last is never used */
};

extern __thread struct heap_thread *heap_mine
	__attribute__((tls_model("initial-exec")));

/* ---- the heap ---- */

/*
 * Letters: (i) set when the heap is opened; (c) the lock of its class; (p)
 * pages.lock; (k) cache_lock; (a) atomic; (o) owner thread only. Lock order:
 * slot lock, trim lock, cache_lock, class locks, pages.lock. Only the first two
 * are held over a call of <vvm.h> or of the report function.
 */
struct vvm_heap {
	haddr_t base;		     /* (i) of page 0 */
	uint64_t bytes;		     /* (i) of the reservation */
	_Atomic heap_entry_t *page;  /* (i) the table; entries: see above */
	char *meta;		     /* (i) struct span at 16 * heap_span_t */
	uint64_t id;		     /* (i) of all heaps there ever were */
	unsigned slot;		     /* (i) of heap/cache.c */
	bool hardened;		     /* (i) */
	unsigned guard_bytes;	     /* (i) behind each small object: 0, 8 */
	struct heap_classes classes; /* (i) */
	struct heap_link *link;	     /* (p) of free runs, by first page */
	struct heap_pages pages;
	struct heap_class class[HEAP_CLASSES];
	struct lock cache_lock;	    /* rank LOCK_HEAP_CACHES */
	struct heap_cache *caches;  /* (k) */
	struct heap_cache *retired; /* (k) for reuse */
	uint64_t cache_bytes;	    /* (i) of one */
	struct vvm *vm;		    /* (i) */
	void (*report)(void *, int, const void *, const char *); /* (i) */
	void *report_arg;					 /* (i) */
	uint64_t page_bytes, link_bytes, meta_bytes; /* (i) mapped */
	struct heap_quarantine *quarantine; /* (i) hardened, else NULL */
	uint64_t secret;		    /* (i) hardened */
	_Atomic uint64_t random;	    /* (a) hardened */
	_Atomic uint32_t guards;	    /* (a) hardened: gaps guarded */
	_Atomic uint64_t moves, misuses;    /* (a) */
	uint64_t signals; /* mask before a fork, while all is locked for it */
};

static inline enum heap_kind heap_kind(heap_entry_t e)
{
	return (enum heap_kind)(e & HEAP_KIND_MASK);
}

static inline heap_entry_t heap_entry(const struct vvm_heap *h, heap_page_t i)
{
	return atomic_load_explicit(&h->page[i], memory_order_relaxed);
}

static inline void heap_set_entry(struct vvm_heap *h, heap_page_t i,
				  heap_entry_t e)
{
	atomic_store_explicit(&h->page[i], e, memory_order_relaxed);
}

static inline unsigned heap_small_class(heap_entry_t e)
{
	return (unsigned)(e >> 2) & 127;
}

static inline heap_page_t heap_run_pages(heap_entry_t e)
{
	return (heap_page_t)(e >> HEAP_RUN_SHIFT);
}

static inline struct span *heap_span(const struct vvm_heap *h, heap_span_t i)
{
	return (struct span *)(void *)(h->meta + (uint64_t)i * 16);
}

static inline char *heap_page_ptr(const struct vvm_heap *h, heap_page_t i)
{
	return (char *)(uintptr_t)(h->base + pages_to_bytes(i));
}

static inline unsigned heap_state(const _Atomic uint8_t *state)
{
	return atomic_load_explicit(state, memory_order_relaxed);
}

static inline void heap_set_state(_Atomic uint8_t *state, enum heap_state to)
{
	atomic_store_explicit(state, (uint8_t)to, memory_order_relaxed);
}

/* A small object, found by its address. */
struct heap_object {
	struct span *span;
	unsigned class, index;
};

static inline uint64_t heap_span_offset(const void *ptr, heap_entry_t e)
{
	return ((e >> 9 & 127) << PAGE_SHIFT) + ((uintptr_t)ptr & PAGE_MASK);
}

/* The number of the object at ptr in its span; e: the entry of its page. */
static inline unsigned heap_index(const struct vvm_heap *h, const void *ptr,
				  heap_entry_t e, unsigned class)
{
	return (unsigned)(heap_span_offset(ptr, e) *
				  h->classes.info[class].magic >>
			  32);
}

/*
 * Fills o for an address in a page whose entry is e, SMALL. False: it is not
 * the start of an object.
 */
static inline bool heap_find(const struct vvm_heap *h, const void *ptr,
			     heap_entry_t e, struct heap_object *o)
{
	const struct heap_class_info *info;

	o->class = heap_small_class(e);
	o->span = heap_span(h, (heap_span_t)(e >> 32));
	o->index = heap_index(h, ptr, e, o->class);
	info = &h->classes.info[o->class];
	return o->index * info->bytes == heap_span_offset(ptr, e) &&
	       o->index < info->count;
}

/* What the program may use of an object of the class. */
static inline size_t heap_small_usable(const struct vvm_heap *h, unsigned class)
{
	return h->classes.info[class].bytes - h->guard_bytes;
}

static inline heap_page_t heap_page_at(const struct vvm_heap *h,
				       const void *ptr)
{
	return (heap_page_t)(((uintptr_t)ptr - h->base) >> PAGE_SHIFT);
}

/* heap/pages.c */
void heap_pages_init(struct heap_pages *p, heap_page_t end, uint64_t units);
/*
 * Takes n pages, the first at a multiple of align pages of the address
 * space; fresh: they shall read as zeros, if there are such. *fresh: they do.
 * 0 when there is no room. => pages.lock held; entries are NONE.
 */
heap_page_t heap_pages_take(struct vvm_heap *h, heap_page_t n,
			    heap_page_t align, bool *fresh);
/* Frees n pages; dirty: they may hold something. => pages.lock held. */
void heap_pages_give(struct vvm_heap *h, heap_page_t first, heap_page_t n,
		     bool dirty);
/*
 * Lengthens a run that ends before `at` by n pages, all or none. => pages.lock
 * held.
 */
bool heap_pages_extend(struct vvm_heap *h, heap_page_t at, heap_page_t n);
/*
 * Gives all free pages back. => nothing locked; waits for I/O. 0 or the error
 * of vvm_advise().
 */
int heap_pages_trim_all(struct vvm_heap *h);
/*
 * The bytes are about to be used, what they hold is of no use: the whole
 * pages among them that are in swap only become zeros, so that they need not
 * be read. Nothing while the heap is less than half the budget. => nothing
 * locked.
 */
void heap_pages_void(struct vvm_heap *h, uint64_t addr, uint64_t bytes);
/* Reads the budget of the space, which limits what is kept dirty. */
void heap_pages_budget(struct vvm_heap *h);
/* Trims, when more is dirty than is good. => nothing locked. */
void heap_pages_settle(struct vvm_heap *h);

/* heap/span.c */
/* Takes up to n objects; returns how many; lowest address last. */
unsigned heap_span_take(struct vvm_heap *h, unsigned class, void **objects,
			unsigned n);
/* Gives back n CACHED objects of one class. Keeps errno. => nothing locked. */
void heap_span_give(struct vvm_heap *h, unsigned class, void **objects,
		    unsigned n);

/* heap/large.c */
void *heap_large_alloc(struct vvm_heap *h, size_t bytes, size_t align,
		       bool zero);
void heap_large_free(struct vvm_heap *h, void *ptr);
/* NULL: it must be moved. */
void *heap_large_resize(struct vvm_heap *h, void *ptr, size_t bytes);
size_t heap_large_usable(const struct vvm_heap *h, const void *ptr);
/* malloc, copy, free for an object that cannot stay where it is. */
void *heap_large_move(struct vvm_heap *h, void *ptr, size_t bytes);

/* heap/report.c */
/* Counts and reports; returns if the program wants to go on. */
void heap_report(struct vvm_heap *h, enum vvm_heap_misuse what,
		 const void *ptr);
/* The same for a pointer that is no live object: finds out what it is. */
void heap_report_pointer(struct vvm_heap *h, const void *ptr);

/* heap/cache.c */
/* As heap_cache.inside, for a thread that uses a heap without a cache. */
extern __thread struct heap_inside heap_bare
	__attribute__((tls_model("initial-exec")));

static inline struct heap_inside *heap_inside(struct heap_cache *c)
{
	return c ? &c->inside : &heap_bare;
}

static inline bool heap_is_inside(struct heap_cache *c)
{
	return unlikely(atomic_load_explicit(&heap_inside(c)->yes,
					     memory_order_relaxed));
}

/*
 * Around everything that uses the cache: a signal handler must not do that in
 * the middle of it. False: this is one that has. c may be NULL. What is read
 * before it may have changed: a handler may have come and gone.
 */
static inline bool heap_begin(struct heap_cache *c)
{
	if (heap_is_inside(c))
		return false;
	atomic_store_explicit(&heap_inside(c)->yes, 1, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	return true;
}

static inline void heap_end(struct heap_cache *c)
{
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&heap_inside(c)->yes, 0, memory_order_relaxed);
}

/*
 * The same around what takes locks. Handlers wait here: one that forks would
 * wait for locks of its own thread. That of an instruction (SIGSEGV, SIGTRAP)
 * cannot.
 */
static inline bool heap_enter(struct heap_cache *c)
{
	uint64_t signals;

	if (heap_is_inside(c))
		return false;
	signals = os_signals_block();
	heap_begin(c);
	heap_inside(c)->signals = signals; /* it may come and go until now */
	return true;
}

static inline void heap_leave(struct heap_cache *c)
{
	uint64_t signals = heap_inside(c)->signals;

	heap_end(c);
	os_signals_restore(signals);
}

/*
 * May this thread use the heap now? Not in a signal handler that has interrupted
 * it inside: that is reported, of ptr. What is true stays so until the caller
 * itself enters.
 */
bool heap_may_enter(struct vvm_heap *h, const void *ptr);

/* Makes the calling thread's cache; NULL: do without. */
struct heap_cache *heap_cache_make(struct vvm_heap *h);

/* The calling thread's cache, if it has one. */
static inline struct heap_cache *heap_cache_mine(const struct vvm_heap *h)
{
	struct heap_thread *t = heap_mine;

	if (likely(t && t->slot[h->slot].id == h->id))
		return t->slot[h->slot].cache;
	return NULL;
}

/* The same, made if need be; NULL: do without. */
static inline struct heap_cache *heap_cache_get(struct vvm_heap *h)
{
	struct heap_cache *c = heap_cache_mine(h);

	return likely(c != NULL) ? c : heap_cache_make(h);
}

/* A CACHED object of the class, or NULL: call heap_cache_take(). */
static inline void *heap_cache_pop(struct vvm_heap *h, struct heap_cache *c,
				   unsigned class)
{
	struct cache_bin *bin = &c->bin[class];
	unsigned count;
	void *ptr = NULL;

	if (unlikely(!heap_begin(c)))
		return NULL;
	count = atomic_load_explicit(&bin->count, memory_order_relaxed);
	if (likely(count)) {
		atomic_store_explicit(&bin->count, (uint16_t)(count - 1),
				      memory_order_relaxed);
		ptr = c->object[h->classes.info[class].first + count - 1];
	}
	heap_end(c);
	return ptr;
}

/* Puts a CACHED object back. False: call heap_cache_put(). */
static inline bool heap_cache_push(struct vvm_heap *h, struct heap_cache *c,
				   unsigned class, void *ptr)
{
	struct cache_bin *bin = &c->bin[class];
	unsigned count;
	bool room;

	if (unlikely(!heap_begin(c)))
		return false;
	count = atomic_load_explicit(&bin->count, memory_order_relaxed);
	room = count < bin->limit;
	if (likely(room)) {
		c->object[h->classes.info[class].first + count] = ptr;
		/* fork: see heap/cache.c */
		atomic_signal_fence(memory_order_seq_cst);
		atomic_store_explicit(&bin->count, (uint16_t)(count + 1),
				      memory_order_relaxed);
	}
	heap_end(c);
	return room;
}

/* The same whatever the cache is like, with or without one. NULL: none. */
void *heap_cache_take(struct vvm_heap *h, unsigned class);
/* False: in a signal handler that has interrupted the heap; reported. */
bool heap_cache_put(struct vvm_heap *h, unsigned class, void *ptr);

/* Gives back all of the calling thread's. */
void heap_cache_drain_mine(struct vvm_heap *h);
int heap_cache_open(struct vvm_heap *h);
void heap_cache_close(struct vvm_heap *h);
/* Around fork(): the lock that keeps threads from exiting. */
struct lock *heap_cache_slot_lock(const struct vvm_heap *h);
/* In the child: takes back what the threads had that are not here. */
void heap_cache_forked(struct vvm_heap *h);

/* heap/harden.c: of hardened heaps only, but for those that say "any" */
int heap_harden_open(struct vvm_heap *h);   /* 0, or -1: no memory */
void heap_harden_close(struct vvm_heap *h); /* any */
struct lock *heap_harden_lock(const struct vvm_heap *h); /* any: or NULL */
/* Writes the guard value of an object; checks it, and reports. */
void heap_harden_arm(struct vvm_heap *h, unsigned class, void *ptr);
void heap_harden_check(struct vvm_heap *h, unsigned class, void *ptr);
/* Takes an object that is QUARANTINED already. => nothing locked. */
void heap_harden_free(struct vvm_heap *h, unsigned class, void *ptr);
void heap_harden_drain(struct vvm_heap *h); /* any */
/* Adds how many objects of each class are in quarantine; any. */
void heap_harden_count(struct vvm_heap *h, uint64_t count[HEAP_CLASSES]);
unsigned heap_harden_random(struct vvm_heap *h, unsigned below);
void heap_harden_shuffle(struct vvm_heap *h, void **objects, unsigned n);

/* heap/check.c: NULL, or which invariant is broken. => nobody uses the heap */
const char *heap_check(const struct vvm_heap *h);

#endif
