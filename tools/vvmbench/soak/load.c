/* SPDX-License-Identifier: MIT */
/*
 * load.c - the load of `vvmbench soak`.
 *
 * Each thread owns a share of the pages, and writes no others; how often it
 * has incremented each of them it keeps in ordinary memory. So what a page must
 * hold is known exactly at any time, and neither a lost write nor an old copy
 * can pass. Other threads' pages it reads, and of these it verifies the stamps,
 * which never change (workload/stamp.h).
 *
 * Objects of the heap lie in a table of the thread's: a step frees the one in a
 * random place, grows it, or puts one there. Their first and last word is a
 * hash of place and size, verified when the object goes.
 *
 * Regions are mapped, stamped, made read-only, discarded in part and unmapped
 * in one step: nothing of them may stay behind. That is what a soak is for.
 */
#include "vvmbench/soak/load.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/tool.h"
#include "vvmbench/heap/objects.h"
#include "vvmbench/workload/progress.h"
#include "vvmbench/workload/space.h"
#include "vvmbench/workload/stamp.h"

/* Of 1024 steps so many are of a kind; the others read or write pages. */
enum { OBJECTS = 160, REGIONS = 3, PINS = 5, STEPS = 1024 };
/* A step in so many looks at the whole page, or at somebody else's. */
enum { WHOLE_EVERY = 64, OTHER_EVERY = 8 };
enum { PLACES_MIN = 16, PLACES_MAX = 1 << 16, REGION_PAGES = 32 };
/* Live objects are this part of the region's size. */
enum { HEAP_PART = 8 };

struct object {
	uint64_t *ptr; /* NULL: none */
	size_t bytes;
};

/* (i) set before the threads start, (o) owner thread, (a) atomic. */
struct share {
	struct load *load;			/* (i) */
	pthread_t thread;			/* (i) */
	uint64_t first, end;			/* (i) its pages */
	struct rng rng;				/* (o) */
	struct object *object;			/* (o) load->places of them */
	_Atomic uint64_t step[LOAD_STEP_COUNT]; /* (a) */
} __attribute__((aligned(64)));

struct load {
	const struct plan *plan;  /* (i) */
	struct vvm *vm;		  /* (i) */
	struct vvm_heap *heap;	  /* (i) */
	char *base;		  /* (i) */
	uint64_t pages;		  /* (i) */
	_Atomic uint32_t *counts; /* (a) increments of each page */
	unsigned places;	  /* (i) for objects, of each thread */
	unsigned threads;	  /* (i) */
	_Atomic bool stop;	  /* (a) */
	bool filled, started;	  /* (i) all pages are stamped; threads */
	struct share *shares;	  /* (i) */
};

static const char *const step_names[] = {
#define X(name, help) #name,
	LOAD_STEPS(X)
#undef X
};

const char *load_step_name(enum load_step step)
{
	return step_names[step];
}

/* At once, by any thread: nothing is to be tidied up over wrong data. */
_Noreturn static void wrong(const char *what, const void *where, uint64_t want,
			    uint64_t got)
{
	tool_warn("%s at %p: %016llx instead of %016llx", what, where,
		  (unsigned long long)got, (unsigned long long)want);
	fflush(NULL);
	_exit(TOOL_FAILED);
}

static void must(int error, const char *what)
{
	if (error == 0)
		return;
	tool_warn("%s: %s", what, vvm_strerror(error));
	fflush(NULL);
	_exit(TOOL_FAILED);
}

