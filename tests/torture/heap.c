/* SPDX-License-Identifier: MIT */
/*
 * torture/heap.c - the heap against a model, at a budget of 64 pages (and
 * one that is never short, where threads meet more often): random
 * malloc, calloc, realloc, aligned_alloc and free from several threads, each
 * object stamped all over, frees in other threads than the allocation, and a
 * look that nothing grows.
 *
 * VVM_STRESS_SECONDS: how long in each fault mode (1 s without it).
 *
 * The model is a table of slots: what the program believes to have. A slot is
 * claimed by exchanging its object with NULL, so it belongs to whoever got
 * it, and any thread may free what another has allocated.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "heap/heap.h"
#include "support/live.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

#define THREADS 4
#define SLOTS	2048
#define CEILING (4 << 20) /* bytes of live objects that are aimed at */

struct object {
	unsigned char *ptr;
	size_t bytes;
	uint64_t key;
};

static struct torture {
	struct vvm_heap *heap;
	struct object objects[SLOTS]; /* (o) of who has claimed it */
	_Atomic(struct object *) slot[SLOTS];
	_Atomic int64_t live_bytes, live_objects;
	_Atomic uint64_t operations, misuses;
	atomic_bool stop;
} run;

struct worker {
	pthread_t thread;
	uint64_t random;
};

/* ---- contents ---- */

/* Every word of small objects; of large ones a word for each 512 bytes. */
static size_t stride(size_t bytes)
{
	return bytes <= 4096 ? 8 : 512;
}

static void stamp(const struct object *o, size_t from)
{
	size_t at = (from + stride(o->bytes) - 1) / stride(o->bytes) *
		    stride(o->bytes);

	for (; at + 8 <= o->bytes; at += stride(o->bytes))
		*(volatile uint64_t *)(void *)(o->ptr + at) =
			live_stamp(o->key, at);
	for (at = o->bytes & ~(size_t)7; at < o->bytes; at++)
		((volatile unsigned char *)o->ptr)[at] =
			(unsigned char)(o->key + at);
}

/* The first `bytes` of what has been stamped as o. */
static void verify(const struct object *o, size_t bytes)
{
	size_t at;

	for (at = 0; at + 8 <= bytes; at += stride(o->bytes))
		if (*(const uint64_t *)(const void *)(o->ptr + at) !=
		    live_stamp(o->key, at))
			live_fail("object of %zu bytes at %p: wrong at %zu",
				  o->bytes, (void *)o->ptr, at);
	if (bytes < o->bytes)
		return;
	for (at = bytes & ~(size_t)7; at < bytes; at++)
		if (o->ptr[at] != (unsigned char)(o->key + at))
			live_fail("object of %zu bytes at %p: wrong at %zu",
				  o->bytes, (void *)o->ptr, at);
}

static bool zero(const unsigned char *p, size_t bytes)
{
	return bytes == 0 || (!p[0] && !memcmp(p, p + 1, bytes - 1));
}

/* ---- operations ---- */

/* Mostly small, now and then large: what real programs do. */
static size_t random_bytes(struct worker *w)
{
	static const unsigned shifts[16] = {5, 5,  6,  6,  7,  7,  8,  8,
					    9, 10, 11, 12, 13, 14, 16, 18};
	uint64_t shift = shifts[live_below(&w->random, 16)];

	return live_below(&w->random, (uint64_t)1 << shift);
}

static void count(const struct object *o, int sign)
{
	atomic_fetch_add(&run.live_bytes, sign * (int64_t)o->bytes);
	atomic_fetch_add(&run.live_objects, sign);
}

static void allocate(struct worker *w, struct object *o)
{
	size_t align = 16;

	o->bytes = random_bytes(w);
	o->key = live_random(&w->random);
	switch (live_below(&w->random, 8)) {
	case 0:
	case 1:
		o->ptr = vvm_calloc(run.heap, 1, o->bytes);
		live_check(o->ptr && zero(o->ptr, o->bytes));
		break;
	case 2:
		align = (size_t)1 << live_below(&w->random, 16);
		o->ptr = vvm_aligned_alloc(run.heap, align, o->bytes);
		break;
	default:
		o->ptr = vvm_malloc(run.heap, o->bytes);
	}
	live_check(o->ptr != NULL);
	live_check((uintptr_t)o->ptr % (align < 16 ? 16 : align) == 0);
	live_check(vvm_usable_size(run.heap, o->ptr) >= o->bytes);
	stamp(o, 0);
	count(o, 1);
}

static void release(struct object *o)
{
	verify(o, o->bytes);
	count(o, -1);
	vvm_free(run.heap, o->ptr);
	o->ptr = NULL;
}

static void resize(struct worker *w, struct object *o)
{
	struct object was = *o;
	size_t kept;

	count(o, -1);
	o->bytes = random_bytes(w) + 1;
	o->ptr = vvm_realloc(run.heap, o->ptr, o->bytes);
	live_check(o->ptr != NULL);
	kept = o->bytes < was.bytes ? o->bytes : was.bytes;
	was.ptr = o->ptr;
	verify(&was, kept);
	stamp(o, 0);
	count(o, 1);
}

