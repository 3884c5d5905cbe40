/* SPDX-License-Identifier: MIT */
/*
 * unit/heap.c - the heap from inside: size classes, runs of pages, spans,
 * thread caches, fork, and what happens when the kernel refuses. The heap's
 * invariants (heap_check) are verified after each step.
 */
#include "support/child.h"
#include "support/expect.h"
#include "heap/heap.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"
#include "support/live.h"
#include "support/process.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

static struct vvm_heap *heap;

/* Done once, in the middle of a call that maps memory. */
static void (*_Atomic while_mapping)(void);

int __real_os_map_anon(uint64_t bytes, void **out);
int __wrap_os_map_anon(uint64_t bytes, void **out);

int __wrap_os_map_anon(uint64_t bytes, void **out)
{
	void (*fn)(void) = atomic_exchange(&while_mapping, NULL);

	if (fn)
		fn();
	return __real_os_map_anon(bytes, out);
}

uint64_t __wrap_os_commit_bytes(void);
static uint64_t commit_bytes = UINT64_MAX;

uint64_t __wrap_os_commit_bytes(void)
{
	return commit_bytes;
}

static void misuse(void *arg, int what, const void *ptr, const char *text)
{
	(void)arg;
	live_fail("misuse %d at %p: %s", what, ptr, text);
}

static void open_heap(uint64_t reserve_bytes)
{
	struct vvm_heap_options o = {.struct_size = sizeof o,
				     .reserve_bytes = reserve_bytes,
				     .report = misuse};

	live_ok(vvm_heap_open(vm, &o, &heap));
}

static void setup(void)
{
	live_begin(256);
	open_heap(4 << 20); /* 1024 pages */
}

static void teardown(void)
{
	os_inject_clear();
	live_ok(vvm_heap_close(heap));
	live_ok(vvm_close(vm));
}

static void sound(void)
{
	const char *bad = heap_check(heap);

	if (bad)
		live_fail("%s", bad);
}

static struct vvm_heap_stats stats(void)
{
	struct vvm_heap_stats st;

	live_ok(vvm_heap_stats(heap, &st));
	return st;
}

/* ---- classes ---- */

START_TEST(every_size_has_the_smallest_class_that_holds_it)
{
	struct heap_classes c;
	size_t n;

	heap_classes_init(&c);
	for (n = 0; n <= HEAP_SMALL_MAX; n++) {
		unsigned class = heap_class_of(n);

		live_check(class < HEAP_CLASSES);
		live_check(c.info[class].bytes >= n);
		live_check(class == 0 || c.info[class - 1].bytes < n);
	}
	live_equal(c.info[HEAP_CLASSES - 1].bytes, HEAP_SMALL_MAX);
}
END_TEST

START_TEST(spans_waste_little)
{
	struct heap_classes c;

	heap_classes_init(&c);
	for (unsigned i = 0; i < HEAP_CLASSES; i++) {
		const struct heap_class_info *info = &c.info[i];
		uint64_t bytes = info->pages * PAGE_BYTES;

		live_equal(info->bytes % 16, 0);
		live_check(info->pages <= HEAP_SPAN_PAGES);
		live_check(info->count <= HEAP_SPAN_COUNT);
		live_check((uint64_t)info->count * info->bytes <= bytes);
		live_check((bytes - info->count * info->bytes) * 8 <= bytes);
		live_check(info->cached >= 2);
	}
}
END_TEST

START_TEST(index_by_multiplication_is_exact)
{
	struct heap_classes c;

	heap_classes_init(&c);
	for (unsigned i = 0; i < HEAP_CLASSES; i++) {
		const struct heap_class_info *info = &c.info[i];

		for (uint64_t off = 0; off < info->pages * PAGE_BYTES; off++)
			live_check((off * info->magic >> 32) ==
				   off / info->bytes);
	}
}
END_TEST

/* ---- runs of pages ---- */

static heap_page_t take(heap_page_t n, heap_page_t align, bool want_fresh,
			bool *fresh)
{
	heap_page_t first;

	*fresh = want_fresh;
	lock_take(&heap->pages.lock);
	first = heap_pages_take(heap, n, align, fresh);
	lock_drop(&heap->pages.lock);
	return first;
}

static void give(heap_page_t first, heap_page_t n, bool dirty)
{
	lock_take(&heap->pages.lock);
	heap_pages_give(heap, first, n, dirty);
	lock_drop(&heap->pages.lock);
}

START_TEST(runs_come_from_the_top_and_go_back_to_it)
{
	bool fresh;
	heap_page_t a = take(10, 1, false, &fresh), b;

	live_equal(a, 1);
	live_check(fresh);
	b = take(20, 1, true, &fresh);
	live_equal(b, 11);
	live_check(fresh);
	give(a, 10, false);
	live_equal(heap->pages.top, 31);
	give(b, 20, false); /* meets the other: both are part of top */
	live_equal(heap->pages.top, 1);
	live_equal(heap->pages.used, 0);
	sound();
}
END_TEST

START_TEST(dirty_runs_are_taken_first_unless_fresh_is_wanted)
{
	bool fresh;
	heap_page_t a = take(10, 1, false, &fresh), b;

	take(1, 1, false, &fresh);
	give(a, 10, true);
	live_equal(heap->pages.dirty, 10);
	b = take(4, 1, true, &fresh);
	live_check(fresh && b > a);
	b = take(4, 1, false, &fresh);
	live_check(!fresh && b == a);
	live_equal(heap->pages.dirty, 6);
}
END_TEST

START_TEST(clean_and_dirty_runs_do_not_merge)
{
	bool fresh;
	heap_page_t a = take(30, 1, false, &fresh);

	take(1, 1, false, &fresh); /* keeps it from the top */
	give(a, 10, true);
	give(a + 20, 10, false);
	give(a + 10, 10, true);
	live_equal(heap->pages.dirty, 20);
	live_equal(heap_run_pages(heap_entry(heap, a)), 20);
	live_equal(heap_run_pages(heap_entry(heap, a + 20)), 10);
	live_equal(take(25, 1, false, &fresh), a + 31);
	live_ok(heap_pages_trim_all(heap));
	live_equal(heap_run_pages(heap_entry(heap, a)), 30);
	live_equal(take(30, 1, false, &fresh), a);
	live_check(fresh);
}
END_TEST