static uint64_t addr_of(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

/* ------------------------------------------------------------------ */
/* Pages								*/

static uint64_t *words_of(const struct load *l, uint64_t page)
{
	return (uint64_t *)(l->base + page * BENCH_PAGE);
}

static _Atomic uint64_t *counter_of(const struct load *l, uint64_t page)
{
	return (_Atomic uint64_t *)words_of(l, page) +
	       stamp_home(page) * STAMP_LINE_WORDS + 1;
}

static void check_stamp(const struct load *l, uint64_t page)
{
	const _Atomic uint64_t *word = counter_of(l, page) - 1;
	uint64_t want = stamp(l->plan->seed, page, stamp_home(page));
	uint64_t got = atomic_load_explicit(word, memory_order_relaxed);

	if (got != want)
		wrong("stamp of a page", (const void *)word, want, got);
}

static void check_page(const struct load *l, uint64_t page)
{
	unsigned line = stamp_verify(words_of(l, page), l->plan->seed, page);

	if (line < STAMP_LINES)
		wrong("line of a page",
		      words_of(l, page) + line * STAMP_LINE_WORDS,
		      stamp(l->plan->seed, page, line),
		      words_of(l, page)[line * STAMP_LINE_WORDS]);
}

/* => the page is the caller's. */
static void check_counter(const struct load *l, uint64_t page, uint64_t got)
{
	uint64_t want = stamp_counter(
		l->plan->seed, page,
		atomic_load_explicit(&l->counts[page], memory_order_relaxed));

	if (got != want)
		wrong("counter of a page", (const void *)counter_of(l, page),
		      want, got);
}

static void increment(struct load *l, uint64_t page)
{
	uint64_t got = atomic_fetch_add_explicit(counter_of(l, page), 1,
						 memory_order_relaxed);

	check_counter(l, page, got);
	atomic_fetch_add_explicit(&l->counts[page], 1, memory_order_release);
}

static uint64_t own_page(struct share *s)
{
	return s->first + rng_below(&s->rng, s->end - s->first);
}

static enum load_step step_page(struct share *s)
{
	struct load *l = s->load;
	uint64_t page = own_page(s), dice = rng_next(&s->rng);

	if (dice % OTHER_EVERY == 0) {
		check_stamp(l, rng_below(&s->rng, l->pages));
		return LOAD_reads;
	}
	check_stamp(l, page);
	if (dice / OTHER_EVERY % WHOLE_EVERY == 0)
		check_page(l, page);
	if (dice >> 32 & 1) {
		increment(l, page);
		return LOAD_writes;
	}
	check_counter(l, page,
		      atomic_load_explicit(counter_of(l, page),
					   memory_order_relaxed));
	return LOAD_reads;
}

static enum load_step step_pin(struct share *s)
{
	struct load *l = s->load;
	uint64_t page = own_page(s);
	int error = vvm_pin(l->vm, addr_of(words_of(l, page)), BENCH_PAGE);

	if (error == -EBUSY || error == -VVM_ENOFRAME)
		return LOAD_pins; /* others have pinned all that may be */
	must(error, "vvm_pin");
	increment(l, page);
	must(vvm_unpin(l->vm, addr_of(words_of(l, page)), BENCH_PAGE),
	     "vvm_unpin");
	return LOAD_pins;
}

/* ------------------------------------------------------------------ */
/* Objects								*/

static uint64_t object_stamp(const struct share *s, unsigned place,
			     size_t bytes)
{
	return rng_mix((uint64_t)(s - s->load->shares) << 32 ^
		       (uint64_t)place << 40 ^ bytes);
}

static uint64_t *last_word(const struct object *o)
{
	return o->ptr + o->bytes / sizeof(*o->ptr) - 1;
}

static void stamp_object(struct share *s, unsigned place)
{
	struct object *o = &s->object[place];

	o->ptr[0] = *last_word(o) = object_stamp(s, place, o->bytes);
}

static void check_object(struct share *s, unsigned place)
{
	struct object *o = &s->object[place];
	uint64_t want = object_stamp(s, place, o->bytes);

	if (o->ptr[0] != want)
		wrong("object", o->ptr, want, o->ptr[0]);
	if (*last_word(o) != want)
		wrong("end of an object", last_word(o), want, *last_word(o));
}

static size_t object_bytes(struct share *s)
{
	size_t bytes = heap_random_bytes(&s->rng);

	return (bytes < 8 ? 8 : bytes) & ~(size_t)7;
}

static enum load_step step_object(struct share *s)
{
	unsigned place = (unsigned)rng_below(&s->rng, s->load->places);
	struct object *o = &s->object[place];
	struct vvm_heap *heap = s->load->heap;
	size_t bytes = object_bytes(s);

	if (o->ptr)
		check_object(s, place);
	if (o->ptr && rng_next(&s->rng) % 8) {
		vvm_free(heap, o->ptr);
		o->ptr = NULL;
		return LOAD_objects;
	}
	o->ptr = o->ptr ? vvm_realloc(heap, o->ptr, bytes)
			: vvm_malloc(heap, bytes);
	if (!o->ptr)
		must(-ENOMEM, "vvm_malloc");
	o->bytes = bytes;
	stamp_object(s, place);
	return LOAD_objects;
}

static void free_objects(struct share *s)
{
	unsigned i;

	for (i = 0; i < s->load->places; i++) {
		if (!s->object[i].ptr)
			continue;
		check_object(s, i);
		vvm_free(s->load->heap, s->object[i].ptr);
	}
}

/* ------------------------------------------------------------------ */
/* Regions								*/

static void check_zero(const uint64_t *words)
{
	unsigned i;

	for (i = 0; i < BENCH_PAGE / sizeof(*words); i++)
		if (words[i])
			wrong("discarded page", words + i, 0, words[i]);
}

static enum load_step step_region(struct share *s)
{
	struct load *l = s->load;
	uint64_t pages = 1 + rng_below(&s->rng, REGION_PAGES), i;
	uint64_t gone = rng_below(&s->rng, pages), seed = rng_next(&s->rng);
	uint64_t addr = VVM_ANYWHERE;
	uint64_t *words;

	must(vvm_map(l->vm, &addr, pages * BENCH_PAGE, VVM_READ | VVM_WRITE,
		     "soak: short-lived"),
	     "vvm_map");
	words = vvm_ptr(l->vm, addr);
	for (i = 0; i < pages; i++)
		stamp_page(words + i * BENCH_PAGE / 8, seed, i, 0);
	must(vvm_advise(l->vm, addr + gone * BENCH_PAGE, BENCH_PAGE,
			VVM_ADV_DONTNEED),
	     "vvm_advise");
	must(vvm_protect(l->vm, addr, pages * BENCH_PAGE, VVM_READ),
	     "vvm_protect");
	for (i = 0; i < pages; i++) {
		const uint64_t *page = words + i * BENCH_PAGE / 8;

		if (i == gone)
			check_zero(page);
		else if (stamp_verify(page, seed, i) < STAMP_LINES)
			wrong("page of a region", page, 0, 0);
	}
	must(vvm_unmap(l->vm, addr, pages * BENCH_PAGE), "vvm_unmap");
	return LOAD_regions;
}

/* ------------------------------------------------------------------ */
/* Threads								*/

static enum load_step step(struct share *s)
{
	unsigned dice = (unsigned)rng_below(&s->rng, STEPS);

	if (dice < OBJECTS)
		return step_object(s);
	if (dice < OBJECTS + REGIONS)
		return step_region(s);
	if (dice < OBJECTS + REGIONS + PINS)
		return step_pin(s);
	return step_page(s);
}

static void *run(void *arg)
{
	struct share *s = arg;

	while (!atomic_load_explicit(&s->load->stop, memory_order_relaxed))
		atomic_fetch_add_explicit(&s->step[step(s)], 1,
					  memory_order_relaxed);
	free_objects(s);
	return NULL;
}

void load_start(struct load *l)
{
	unsigned i;

	for (i = 0; i < l->threads; i++)
		if (pthread_create(&l->shares[i].thread, NULL, run,
				   &l->shares[i]))
			tool_die(TOOL_FAILED, "cannot start thread %u", i);
	l->started = true;
}

uint64_t load_steps(const struct load *l, uint64_t by_kind[LOAD_STEP_COUNT])
{
	uint64_t sum = 0, n;
	unsigned i, k;

	for (k = 0; k < LOAD_STEP_COUNT; k++) {
		for (n = 0, i = 0; i < l->threads; i++)
			n += atomic_load_explicit(&l->shares[i].step[k],
						  memory_order_relaxed);
		if (by_kind)
			by_kind[k] = n;
		sum += n;
	}
	return sum;
}

void load_heap_stats(struct load *l, struct vvm_heap_stats *stats)
{
	must(vvm_heap_stats(l->heap, stats), "vvm_heap_stats");
}

/* At the fork an increment may have been between page and count. */
bool load_looks_right(const struct load *l, uint64_t seed)
{
	struct rng rng = {.state = seed};
	unsigned i;

	for (i = 0; i < 64; i++) {
		uint64_t page = rng_below(&rng, l->pages);
		uint64_t least = stamp_counter(l->plan->seed, page,
					       atomic_load(&l->counts[page]));
		uint64_t got = atomic_load(counter_of(l, page));

		check_page(l, page);
		if (got != least && got != least + 1)
			return false;
	}
	return true;
}

/* ------------------------------------------------------------------ */
/* Construction								*/

static void *need(size_t count, size_t bytes)
{
	void *p = calloc(count, bytes);

	if (!p)
		tool_die(TOOL_FAILED, "out of memory");
	return p;
}

static void fill(struct load *l)
{
	struct progress p;
	uint64_t page;

	progress_start(&p, NULL, "stamping all pages");
	for (page = 0; page < l->pages && !bench_interrupted(); page++) {
		stamp_page(words_of(l, page), l->plan->seed, page, 0);
		progress_draw(&p, page, l->pages);
	}
	l->filled = page == l->pages;
	progress_end(&p);
}

static void init_share(struct load *l, unsigned i)
{
	struct share *s = &l->shares[i];

	s->load = l;
	s->first = l->pages * i / l->threads;
	s->end = l->pages * (i + 1) / l->threads;
	s->rng.state = rng_mix(l->plan->seed + i + 1);
	s->object = need(l->places, sizeof(*s->object));
}

/* Half of the places have an object. */
static unsigned places_for(const struct plan *plan)
{
	double bytes =
		(double)plan->size_bytes / HEAP_PART / (double)plan->threads;
	double places = 2 * bytes / heap_mean_bytes();

	if (places < PLACES_MIN)
		return PLACES_MIN;
	return places > PLACES_MAX ? PLACES_MAX : (unsigned)places;
}

struct load *load_open(const struct plan *plan, struct vvm *vm)
{
	struct load *l = need(1, sizeof(*l));
	unsigned i;

	l->plan = plan;
	l->vm = vm;
	l->pages = plan_pages(plan);
	l->threads = (unsigned)plan->threads;
	l->places = places_for(plan);
	l->base = bench_space_map(vm, plan->size_bytes, "vvmbench soak");
	must(vvm_heap_open(vm, NULL, &l->heap), "vvm_heap_open");
	l->counts = need(l->pages, sizeof(*l->counts));
	l->shares = aligned_alloc(64, l->threads * sizeof(*l->shares));
	if (!l->shares)
		tool_die(TOOL_FAILED, "out of memory");
	memset(l->shares, 0, l->threads * sizeof(*l->shares));
	for (i = 0; i < l->threads; i++)
		init_share(l, i);
	fill(l);
	return l;
}

static void sweep(struct load *l)
{
	uint64_t page;

	for (page = 0; page < l->pages; page++) {
		check_page(l, page);
		check_counter(l, page, atomic_load(counter_of(l, page)));
	}
}

/* Joins the threads, if they were started. */
static void stop(struct load *l)
{
	unsigned i;

	atomic_store(&l->stop, true);
	for (i = 0; i < l->threads && l->started; i++)
		pthread_join(l->shares[i].thread, NULL);
}

void load_close(struct load *l)
{
	struct vvm_heap_stats heap;
	unsigned i;

	stop(l);
	if (l->filled)
		sweep(l);
	load_heap_stats(l, &heap);
	if (heap.live_objects)
		wrong("objects left in the heap", l->heap, 0,
		      heap.live_objects);
	must(vvm_heap_close(l->heap), "vvm_heap_close");
	must(vvm_unmap(l->vm, addr_of(l->base), l->plan->size_bytes),
	     "vvm_unmap");
	for (i = 0; i < l->threads; i++)
		free(l->shares[i].object);
	free(l->shares);
	free(l->counts);
	free(l);
}