/* A slot of the table, ours until it is put back. */
static struct object *claim(uint64_t i)
{
	return atomic_exchange(&run.slot[i], NULL);
}

static void operate(struct worker *w)
{
	uint64_t i = live_below(&w->random, SLOTS);
	struct object *o = claim(i);

	if (!o)
		return;
	if (!o->ptr) {
		if (run.live_bytes < CEILING)
			allocate(w, o);
	} else if (live_below(&w->random, 4) == 0 && run.live_bytes < CEILING) {
		resize(w, o);
	} else if (live_below(&w->random, 8) == 0) {
		verify(o, o->bytes);
	} else {
		release(o);
	}
	atomic_store(&run.slot[i], o);
	atomic_fetch_add(&run.operations, 1);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load_explicit(&run.stop, memory_order_relaxed))
		operate(w);
	return NULL;
}

/* ---- the run ---- */

static void misuse(void *arg, int what, const void *ptr, const char *text)
{
	(void)arg;
	live_fail("misuse %d at %p: %s", what, ptr, text);
}

static int count_walk(void *arg, void *ptr, size_t bytes)
{
	uint64_t *walked = arg;

	(void)ptr;
	walked[0]++;
	walked[1] += bytes;
	return 0;
}

/* The statistics, the walk and the model say the same; nothing is broken. */
static void compare_model(void)
{
	struct vvm_heap_stats st;
	uint64_t walked[2] = {0, 0};
	const char *bad;

	live_ok(vvm_heap_stats(run.heap, &st));
	live_ok(vvm_heap_walk(run.heap, count_walk, walked));
	live_equal(walked[0], run.live_objects);
	live_equal(st.live_objects, run.live_objects);
	live_equal(walked[1], st.live_bytes);
	live_check((int64_t)st.live_bytes >= run.live_bytes);
	bad = heap_check(run.heap);
	if (bad)
		live_fail("%s", bad);
}

static void run_threads(long ms)
{
	struct worker w[THREADS];
	uint64_t end = live_now_ms() + (uint64_t)ms;

	atomic_store(&run.stop, false);
	for (int i = 0; i < THREADS; i++) {
		w[i].random = run.operations + (uint64_t)i;
		live_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	while (live_now_ms() < end)
		live_nap_us(5000);
	atomic_store(&run.stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(w[i].thread, NULL);
}

static long torture_ms(void)
{
	long seconds = live_setting("VVM_STRESS_SECONDS", 0);

	return seconds > 0 ? seconds * 1000 : 1000;
}

static void release_all(void)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (run.objects[i].ptr)
			release(&run.objects[i]);
}

/* Paging all the time, and never; and what hardening adds. */
static const struct {
	uint64_t budget; /* pages */
	unsigned flags;
	long share; /* of the time, of 8 */
} cases[] = {{64, 0, 4}, {16384, 0, 2}, {1024, VVM_HEAP_HARDENED, 2}};

START_TEST(random_operations_of_threads)
{
	struct vvm_heap_options o = {.struct_size = sizeof o};
	struct vvm *vm = live_open(cases[_i].budget);
	struct vvm_heap_stats st;
	long ms = torture_ms() * cases[_i].share / 8;

	memset(&run, 0, sizeof run);
	o.report = misuse;
	o.flags = cases[_i].flags;
	live_ok(vvm_heap_open(vm, &o, &run.heap));
	for (unsigned i = 0; i < SLOTS; i++)
		atomic_init(&run.slot[i], &run.objects[i]);
	for (int round = 0; round < 4; round++) {
		run_threads(ms / 4);
		compare_model();
		live_ok(vvm_heap_stats(run.heap, &st));
		/* addresses, and pages: both stay near what lives at most */
		live_check(st.top_bytes <= 16 * CEILING);
		live_check(st.span_bytes + st.large_bytes + st.dirty_bytes <=
			   3 * CEILING);
		live_equal(st.caches, 0); /* the threads have exited */
	}
	release_all();
	compare_model();
	live_ok(vvm_heap_trim(run.heap));
	live_ok(vvm_heap_stats(run.heap, &st));
	printf("torture_heap%s%s: budget %llu, %llu operations, %lld faults, top %llu KiB, "
	       "metadata %llu KiB, %llu discards\n",
	       live_inline() ? " (inline)" : "",
	       cases[_i].flags ? ", hardened" : "",
	       (unsigned long long)cases[_i].budget,
	       (unsigned long long)run.operations,
	       (long long)live_stats(vm).faults,
	       (unsigned long long)st.top_bytes >> 10,
	       (unsigned long long)st.metadata_bytes >> 10,
	       (unsigned long long)st.discards);
	fflush(stdout);
	live_equal(st.live_objects, 0);
	live_equal(st.cached_bytes, 0);
	live_equal(st.dirty_bytes, 0);
	live_ok(vvm_heap_close(run.heap));
	live_ok(vvm_close(vm));
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "torture");

	test_limit(tc, (unsigned)(torture_ms() / 500 + 120));
	tcase_add_loop_test(tc, random_operations_of_threads, 0,
			    (int)LIVE_LEN(cases));
}

const struct test_program test_program = {
	.name = "torture_heap",
	.add = add_tests,
	.missing = live_missing,
	.modes = true,
};