START_TEST(runs_are_aligned_in_the_address_space)
{
	bool fresh;
	heap_page_t first;

	take(3, 1, false, &fresh);
	for (heap_page_t align = 1; align <= 256; align *= 2) {
		first = take(5, align, false, &fresh);
		live_check(first != 0);
		live_equal(((heap->base >> PAGE_SHIFT) + first) % align, 0);
	}
}
END_TEST

START_TEST(a_full_reserve_is_no_error)
{
	bool fresh;
	heap_page_t first, n = 0;

	live_equal(take(1024, 1, false, &fresh), 0);
	while ((first = take(7, 1, n % 2, &fresh)))
		give(first, 7, n++ % 3 == 0), take(7, 1, false, &fresh);
	live_check(n >= 1024 / 7 - 1);
	live_equal(take(7, 1, true, &fresh), 0);
}
END_TEST

START_TEST(runs_are_lengthened_over_neighbours)
{
	bool fresh, ok;
	heap_page_t a = take(10, 1, false, &fresh);

	take(20, 1, false, &fresh);
	give(a + 10, 5, true);
	give(a + 15, 5, false);
	lock_take(&heap->pages.lock);
	ok = heap_pages_extend(heap, a + 10, 11);
	live_check(!ok); /* page a + 20 is taken */
	live_equal(heap->pages.dirty, 5);
	ok = heap_pages_extend(heap, a + 10, 8);
	live_check(ok);
	live_equal(heap->pages.dirty, 0);
	ok = heap_pages_extend(heap, a + 30, 2000);
	live_check(!ok);
	ok = heap_pages_extend(heap, a + 30, 900);
	live_check(ok);
	lock_drop(&heap->pages.lock);
	live_equal(heap->pages.top, a + 930);
}
END_TEST

/* Random takes and gives, against a map of who has each page. */
START_TEST(random_runs)
{
	static uint8_t owner[1025];
	struct {
		heap_page_t first, n;
	} run[40] = {{0, 0}};
	uint64_t random = 5;
	bool fresh;

	memset(owner, 0, sizeof owner);
	for (int i = 0; i < 20000; i++) {
		unsigned k = (unsigned)live_below(&random, 40), n;

		if (run[k].n) {
			memset(owner + run[k].first, 0, run[k].n);
			give(run[k].first, run[k].n, live_below(&random, 2));
			run[k].n = 0;
			continue;
		}
		n = 1 + (unsigned)live_below(&random, 90);
		run[k].first = take(n, 1u << live_below(&random, 5),
				    live_below(&random, 2), &fresh);
		if (!run[k].first)
			continue;
		run[k].n = n;
		for (unsigned p = 0; p < n; p++) {
			live_check(run[k].first + p < 1024);
			live_check(!owner[run[k].first + p]);
			owner[run[k].first + p] = 1;
		}
	}
	for (int k = 0; k < 40; k++)
		if (run[k].n)
			give(run[k].first, run[k].n, false);
	live_ok(heap_pages_trim_all(heap));
	sound();
	live_equal(heap->pages.top, 1);
}
END_TEST

/* ---- spans ---- */

START_TEST(objects_of_one_time_are_on_one_page)
{
	char *first = vvm_malloc(heap, 64), *p, *before = first;

	for (int i = 1; i < 64; i++, before = p) {
		p = vvm_malloc(heap, 64);
		live_check(p == before + 64);
	}
	live_equal((uintptr_t)first % PAGE_BYTES, 0);
	sound();
}
END_TEST

START_TEST(full_pages_are_filled_first)
{
	void *object[64 * 4], *p;
	unsigned class = heap_class_of(64), n;

	live_equal(heap_span_take(heap, class, object, 256), 256);
	/* batches are written from their end: the last is the lowest */
	heap_span_give(heap, class, object + 0, 40);   /* page 4: 24 left */
	heap_span_give(heap, class, object + 64, 4);   /* page 3: 60 */
	heap_span_give(heap, class, object + 128, 20); /* page 2: 44 */
	sound();
	for (n = 0; n < 4 + 20; n++) {
		live_equal(heap_span_take(heap, class, &p, 1), 1);
		live_equal(heap_page_at(heap, p), n < 4 ? 3 : 2);
	}
	live_equal(heap_span_take(heap, class, &p, 1), 1);
	live_equal(heap_page_at(heap, p), 4);
}
END_TEST

START_TEST(malloc_and_free_of_one_object_move_no_pages)
{
	uint64_t refills, top;
	void *p = vvm_malloc(heap, 3000);

	vvm_free(heap, p);
	refills = stats().refills;
	top = stats().top_bytes;
	for (int i = 0; i < 1000; i++) {
		p = vvm_malloc(heap, 3000);
		vvm_free(heap, p);
	}
	live_equal(stats().refills, refills);
	live_equal(stats().top_bytes, top);
	for (int i = 0; i < 1000; i++) { /* without a cache */
		void *object;

		heap_span_take(heap, 0, &object, 1);
		heap_span_give(heap, 0, &object, 1);
	}
	live_equal(stats().discards, 0);
	sound();
}
END_TEST

/* The promise: bookkeeping never waits for the disk. */
START_TEST(free_touches_no_page)
{
	enum { OBJECTS = 6000, BYTES = 600 };
	static char *p[OBJECTS];
	int64_t faults;

	for (int i = 0; i < OBJECTS; i++)
		memset(p[i] = vvm_malloc(heap, BYTES), i | 1, BYTES);
	live_check(live_stats(vm).swapout_pages > 0);
	faults = live_stats(vm).faults;
	for (int i = 0; i < OBJECTS; i++)
		vvm_free(heap, p[(i * 7919) % OBJECTS]);
	for (int i = 0; i < OBJECTS; i++)
		live_check(vvm_malloc(heap, BYTES) != NULL);
	/* the last one may have been counted after it was resolved */
	live_check(live_stats(vm).faults <= faults + 1);
	sound();
}
END_TEST

/* A free() never gives back more than a few runs, however many there are. */
START_TEST(one_free_does_not_pay_for_all)
{
	enum { OBJECTS = 900, BYTES = 4096 };
	static char *p[OBJECTS];
	uint64_t before;

	for (int i = 0; i < OBJECTS; i++)
		memset(p[i] = vvm_malloc(heap, BYTES), i | 1, BYTES);
	for (int i = 0; i < OBJECTS; i++) {
		before = stats().discards;
		vvm_free(heap, p[(i * 7919) % OBJECTS]);
		live_check(stats().discards <= before + 64);
	}
	live_check(stats().discards > 64);
	live_check(stats().dirty_bytes <= 64 * PAGE_BYTES);
	sound();
}
END_TEST

/* Pages in swap that hold nothing alive are not read to be overwritten. */
START_TEST(dead_pages_are_not_read_back)
{
	enum { OBJECTS = 400, BYTES = 8192 };
	static char *p[OBJECTS];
	int64_t reads;

	for (int i = 0; i < OBJECTS; i++)
		memset(p[i] = vvm_malloc(heap, BYTES), i | 1, BYTES);
	for (int i = 0; i < OBJECTS; i += 2) /* no span becomes empty */
		vvm_free(heap, p[i]);
	heap_cache_drain_mine(heap);
	reads = live_stats(vm).faults_swapin;
	for (int i = 0; i < OBJECTS; i += 2)
		memset(p[i] = vvm_malloc(heap, BYTES), i | 1, BYTES);
	/* those that were counted late, and the last written of the first */
	live_check(live_stats(vm).faults_swapin <= reads + 4);
	for (int i = 0; i < OBJECTS; i++)
		for (int at = 0; at < BYTES; at += 512)
			live_check(p[i][at] == (char)(i | 1));
	sound();
}
END_TEST

/* ---- thread caches ---- */

static void *allocate_and_exit(void *arg)
{
	void **out = arg;

	for (int i = 0; i < 100; i++)
		vvm_free(heap, vvm_malloc(heap, (size_t)i * 20));
	*out = vvm_malloc(heap, 500);
	return NULL;
}

START_TEST(a_thread_that_exits_returns_its_cache)
{
	pthread_t thread;
	void *p;

	for (int i = 0; i < 50; i++) {
		pthread_create(&thread, NULL, allocate_and_exit, &p);
		pthread_join(thread, NULL);
		live_equal(stats().caches, 0);
		live_equal(stats().cached_bytes, 0);
		live_equal(stats().live_objects, 1);
		sound();
		vvm_free(heap, p);
		heap_cache_drain_mine(heap);
		live_check(heap_mine != NULL);
		for (struct heap_cache *c = heap->caches; c; c = c->next)
			live_check(c->owner == heap_mine);
		/* forget that this thread had one, for the counts above */
		lock_take(&heap->cache_lock);
		heap->caches = NULL;
		heap_mine->slot[heap->slot].id = 0;
		lock_drop(&heap->cache_lock);
	}
}
END_TEST

static pthread_key_t late_key;

static void late_destructor(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20; i++)
		vvm_free(heap, vvm_malloc(heap, 100));
}

static void *use_late(void *arg)
{
	vvm_free(heap, vvm_malloc(heap, 100));
	pthread_setspecific(late_key, arg);
	return NULL;
}

/* Another key's destructor may run after ours, and use the heap. */
START_TEST(destructors_may_use_the_heap)
{
	pthread_t thread;

	vvm_free(heap, vvm_malloc(heap, 100)); /* our key is the first */
	live_equal(pthread_key_create(&late_key, late_destructor), 0);
	for (int i = 0; i < 20; i++) {
		pthread_create(&thread, NULL, use_late, &late_key);
		pthread_join(thread, NULL);
	}
	live_equal(stats().caches, 1); /* of this thread */
	live_equal(stats().live_objects, 0);
	sound();
	pthread_key_delete(late_key);
}
END_TEST

struct outliving {
	pthread_barrier_t barrier;
	void *object;
};

static void *outlive(void *arg)
{
	struct outliving *o = arg;

	o->object = vvm_malloc(heap, 100);
	pthread_barrier_wait(&o->barrier);
	pthread_barrier_wait(&o->barrier); /* the heap is another now */
	vvm_free(heap, o->object);
	vvm_free(heap, vvm_malloc(heap, 100));
	return NULL;
}

START_TEST(a_thread_outlives_a_heap)
{
	struct outliving o;
	pthread_t thread;
	unsigned slot = heap->slot;

	pthread_barrier_init(&o.barrier, NULL, 2);
	pthread_create(&thread, NULL, outlive, &o);
	pthread_barrier_wait(&o.barrier);
	live_ok(vvm_heap_close(heap));
	open_heap(4 << 20);
	live_equal(heap->slot, slot);
	o.object = vvm_malloc(heap, 100);
	pthread_barrier_wait(&o.barrier);
	pthread_join(thread, NULL);
	live_equal(stats().live_objects, 0);
	sound();
}
END_TEST

/* ---- signal handlers ---- */

static struct vvm_heap *other;
static atomic_int refused;

static void count_refused(void *arg, int what, const void *ptr,
			  const char *text)
{
	(void)arg, (void)ptr, (void)text;
	live_equal(what, VVM_HEAP_REENTERED);
	atomic_fetch_add(&refused, 1);
}

#if defined(__x86_64__)
/*
 * Instruction by instruction: the processor's trap flag has a handler run after
 * each of them, which does something after the n-th, once.
 */
static volatile long trap_at, trap_steps;
static void (*volatile trap_do)(void);

static void on_trap(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;

	(void)sig, (void)si;
	if (trap_steps++ < trap_at)
		return;
	uc->uc_mcontext.gregs[REG_EFL] &= ~0x100ll;
	trap_do();
}

static void trap_on(void)
{
	__asm__ volatile("sub $128, %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\t"
			 "popfq\n\tadd $128, %%rsp" ::
				 : "memory", "cc");
}

static void trap_begin(long at, void (*what)(void))
{
	struct sigaction sa = {.sa_flags = SA_SIGINFO};

	sa.sa_sigaction = on_trap;
	sigaction(SIGTRAP, &sa, NULL);
	trap_at = at;
	trap_steps = 0;
	trap_do = what;
	trap_on();
}

/* True: the n-th instruction came before this. */
static bool trap_end(void)
{
	__asm__ volatile(
		"sub $128, %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\t"
		"popfq\n\tadd $128, %%rsp" ::
			: "memory", "cc");
	return trap_steps > trap_at;
}

#define STEPS_MOST 3000
#define STEP_SIZE  64

static void *volatile handlers_own;

static void allocate(void)
{
	handlers_own = vvm_malloc(other, STEP_SIZE);
}

/* The objects that the next calls give, until they are in use again. */
static void expect_distinct(void *mine)
{
	void *p[40] = {mine, handlers_own};
	unsigned i, k;

	for (i = 2; i < LIVE_LEN(p); i++)
		p[i] = vvm_malloc(other, STEP_SIZE);
	for (i = 0; i < LIVE_LEN(p); i++)
		for (k = 0; k < i; k++)
			live_check(p[i] != p[k] || !p[i]);
	for (i = 0; i < LIVE_LEN(p); i++)
		vvm_free(other, p[i]);
}

static void *volatile spare;

static void free_spare(void)
{
	vvm_free(other, spare);
}

static void open_refusing(unsigned flags)
{
	struct vvm_heap_options o = {.struct_size = sizeof o,
				     .reserve_bytes = 1 << 20,
				     .flags = flags,
				     .report = count_refused};

	live_ok(vvm_heap_open(vm, &o, &other));
}

/* 0: malloc, 1: malloc with an empty cache, 2: free */
static bool step_once(int what, long at)
{
	void *mine = what < 2 ? NULL : vvm_malloc(other, STEP_SIZE);
	bool met;

	handlers_own = NULL;
	refused = 0;
	if (what == 0)
		vvm_free(other, vvm_malloc(other, STEP_SIZE));
	if (what == 1)
		live_ok(vvm_heap_trim(other));
	trap_begin(at, allocate);
	if (what < 2)
		mine = vvm_malloc(other, STEP_SIZE);
	else
		vvm_free(other, mine);
	met = trap_end();
	live_check(!met || handlers_own || refused == 1);
	live_check(what >= 2 || mine);
	live_check(!handlers_own || handlers_own != mine || what >= 2);
	expect_distinct(what < 2 ? mine : NULL);
	live_check(!heap_check(other));
	return met;
}

START_TEST(a_signal_handler_at_any_instruction)
{
	long at;

	open_refusing(0);
	for (at = 0; step_once(_i, at) && at < STEPS_MOST; at += 1 + at / 40)
		;
	live_check(at > 20);
	live_ok(vvm_heap_close(other));
}
END_TEST

static int ignore(void *arg, void *ptr, size_t bytes)
{
	(void)arg, (void)ptr, (void)bytes;
	return 0;
}

/*
 * The other calls that take locks, the handler's malloc() or free() meets none
 * of them: 0: trim, 1: stats, 2: walk, 3: free, hardened.
 */
static bool step_other_once(int what, long at)
{
	struct vvm_heap_stats st;
	void *mine = vvm_malloc(other, STEP_SIZE);
	bool met;

	handlers_own = NULL;
	refused = 0;
	spare = vvm_malloc(other, STEP_SIZE);
	vvm_free(other, vvm_malloc(other, STEP_SIZE));
	vvm_free(other, vvm_malloc(other, 50000));
	trap_begin(at, what == 3 ? free_spare : allocate);
	if (what == 0)
		live_ok(vvm_heap_trim(other));
	else if (what == 1)
		live_ok(vvm_heap_stats(other, &st));
	else if (what == 2)
		live_ok(vvm_heap_walk(other, ignore, NULL));
	else
		vvm_free(other, mine);
	met = trap_end();
	live_check(!met || what == 3 || handlers_own || refused == 1);
	if (what < 3)
		vvm_free(other, mine);
	if (what < 3 || !met || refused)
		vvm_free(other, spare);
	if (handlers_own)
		vvm_free(other, handlers_own);
	live_check(!heap_check(other));
	return met;
}

START_TEST(a_signal_handler_at_any_instruction_of_other_calls)
{
	long at;

	open_refusing(_i == 3 ? VVM_HEAP_HARDENED : 0);
	for (at = 0; step_other_once(_i, at) && at < STEPS_MOST;
	     at += 2 + at / 20)
		;
	live_check(at > 20);
	live_ok(vvm_heap_close(other));
}
END_TEST

static pthread_key_t after_the_cache;

/* The C library blocks signals next, and a blocked SIGTRAP kills. */
static void end_stepping(void *arg)
{
	(void)arg;
	trap_end();
}

static void *exit_stepping(void *arg)
{
	unsigned i;

	for (i = 0; i < 10; i++)
		vvm_free(other, vvm_malloc(other, STEP_SIZE << i));
	live_ok(pthread_setspecific(after_the_cache, arg));
	trap_begin(*(long *)arg, allocate);
	return NULL;
}

/* A thread's end gives its cache back, under locks. */
START_TEST(a_signal_handler_at_any_instruction_of_a_threads_end)
{
	pthread_t thread;
	long at;

	open_refusing(0);
	/* of keys the destructors are called in the order they were made in */
	live_ok(pthread_key_create(&after_the_cache, end_stepping));
	for (at = 0; at < 2 * STEPS_MOST; at += 7 + at / 20) {
		handlers_own = NULL;
		refused = 0;
		live_equal(pthread_create(&thread, NULL, exit_stepping, &at),
			   0);
		pthread_join(thread, NULL);
		live_check(trap_steps <= trap_at || handlers_own || refused);
		if (handlers_own)
			vvm_free(other, handlers_own);
		live_check(!heap_check(other));
	}
	live_ok(vvm_heap_close(other));
}
END_TEST

static volatile long with_lock, open_to_signals;

static bool any_lock_held(void)
{
	unsigned i;

	for (i = 0; i < HEAP_CLASSES; i++)
		if (atomic_load(&other->class[i].lock.word))
			return true;
	return atomic_load(&other->pages.lock.word) ||
	       atomic_load(&other->pages.trim.word) ||
	       atomic_load(&other->cache_lock.word) ||
	       (other->hardened && atomic_load(&heap_harden_lock(other)->word));
}

static void look_at_mask(int sig, siginfo_t *si, void *context)
{
	const ucontext_t *uc = context;

	(void)sig, (void)si;
	if (!any_lock_held())
		return;
	with_lock++;
	open_to_signals += !sigismember(&uc->uc_sigmask, SIGALRM);
}

static void small_objects(void)
{
	static void *p[200];

	for (unsigned i = 0; i < LIVE_LEN(p); i++)
		p[i] = vvm_malloc(other, STEP_SIZE);
	for (unsigned i = 0; i < LIVE_LEN(p); i++)
		vvm_free(other, p[i]);
}

static void large_objects(void)
{
	void *p = vvm_malloc(other, 50000);

	p = vvm_realloc(other, p, 90000);
	vvm_free(other, vvm_aligned_alloc(other, 1 << 16, 70000));
	vvm_free(other, vvm_realloc(other, p, 20000));
}

static void looks(void)
{
	struct vvm_heap_stats st;

	live_ok(vvm_heap_stats(other, &st));
	live_ok(vvm_heap_walk(other, ignore, NULL));
	live_ok(vvm_heap_trim(other));
}

/* One that forks would wait for ever for what its own thread has. */
START_TEST(signal_handlers_wait_while_locks_are_held)
{
	static void (*const work[])(void) = {small_objects, large_objects,
					     looks};
	struct sigaction sa = {.sa_flags = SA_SIGINFO};
	sigset_t mask;

	open_refusing(_i % 2 ? VVM_HEAP_HARDENED : 0);
	vvm_free(other, vvm_malloc(other, STEP_SIZE));
	sa.sa_sigaction = look_at_mask;
	sigaction(SIGTRAP, &sa, NULL);
	with_lock = open_to_signals = 0;
	trap_at = LONG_MAX;
	trap_on();
	work[_i / 2]();
	trap_end();
	live_check(with_lock > 0);
	live_equal(open_to_signals, 0);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	live_check(!sigismember(&mask, SIGALRM));
	live_ok(vvm_heap_close(other));
}
END_TEST

/* ---- fork while a thread gives objects back ---- */

static atomic_int parked, forked;
static unsigned park_class;
static volatile bool gave; /* it has had the lock of the class */

static bool locks_held(void)
{
	return atomic_load(&other->class[park_class].lock.word) ||
	       atomic_load(&other->pages.lock.word) ||
	       atomic_load(&other->pages.trim.word);
}

/* After so many instructions since it has given them back. */
static void on_step(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;

	(void)sig, (void)si;
	if (locks_held()) {
		gave = true;
		return;
	}
	if (!gave || trap_steps++ < trap_at)
		return;
	uc->uc_mcontext.gregs[REG_EFL] &= ~0x100ll;
	atomic_store(&parked, 1);
	while (!atomic_load(&forked))
		live_nap_us(200);
}

static void *giver[400];

/* Frees until its full cache gives half of it back, and is stopped there. */
static void *give_back(void *arg)
{
	unsigned i;

	(void)arg;
	for (i = 0; i < LIVE_LEN(giver); i++)
		giver[i] = vvm_malloc(other, STEP_SIZE);
	for (i = 0; i < LIVE_LEN(giver); i++) {
		if (i == 200) {
			gave = false;
			trap_on();
		}
		vvm_free(other, giver[i]);
	}
	trap_end();
	return NULL;
}

static void *taken[700];

/*
 * This thread takes all that has been given back, and frees it in that order:
 * the last of it is in its cache then. Returns how much it was.
 */
static unsigned take_over(void)
{
	unsigned i, k, moved = 0;

	for (i = 0; i < LIVE_LEN(taken); i++)
		taken[i] = vvm_malloc(other, STEP_SIZE);
	for (i = 0; i < LIVE_LEN(giver); i++)
		for (k = 0; k < LIVE_LEN(taken); k++)
			if (giver[i] == taken[k]) {
				vvm_free(other, taken[k]);
				taken[k] = NULL;
				moved++;
			}
	return moved;
}

static int compare_pointers(const void *a, const void *b)
{
	uintptr_t p = *(const uintptr_t *)a, q = *(const uintptr_t *)b;

	return (p > q) - (p < q);
}

static int allocate_more(void *arg)
{
	static void *p[3000];
	unsigned i;

	(void)arg;
	vvm_heap_fork_child(other);
	memcpy(p, taken, sizeof(taken));
	for (i = LIVE_LEN(taken); i < LIVE_LEN(p); i++)
		p[i] = vvm_malloc(other, STEP_SIZE);
	qsort(p, LIVE_LEN(p), sizeof(p[0]), compare_pointers);
	for (i = 1; i < LIVE_LEN(p); i++)
		child_check(p[i] != p[i - 1] || !p[i]);
	return 0;
}

START_TEST(a_fork_while_a_cache_gives_objects_back)
{
	struct sigaction sa = {.sa_flags = SA_SIGINFO};
	pthread_t thread;
	pid_t pid;

	open_refusing(0);
	park_class = heap_class_of(STEP_SIZE);
	sa.sa_sigaction = on_step;
	trap_at = _i * 3;
	trap_steps = 0;
	sigaction(SIGTRAP, &sa, NULL);
	live_equal(pthread_create(&thread, NULL, give_back, NULL), 0);
	live_wait(atomic_load(&parked), 20000);
	live_check(take_over() > 0);
	vvm_heap_fork_prepare(other);
	pid = live_fork(allocate_more, NULL);
	vvm_heap_fork_parent(other);
	atomic_store(&forked, 1);
	pthread_join(thread, NULL);
	live_ended_ok(pid);
	live_ok(vvm_heap_close(other));
}
END_TEST
#endif

/* A thread without a cache, or that is just getting one. */
static void *refused_without_a_cache(void *arg)
{
	void *ptr;

	(void)arg;
	live_check(heap_enter(NULL));
	live_check(!vvm_malloc(other, 10) && refused == 1);
	live_check(!vvm_malloc(other, 50000) && refused == 2);
	live_check(!heap_cache_mine(other));
	heap_leave(NULL);
	ptr = vvm_malloc(other, 10);
	live_check(ptr && refused == 2);
	vvm_free(other, ptr);
	return NULL;
}

START_TEST(a_signal_handler_is_refused_without_a_cache)
{
	struct vvm_heap_options o = {.struct_size = sizeof o,
				     .reserve_bytes = 1 << 20,
				     .report = count_refused};
	pthread_t thread;

	live_ok(vvm_heap_open(vm, &o, &other));
	live_equal(pthread_create(&thread, NULL, refused_without_a_cache, NULL),
		   0);
	pthread_join(thread, NULL);
	live_check(!heap_check(other));
	live_ok(vvm_heap_close(other));
}
END_TEST

/* As if this were a handler that has interrupted malloc(). */
START_TEST(a_signal_handler_is_refused)
{
	struct vvm_heap_options o = {.struct_size = sizeof o,
				     .reserve_bytes = 1 << 20,
				     .report = count_refused};
	void *small, *large;

	live_ok(vvm_heap_open(vm, &o, &other));
	small = vvm_malloc(other, 10);
	large = vvm_malloc(other, 50000);
	live_check(heap_enter(heap_cache_get(other)));
	live_check(!vvm_malloc(other, 10) && refused == 1);
	live_check(!vvm_malloc(other, 50000) && refused == 2);
	vvm_free(other, small);
	live_equal(refused, 3);
	vvm_free(other, large);
	live_equal(refused, 4);
	live_check(!vvm_realloc(other, large, 90000) && refused >= 5);
	live_check(vvm_malloc(heap, 10) != NULL); /* this one is idle */
	heap_leave(heap_cache_get(other));
	refused = 0;
	live_check(vvm_malloc(other, 10) != NULL);
	vvm_free(other, small); /* nothing had happened to them */
	vvm_free(other, large);
	live_equal(refused, 0);
	live_check(!heap_check(other));
	live_ok(vvm_heap_close(other));
}
END_TEST

static volatile sig_atomic_t handled;

static void count_signal(int sig)
{
	(void)sig;
	handled++;
}

/* One that calls malloc() would meet the locks that are taken for the fork. */
START_TEST(signal_handlers_wait_for_the_end_of_a_fork)
{
	struct sigaction sa = {.sa_handler = count_signal};

	sigaction(SIGUSR1, &sa, NULL);
	handled = 0;
	vvm_heap_fork_prepare(heap);
	raise(SIGUSR1);
	live_equal(handled, 0);
	vvm_heap_fork_parent(heap);
	live_equal(handled, 1);
}
END_TEST

/* Signals that come while malloc() runs, and wait for it: no deadlock. */
static void allocate_in_handler(int sig)
{
	int before = refused, error = errno;
	void *p;

	(void)sig;
	p = vvm_malloc(other, 40);
	live_check(p || refused > before);
	if (p)
		vvm_free(other, p);
	errno = error;
}

START_TEST(signals_while_it_allocates)
{
	struct vvm_heap_options o = {.struct_size = sizeof o,
				     .reserve_bytes = 8 << 20,
				     .report = count_refused};
	struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
	uint64_t random = 3, end = live_now_ms() + 150;
	void *p[64] = {NULL};

	live_ok(vvm_heap_open(vm, &o, &other));
	signal(SIGALRM, allocate_in_handler);
	setitimer(ITIMER_REAL, &often, NULL);
	while (live_now_ms() < end) {
		uint64_t i = live_below(&random, 64);

		vvm_free(other, p[i]);
		p[i] = vvm_malloc(other, live_below(&random, 60000));
	}
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_IGN);
	for (int i = 0; i < 64; i++)
		vvm_free(other, p[i]);
	live_check(!heap_check(other));
	live_ok(vvm_heap_close(other));
}
END_TEST

/* ---- fork ---- */

static atomic_bool busy_stop;

static void *keep_busy(void *arg)
{
	uint64_t random = (uintptr_t)arg;
	void *p[64] = {NULL};

	while (!atomic_load(&busy_stop)) {
		uint64_t i = live_below(&random, 64);

		vvm_free(heap, p[i]);
		p[i] = vvm_malloc(heap, live_below(&random, 5000));
	}
	for (int i = 0; i < 64; i++)
		vvm_free(heap, p[i]);
	return NULL;
}

/* The child may use the bookkeeping, though not the memory. */
static int use_in_child(void)
{
	void *p[200];

	vvm_heap_fork_child(heap);
	if (heap_check(heap))
		return 1;
	for (struct heap_cache *c = heap->caches; c; c = c->next)
		if (c->owner != heap_mine)
			return 2;
	for (int i = 0; i < 200; i++)
		if (!(p[i] = vvm_malloc(heap, (size_t)i * 50)))
			return 3;
	for (int i = 0; i < 200; i++)
		vvm_free(heap, p[i]);
	return heap_check(heap) ? 4 : 0;
}

START_TEST(fork_while_threads_allocate)
{
	pthread_t thread[3];
	int status;
	pid_t pid;

	vvm_free(heap, vvm_malloc(heap, 100));
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, keep_busy, (void *)i);
	for (int i = 0; i < 30; i++) {
		vvm_heap_fork_prepare(heap);
		pid = fork();
		if (pid == 0)
			_exit(use_in_child());
		vvm_heap_fork_parent(heap);
		live_check(pid > 0 && waitpid(pid, &status, 0) == pid);
		live_equal(status, 0);
	}
	atomic_store(&busy_stop, true);
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	live_equal(stats().live_objects, 0);
	sound();
}
END_TEST

static atomic_bool sits;

/* A thread that is in the middle of a call. */
static void *sit_in_the_heap(void *arg)
{
	(void)arg;
	live_check(heap_enter(heap_cache_get(heap)));
	atomic_store(&sits, true);
	while (!atomic_load(&busy_stop))
		live_nap_us(1000);
	heap_leave(heap_cache_get(heap));
	return NULL;
}

static void *allocate_one(void *arg)
{
	*(void **)arg = vvm_malloc(heap, 100);
	return NULL;
}

static int use_by_another_thread(void)
{
	pthread_t thread;
	void *p = NULL;

	vvm_heap_fork_child(heap);
	if (pthread_create(&thread, NULL, allocate_one, &p) ||
	    pthread_join(thread, NULL))
		return 1;
	return p ? 0 : 2;
}

/* Its cache is another thread's in the child, which is in no call. */
START_TEST(fork_while_a_thread_is_in_a_call)
{
	pthread_t thread;
	int status;
	pid_t pid;

	vvm_free(heap, vvm_malloc(heap, 100));
	pthread_create(&thread, NULL, sit_in_the_heap, NULL);
	while (!atomic_load(&sits))
		live_nap_us(1000);
	vvm_heap_fork_prepare(heap);
	pid = fork();
	if (pid == 0)
		_exit(use_by_another_thread());
	vvm_heap_fork_parent(heap);
	live_check(pid > 0 && waitpid(pid, &status, 0) == pid);
	live_equal(status, 0);
	atomic_store(&busy_stop, true);
	pthread_join(thread, NULL);
}
END_TEST

/* ---- when the kernel refuses ---- */

static int try_open(struct vvm_heap **h)
{
	struct vvm_heap_options o = {.struct_size = sizeof o,
				     .reserve_bytes = 1 << 20,
				     .flags = VVM_HEAP_HARDENED};

	return vvm_heap_open(vm, &o, h);
}

START_TEST(open_fails_at_each_system_call)
{
	static const enum os_point points[] = {OS_map, OS_reserve, OS_advise};
	int maps = live_count_maps(), rc;
	struct vvm_heap *h;

	for (size_t i = 0; i < LIVE_LEN(points); i++) {
		for (uint64_t n = 1; n < 20; n++) {
			os_inject(points[i], n, false, ENOMEM);
			rc = try_open(&h);
			os_inject(points[i], 1, false, 0);
			if (rc == 0) {
				live_ok(vvm_heap_close(h));
				if (os_inject_uses(points[i]) < n)
					break;
				continue;
			}
			live_equal(rc, -ENOMEM);
			live_check(LIVE_SANITIZED ||
				   live_count_maps() <= maps + 2);
		}
		os_inject_clear();
	}
	live_check(LIVE_SANITIZED || live_count_maps() <= maps + 2);
}
END_TEST

static uint64_t default_reserve(uint64_t commit)
{
	uint64_t bytes;

	commit_bytes = commit;
	live_ok(vvm_heap_close(heap));
	open_heap(0);
	bytes = stats().reserve_bytes;
	commit_bytes = UINT64_MAX;
	return bytes;
}

/* vm.overcommit_memory=2: the tables, 8%, are to fit several times. */
START_TEST(strict_accounting_makes_it_smaller)
{
	uint64_t most = default_reserve(UINT64_MAX);

	live_check(most >= (uint64_t)64 << 30);
	live_equal(default_reserve((uint64_t)1 << 30), (uint64_t)2 << 30);
	live_equal(default_reserve(0), 1 << 20);
	live_equal(default_reserve(UINT64_MAX), most);
}
END_TEST

/* Without memory for a cache it works without one. */
START_TEST(no_memory_for_a_cache)
{
	void *p;

	live_ok(vvm_heap_close(heap));
	open_heap(4 << 20);
	os_inject(OS_map, 1, true, ENOMEM);
	p = vvm_malloc(heap, 100);
	live_check(p != NULL);
	live_equal(stats().caches, 0);
	vvm_free(heap, p);
	os_inject_clear();
	p = vvm_malloc(heap, 100);
	live_equal(stats().caches, 1);
	vvm_free(heap, p);
	sound();
}
END_TEST

START_TEST(pages_that_cannot_be_given_back_are_kept)
{
	void *p = vvm_malloc(heap, 40000); /* less than is given back at once */

	memset(p, 1, 40000);
	vvm_free(heap, p);
	os_inject(OS_punch, 1, true, EIO);
	live_expect(vvm_heap_trim(heap), -ENOMEM);
	live_check(stats().dirty_bytes > 0);
	sound();
	os_inject_clear();
	live_ok(vvm_heap_trim(heap));
	live_equal(stats().dirty_bytes, 0);
	sound();
}
END_TEST

#define LARGE ((size_t)700 << 10) /* more than calloc() clears by itself */

static bool zeros(const char *p, size_t bytes)
{
	return !p[0] && !memcmp(p, p + 1, bytes - 1);
}

/* A heap of 1 MiB whose only room for LARGE is a run that was written. */
static struct vvm_heap *small_heap(unsigned flags)
{
	struct vvm_heap_options o = {.struct_size = sizeof o,
				     .reserve_bytes = 1 << 20,
				     .flags = flags,
				     .report = misuse};
	struct vvm_heap *h;
	char *p;

	live_ok(vvm_heap_open(vm, &o, &h));
	p = vvm_malloc(h, LARGE);
	live_check(p != NULL);
	memset(p, 7, LARGE);
	while (vvm_malloc(h, LARGE)) /* there is no other place */
		;
	os_inject(OS_advise, 1, true, ENOMEM); /* it cannot be given back */
	vvm_free(h, p);
	os_inject_clear();
	return h;
}

START_TEST(calloc_when_nothing_can_be_given_back)
{
	struct vvm_heap *h = small_heap(_i ? VVM_HEAP_HARDENED : 0);
	char *p;

	if (!_i)
		os_inject(OS_advise, 1, true, ENOMEM);
	p = vvm_calloc(h, 1, LARGE);
	os_inject_clear();
	live_check(p != NULL);
	live_check(zeros(p, LARGE));
	live_check(!heap_check(h));
	live_ok(vvm_heap_close(h));
}
END_TEST

/* An object that moves voids where it was, as it goes; if it can. */
START_TEST(calloc_where_an_object_moved_away)
{
	struct vvm_heap_options o = {.struct_size = sizeof o,
				     .reserve_bytes = 32 << 20,
				     .report = misuse};
	const size_t bytes = 3 << 20;
	struct vvm_heap *h;
	char *p, *q;

	live_ok(vvm_heap_open(vm, &o, &h));
	p = vvm_malloc(h, bytes);
	vvm_malloc(h, 50000); /* p cannot grow where it is */
	memset(p, 7, bytes);
	os_inject(OS_advise, _i, true, ENOMEM);
	q = vvm_realloc(h, p, 2 * bytes);
	os_inject_clear();
	live_check(q && q != p);
	live_check(q[0] == 7 && !memcmp(q, q + 1, bytes - 1));
	live_check(!heap_check(h));
	while ((p = vvm_calloc(h, 1, LARGE)))
		live_check(zeros(p, LARGE));
	live_ok(vvm_heap_close(h));
}
END_TEST

static void *twice; /* is freed by two threads */
static void *next_one;
static _Atomic int doubles;

static void count_double(void *arg, int what, const void *ptr, const char *text)
{
	(void)arg;
	(void)text;
	live_equal(what, VVM_HEAP_DOUBLE_FREE);
	live_check(ptr == twice);
	doubles++;
}

static void free_meanwhile(void)
{
	vvm_free(other, twice);
	next_one = vvm_malloc(other, 50000); /* in the same place, perhaps */
}

static void *free_it(void *arg)
{
	(void)arg;
	vvm_free(other, twice);
	return NULL;
}

/* The first thread has looked at the object, not yet claimed it. */
START_TEST(a_large_object_that_two_threads_free)
{
	struct vvm_heap_options o = {.struct_size = sizeof o,
				     .reserve_bytes = 1 << 20,
				     .report = count_double};
	pthread_t thread;

	live_ok(vvm_heap_open(vm, &o, &other));
	twice = vvm_malloc(other, 60000);
	while_mapping = free_meanwhile; /* a cache for the new thread */
	live_equal(pthread_create(&thread, NULL, free_it, NULL), 0);
	pthread_join(thread, NULL);
	live_check(!while_mapping);
	live_equal(doubles, 1);
	live_check(!heap_check(other));
	memset(next_one, 1, 50000);
	vvm_free(other, next_one);
	live_equal(doubles, 1);
	live_check(!heap_check(other));
	live_ok(vvm_heap_close(other));
}
END_TEST

/* What spans need of their own is used again, however often they come. */
START_TEST(spans_that_come_and_go_take_no_more)
{
	static void *p[2000];
	uint64_t first = 0;

	for (int wave = 0; wave < 8; wave++) {
		for (int i = 0; i < 2000; i++)
			live_check((p[i] = vvm_malloc(heap, 1000)) != NULL);
		for (int i = 0; i < 2000; i++)
			vvm_free(heap, p[i]);
		live_ok(vvm_heap_trim(heap));
		sound();
		if (wave == 1)
			first = heap->pages.meta_top;
	}
	live_equal(heap->pages.meta_top, first);
}
END_TEST

/* Guards are counted: what is freed makes room for others. */
START_TEST(large_objects_are_guarded_however_many_there_were)
{
	struct vvm_heap_options o = {.struct_size = sizeof o,
				     .flags = VVM_HEAP_HARDENED};
	struct vvm_heap *h;
	char *p;

	live_ok(vvm_heap_open(vm, &o, &h));
	for (int i = 0; i < 8200; i++)
		vvm_free(h, vvm_malloc(h, 50000));
	p = vvm_malloc(h, 50000);
	live_check(heap_entry(h, heap_page_at(h, p)) & HEAP_GAP_GUARDED);
	live_ok(vvm_heap_close(h));
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *pure = test_case_with(s, "classes", NULL, NULL);
	TCase *tc = test_case(s, "heap");

	tcase_add_test(pure, every_size_has_the_smallest_class_that_holds_it);
	tcase_add_test(pure, spans_waste_little);
	tcase_add_test(pure, index_by_multiplication_is_exact);
	tcase_add_test(tc, runs_come_from_the_top_and_go_back_to_it);
	tcase_add_test(tc, dirty_runs_are_taken_first_unless_fresh_is_wanted);
	tcase_add_test(tc, clean_and_dirty_runs_do_not_merge);
	tcase_add_test(tc, runs_are_aligned_in_the_address_space);
	tcase_add_test(tc, a_full_reserve_is_no_error);
	tcase_add_test(tc, runs_are_lengthened_over_neighbours);
	tcase_add_test(tc, random_runs);
	tcase_add_test(tc, objects_of_one_time_are_on_one_page);
	tcase_add_test(tc, full_pages_are_filled_first);
	tcase_add_test(tc, malloc_and_free_of_one_object_move_no_pages);
	test_counted(tc, free_touches_no_page);
	tcase_add_test(tc, one_free_does_not_pay_for_all);
	tcase_add_test(tc, dead_pages_are_not_read_back);
	tcase_add_test(tc, a_thread_that_exits_returns_its_cache);
	tcase_add_test(tc, destructors_may_use_the_heap);
	tcase_add_test(tc, a_thread_outlives_a_heap);
	tcase_add_test(tc, a_signal_handler_is_refused);
	tcase_add_test(tc, a_signal_handler_is_refused_without_a_cache);
#if defined(__x86_64__)
	tcase_add_loop_test(tc, a_signal_handler_at_any_instruction, 0, 3);
	tcase_add_loop_test(
		tc, a_signal_handler_at_any_instruction_of_other_calls, 0, 4);
	tcase_add_test(tc,
		       a_signal_handler_at_any_instruction_of_a_threads_end);
	if (!LIVE_SANITIZED) { /* whose locks the handler would find taken */
		tcase_add_loop_test(
			tc, signal_handlers_wait_while_locks_are_held, 0, 6);
		tcase_add_loop_test(tc, a_fork_while_a_cache_gives_objects_back,
				    0, 30);
	}
#endif
	if (!LIVE_TSAN) { /* it keeps signals back; "dup thread" in a child */
		tcase_add_test(tc, signal_handlers_wait_for_the_end_of_a_fork);
		tcase_add_test(tc, fork_while_a_thread_is_in_a_call);
	}
	tcase_add_test(tc, signals_while_it_allocates);
	tcase_add_test(tc, fork_while_threads_allocate);
	tcase_add_test(tc, open_fails_at_each_system_call);
	tcase_add_test(tc, strict_accounting_makes_it_smaller);
	tcase_add_test(tc, no_memory_for_a_cache);
	tcase_add_test(tc, pages_that_cannot_be_given_back_are_kept);
	tcase_add_loop_test(tc, calloc_when_nothing_can_be_given_back, 0, 2);
	tcase_add_loop_test(tc, calloc_where_an_object_moved_away, 1, 5);
	tcase_add_test(tc, a_large_object_that_two_threads_free);
	tcase_add_test(tc, spans_that_come_and_go_take_no_more);
	tcase_add_test(tc, large_objects_are_guarded_however_many_there_were);
}

const struct test_program test_program = {
	.name = "heap",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
	.missing = live_missing,
};
