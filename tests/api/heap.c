/* SPDX-License-Identifier: MIT */
/*
 * api/heap.c - <vvm_heap.h> as a program sees it: sizes, alignments, realloc,
 * several heaps, misuse and how it is reported, that free pages go back, and
 * that nothing grows over many cycles.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <vvm_heap.h>

#include "support/access.h"
#include "support/child.h"
#include "support/live.h"
#include "support/process.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

#define KIB (1ul << 10)
#define MIB (1ul << 20)
#define GIB (1ul << 30)

static struct vvm_heap *heap;

static struct {
	int count, what;
	const void *ptr;
} seen;

static void note(void *arg, int what, const void *ptr, const char *text)
{
	live_check(arg == &seen && text && *text);
	seen.count++;
	seen.what = what;
	seen.ptr = ptr;
}

static struct vvm_heap *open_heap(unsigned flags)
{
	struct vvm_heap_options o = {.struct_size = sizeof o,
				     .flags = flags,
				     .report = note,
				     .report_arg = &seen};
	struct vvm_heap *h = NULL;

	live_ok(vvm_heap_open(vm, &o, &h));
	live_check(h != NULL);
	return h;
}

static void setup(void)
{
	live_begin(1024);
	heap = open_heap(0);
	memset(&seen, 0, sizeof seen);
}

static void teardown(void)
{
	live_ok(vvm_heap_close(heap));
	live_ok(vvm_close(vm));
}

static struct vvm_heap_stats stats(void)
{
	struct vvm_heap_stats st;

	live_ok(vvm_heap_stats(heap, &st));
	return st;
}

static bool zero(const unsigned char *p, size_t bytes)
{
	return !p[0] && !memcmp(p, p + 1, bytes - 1);
}

/* ---- arguments ---- */

START_TEST(bad_arguments)
{
	struct vvm_heap_options o = {.struct_size = sizeof o};
	struct vvm_heap_stats st;
	struct vvm_heap *h = heap;

	live_expect(vvm_heap_open(NULL, &o, &h), -EINVAL);
	live_expect(vvm_heap_open(vm, &o, NULL), -EINVAL);
	o.struct_size = 0;
	live_expect(vvm_heap_open(vm, &o, &h), -EINVAL);
	o.struct_size = sizeof o + 1;
	live_expect(vvm_heap_open(vm, &o, &h), -EINVAL);
	o.struct_size = sizeof o;
	o.flags = ~0u;
	live_expect(vvm_heap_open(vm, &o, &h), -EINVAL);
	o.flags = 0;
	o.reserve_bytes = MIB - 1;
	live_expect(vvm_heap_open(vm, &o, &h), -EINVAL);
	o.reserve_bytes = ~0ull;
	live_expect(vvm_heap_open(vm, &o, &h), -EINVAL);
	live_check(h == heap);
	live_ok(vvm_heap_close(NULL));
	live_expect(vvm_heap_stats(heap, NULL), -EINVAL);
	live_expect(vvm_heap_stats(NULL, &st), -EINVAL);
	live_expect(vvm_heap_walk(heap, NULL, NULL), -EINVAL);
	live_expect(vvm_heap_trim(NULL), -EINVAL);
	live_equal(vvm_heap_owns(NULL, heap), 0);
}
END_TEST

/* An older program knows only the size and the reserve. */
START_TEST(a_shorter_options_struct)
{
	struct vvm_heap_options o = {
		.struct_size = offsetof(struct vvm_heap_options, flags),
		.reserve_bytes = 2 * MIB,
		.flags = ~0u};
	struct vvm_heap *h;

	live_ok(vvm_heap_open(vm, &o, &h));
	live_check(vvm_malloc(h, MIB) != NULL);
	errno = 0;
	live_check(vvm_malloc(h, 2 * MIB) == NULL && errno == ENOMEM);
	live_ok(vvm_heap_close(h));
}
END_TEST

START_TEST(no_heap_where_there_is_no_space)
{
	struct vvm_heap_options o = {.struct_size = sizeof o,
				     .reserve_bytes = 8 * 1024 * GIB};
	struct rlimit was, limit;
	struct vvm_heap *h;

	live_equal(getrlimit(RLIMIT_AS, &was), 0);
	limit = was;
	limit.rlim_cur = 16 * GIB;
	live_equal(setrlimit(RLIMIT_AS, &limit), 0);
	live_expect(vvm_heap_open(vm, &o, &h), -ENOMEM);
	setrlimit(RLIMIT_AS, &was);
}
END_TEST

/* ---- sizes ---- */

START_TEST(every_small_size)
{
	size_t n;

	for (n = 0; n <= 40000; n += n < 600 ? 1 : 61) {
		char *p = vvm_malloc(heap, n), *q = vvm_malloc(heap, n);

		live_check(p && q && p != q);
		live_check((uintptr_t)p % 16 == 0);
		live_check(vvm_usable_size(heap, p) >= n);
		live_check(n < 2048 || vvm_usable_size(heap, p) <= n + n / 7);
		memset(p, 1, vvm_usable_size(heap, p));
		memset(q, 2, vvm_usable_size(heap, q));
		live_check(n == 0 || (p[0] == 1 && p[n - 1] == 1));
		live_equal(vvm_heap_owns(heap, p), 1);
		vvm_free(heap, p);
		vvm_free(heap, q);
	}
	live_equal(stats().live_objects, 0);
	live_equal(vvm_heap_owns(heap, &n), 0);
	live_equal(vvm_usable_size(heap, NULL), 0);
	vvm_free(heap, NULL);
	live_equal(seen.count, 0);
}
END_TEST

START_TEST(huge_sizes_are_enomem)
{
	static const size_t sizes[] = {SIZE_MAX,      SIZE_MAX - 4096,
				       SIZE_MAX / 2,  (size_t)1 << 47,
				       SIZE_MAX - 15, SIZE_MAX / 2 + 1};
	void *p = vvm_malloc(heap, 100);

	for (size_t i = 0; i < LIVE_LEN(sizes); i++) {
		errno = 0;
		live_check(!vvm_malloc(heap, sizes[i]) && errno == ENOMEM);
		errno = 0;
		live_check(!vvm_calloc(heap, 1, sizes[i]) && errno == ENOMEM);
		errno = 0;
		live_check(!vvm_realloc(heap, p, sizes[i]) && errno == ENOMEM);
		errno = 0;
		live_check(!vvm_aligned_alloc(heap, 64, sizes[i]) &&
			   errno == ENOMEM);
	}
	errno = 0;
	live_check(!vvm_calloc(heap, SIZE_MAX / 2, 3) && errno == ENOMEM);
	live_equal(stats().live_objects, 1);
	vvm_free(heap, p);
}
END_TEST

START_TEST(alignments_to_a_gib)
{
	size_t align, bytes[] = {0, 1, 100, 5000, 40000, 3 * MIB};

	for (align = 1; align <= GIB; align *= 2)
		for (size_t i = 0; i < LIVE_LEN(bytes); i++) {
			char *p = vvm_aligned_alloc(heap, align, bytes[i]);

			live_check(p && (uintptr_t)p % align == 0);
			live_check((uintptr_t)p % 16 == 0);
			live_check(vvm_usable_size(heap, p) >= bytes[i]);
			if (bytes[i])
				p[0] = p[bytes[i] - 1] = 7;
			vvm_free(heap, p);
		}
	errno = 0;
	live_check(!vvm_aligned_alloc(heap, 0, 8) && errno == EINVAL);
	errno = 0;
	live_check(!vvm_aligned_alloc(heap, 48, 8) && errno == EINVAL);
	live_equal(stats().live_objects, 0);
	live_equal(seen.count, 0);
}
END_TEST

/* Memory that was used before must come back as zeros. */
START_TEST(calloc_is_zero)
{
	static const size_t sizes[] = {16,    100,	 4000,	    20000,
				       50000, 100 * KIB, 300 * KIB, 3 * MIB};

	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < LIVE_LEN(sizes); i++) {
			unsigned char *p = vvm_calloc(heap, 1, sizes[i]);

			live_check(p && zero(p, sizes[i]));
			memset(p, 0xee, vvm_usable_size(heap, p));
			vvm_free(heap, p);
		}
}
END_TEST

/* Of all of a heap: what is used again was used in whatever way. */
START_TEST(calloc_of_what_was_used)
{
	static const size_t sizes[] = {16,    200,   1000,	4000,
				       20000, 50000, 200 * KIB, 300 * KIB};
	struct vvm_heap_options o = {.struct_size = sizeof o,
				     .reserve_bytes = 2 * MIB,
				     .flags = _i ? VVM_HEAP_HARDENED : 0,
				     .report = note,
				     .report_arg = &seen};

	for (size_t i = 0; i < LIVE_LEN(sizes); i++) {
		unsigned char *p, *list = NULL;
		struct vvm_heap *h;

		live_ok(vvm_heap_open(vm, &o, &h));
		while ((p = vvm_malloc(h, sizes[i]))) {
			memset(p, 0xee, sizes[i]);
			memcpy(p, &list, sizeof list);
			list = p;
		}
		while ((p = list)) {
			memcpy(&list, p, sizeof list);
			vvm_free(h, p);
		}
		while ((p = vvm_calloc(h, 1, sizes[i])))
			live_check(zero(p, sizes[i]));
		live_ok(vvm_heap_close(h));
	}
	live_equal(seen.count, 0);
}
END_TEST

/* ---- realloc ---- */

static void fill(unsigned char *p, size_t from, size_t to)
{
	for (; from < to; from++)
		p[from] = (unsigned char)(from * 7 + from / 256);
}

static void verify(const unsigned char *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		live_check(p[i] == (unsigned char)(i * 7 + i / 256));
}

START_TEST(realloc_chains)
{
	unsigned char *p = vvm_realloc(heap, NULL, 1);
	size_t n = 1, next;

	fill(p, 0, n);
	for (int up = 1; up >= 0; up--)
		for (int i = 0; i < 60; i++) {
			next = up ? n + n / 4 + 1 : n - n / 4;
			if (next > 3 * MIB)
				break;
			p = vvm_realloc(heap, p, next);
			live_check(p && vvm_usable_size(heap, p) >= next);
			verify(p, next < n ? next : n);
			fill(p, n, next);
			n = next;
		}
	live_check(vvm_realloc(heap, p, 0) == NULL);
	live_equal(stats().live_objects, 0);
	live_equal(seen.count, 0);
}
END_TEST

/* Programs ask for the usable size in order to use it. */
START_TEST(realloc_keeps_all_that_was_usable)
{
	static const size_t sizes[] = {1,	  100,	   3000,
				       32700,	  32769,   50001,
				       100 * KIB, MIB + 1, 2 * MIB - 1};
	unsigned char *p;
	size_t have;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		p = vvm_malloc(heap, sizes[i]);
		have = vvm_usable_size(heap, p);
		fill(p, 0, have);
		/* so that it has to move */
		live_check(vvm_malloc(heap, sizes[i]) != NULL);
		p = vvm_realloc(heap, p, have + 3 * MIB);
		live_check(p != NULL);
		verify(p, have);
		vvm_free(heap, p);
	}
	live_equal(seen.count, 0);
}
END_TEST

/* A vector that grows by a page at a time is moved a few times, not 1000. */
START_TEST(growing_a_large_object_rarely_moves_it)
{
	unsigned char *p = vvm_malloc(heap, 64 * KIB), *other;
	size_t n;

	for (n = 64 * KIB; n < 4 * MIB; n += 4096) {
		p = vvm_realloc(heap, p, n);
		p[n - 1] = 1;
		other = vvm_malloc(heap, 40000); /* what might be in its way */
		live_check(p && other);
		if (n % (64 * KIB))
			vvm_free(heap, other);
	}
	live_check(stats().moves <= 8);
	live_equal(seen.count, 0);
}
END_TEST

START_TEST(shrinking_gives_memory_back)
{
	char *p = vvm_malloc(heap, 3 * MIB);
	struct vvm_stats st;

	memset(p, 1, 3 * MIB);
	p = vvm_realloc(heap, p, 100 * KIB);
	live_check(p && p[0] == 1 && p[100 * KIB - 1] == 1);
	live_ok(vvm_heap_trim(heap));
	st = live_stats(vm);
	live_check(st.resident_pages <= 40);
	live_equal(stats().large_bytes, 100 * KIB);
	vvm_free(heap, p);
}
END_TEST

/* ---- misuse ---- */

#define expect_report(kind, at)                \
	do {                                   \
		live_equal(seen.count, 1);     \
		live_equal(seen.what, kind);   \
		live_check(seen.ptr == (at));  \
		memset(&seen, 0, sizeof seen); \
	} while (0)

START_TEST(double_frees)
{
	static const size_t sizes[] = {1, 64, 5000, 32768, 40000, 3 * MIB};

	for (size_t i = 0; i < LIVE_LEN(sizes); i++) {
		char *p = vvm_malloc(heap, sizes[i]), *kept;

		kept = vvm_malloc(heap, sizes[i]);
		vvm_free(heap, p);
		vvm_free(heap, p);
		expect_report(VVM_HEAP_DOUBLE_FREE, p);
		live_check(!vvm_realloc(heap, p, 10));
		expect_report(VVM_HEAP_DOUBLE_FREE, p);
		live_equal(vvm_usable_size(heap, p), 0);
		expect_report(VVM_HEAP_DOUBLE_FREE, p);
		vvm_free(heap, kept);
		live_ok(vvm_heap_trim(heap)); /* its page may be gone now */
		vvm_free(heap, p);
		live_equal(seen.count, 1);
		live_check(seen.what == VVM_HEAP_DOUBLE_FREE ||
			   seen.what == VVM_HEAP_FOREIGN);
		memset(&seen, 0, sizeof seen);
	}
	live_equal(stats().live_objects, 0);
	live_equal(stats().misuses, 4 * LIVE_LEN(sizes));
}
END_TEST

START_TEST(pointers_that_are_no_objects)
{
	char *small = vvm_malloc(heap, 100), *large = vvm_malloc(heap, 50000);
	char local, *libc = malloc(10);

	vvm_free(heap, &local);
	expect_report(VVM_HEAP_FOREIGN, &local);
	vvm_free(heap, libc);
	expect_report(VVM_HEAP_FOREIGN, libc);
	vvm_free(heap, small + 16);
	expect_report(VVM_HEAP_INTERIOR, small + 16);
	vvm_free(heap, small + 1);
	expect_report(VVM_HEAP_INTERIOR, small + 1);
	vvm_free(heap, large + 16);
	expect_report(VVM_HEAP_INTERIOR, large + 16);
	vvm_free(heap, large + 8192);
	expect_report(VVM_HEAP_INTERIOR, large + 8192);
	live_equal(stats().live_objects, 2);
	vvm_free(heap, small);
	vvm_free(heap, large);
	free(libc);
	live_equal(seen.count, 0);
}
END_TEST

/* In guard mode a page that was read first is clean, whatever was written. */
START_TEST(a_large_object_before_what_was_used)
{
	char *other = live_map(vm, 2048, LIVE_RW);
	char *p = vvm_malloc(heap, 20 * LIVE_PAGE), *q;

	for (uint64_t i = 20; i-- > 0;) { /* no stream: filled ahead is dirty */
		(void)*(volatile char *)(p + i * LIVE_PAGE);
		p[i * LIVE_PAGE] = 1;
	}
	vvm_free(heap, p);
	q = vvm_malloc(heap, 10 * LIVE_PAGE);
	live_check(q == p);
	live_push_out(vm, q, 20, other, 2048);
	vvm_free(heap, q);
	live_equal(seen.count, 0);
}
END_TEST

/* Zeroed memory behind it was zero before: a write of zeros is not seen. */
START_TEST(overrun_of_a_large_object)
{
	char *p = vvm_malloc(heap, 100000), *q;

	p[102400 + 5] = 1; /* the page behind the last */
	vvm_free(heap, p);
	expect_report(VVM_HEAP_OVERRUN, p);
	live_equal(stats().live_objects, 0);
	p = vvm_malloc(heap, 100000);
	memset(p, 1, vvm_usable_size(heap, p));
	vvm_free(heap, p);
	live_equal(seen.count, 0);
	p = vvm_malloc(heap, 300000);
	q = vvm_malloc(heap, 300000); /* so that it cannot grow in place */
	p[303104] = 1;
	p = vvm_realloc(heap, p, 600000);
	live_check(seen.count == 1 && seen.what == VVM_HEAP_OVERRUN);
	vvm_free(heap, p);
	vvm_free(heap, q);
}
END_TEST

static int free_twice(void *arg)
{
	struct vvm *mine = live_open(64);
	struct vvm_heap *h;
	void *p;

	(void)arg;
	live_default_signals();
	child_expect(vvm_heap_open(mine, NULL, &h), 0);
	p = vvm_malloc(h, 10);
	vvm_free(h, p);
	if (!freopen("/dev/null", "w", stderr))
		return 1;
	vvm_free(h, p);
	return 0;
}

START_TEST(without_a_report_function_it_aborts)
{
	int status = live_child(free_twice, NULL);

	live_check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
END_TEST

/* ---- hardened ---- */

START_TEST(hardened_finds_small_overruns)
{
	static const size_t sizes[] = {0, 1, 16, 100, 4000, 32000};
	struct vvm_heap *h = open_heap(VVM_HEAP_HARDENED);

	for (size_t i = 0; i < LIVE_LEN(sizes); i++) {
		char *p = vvm_malloc(h, sizes[i]);
		size_t n = vvm_usable_size(h, p);

		live_check(n >= sizes[i]);
		memset(p, 1, n);
		vvm_free(h, p);
		live_equal(seen.count, 0);
		p = vvm_malloc(h, sizes[i]);
		p[vvm_usable_size(h, p)] ^= 1;
		vvm_free(h, p);
		expect_report(VVM_HEAP_OVERRUN, p);
		p = vvm_malloc(h, sizes[i]);
		p[vvm_usable_size(h, p)] ^= 1;
		vvm_realloc(h, p, sizes[i] + 1);
		live_check(seen.count >= 1 && seen.what == VVM_HEAP_OVERRUN);
		memset(&seen, 0, sizeof seen);
	}
	live_ok(vvm_heap_close(h));
}
END_TEST

START_TEST(hardened_finds_writes_after_free)
{
	struct vvm_heap *h = open_heap(VVM_HEAP_HARDENED);
	unsigned char *p = vvm_malloc(h, 500);

	memset(p, 1, 500);
	vvm_free(h, p);
	live_check(p[0] == 0xdf && p[499] == 0xdf);
	p[77] = 1;
	vvm_free(h, p);
	expect_report(VVM_HEAP_DOUBLE_FREE, (void *)p);
	live_ok(vvm_heap_trim(h));
	expect_report(VVM_HEAP_USE_AFTER_FREE, (void *)p);
	live_ok(vvm_heap_close(h));
}
END_TEST

START_TEST(hardened_guards_large_objects)
{
	struct vvm_heap *h = open_heap(VVM_HEAP_HARDENED);
	char *p = vvm_malloc(h, 100000);

	live_equal(vvm_usable_size(h, p), 100000);
	live_equal(live_try_store(p + 102400, 1), SIGSEGV);
	live_check(live_signal_addr == p + 102400);
	p[100000] ^= 1; /* the rest of its last page */
	vvm_free(h, p);
	expect_report(VVM_HEAP_OVERRUN, p);
	for (int i = 0; i < 100; i++) { /* guards come and go */
		p = vvm_calloc(h, 1, 40000 + (size_t)i * 1000);
		live_check(zero((unsigned char *)p, 40000));
		memset(p, 1, 40000);
		p = vvm_realloc(h, p, 200000);
		memset(p, 2, 200000);
		vvm_free(h, p);
	}
	live_equal(seen.count, 0);
	live_ok(vvm_heap_close(h));
}
END_TEST

START_TEST(hardened_places_at_random)
{
	struct vvm_heap *h = open_heap(VVM_HEAP_HARDENED);
	int ascending = 0;
	char *p, *before = vvm_malloc(h, 40);

	for (int i = 0; i < 500; i++, before = p) {
		p = vvm_malloc(h, 40);
		ascending += p > before;
	}
	live_check(ascending > 100 && ascending < 400);
	live_ok(vvm_heap_close(h));
}
END_TEST

/* ---- whole heaps ---- */

struct walked {
	int objects, stop_after;
	size_t bytes;
	char *last;
};

static int walk_one(void *arg, void *ptr, size_t bytes)
{
	struct walked *w = arg;

	live_check((char *)ptr > w->last);
	live_equal(vvm_usable_size(heap, ptr), bytes);
	w->last = ptr;
	w->objects++;
	w->bytes += bytes;
	return w->objects == w->stop_after ? 77 : 0;
}

static int free_one(void *arg, void *ptr, size_t bytes)
{
	(void)arg, (void)bytes;
	vvm_free(heap, ptr);
	return 0;
}

START_TEST(walk_sees_every_object)
{
	struct walked w = {0};
	void *p[300];

	for (int i = 0; i < 300; i++)
		p[i] = vvm_malloc(heap, (size_t)i * i);
	for (int i = 0; i < 300; i += 2)
		vvm_free(heap, p[i]);
	live_ok(vvm_heap_walk(heap, walk_one, &w));
	live_equal(w.objects, 150);
	live_equal(w.objects, stats().live_objects);
	live_equal(w.bytes, stats().live_bytes);
	w = (struct walked){.stop_after = 5};
	live_expect(vvm_heap_walk(heap, walk_one, &w), 77);
	live_equal(w.objects, 5);
	live_ok(vvm_heap_walk(heap, free_one, NULL)); /* it may call the heap */
	live_equal(stats().live_objects, 0);
	live_equal(seen.count, 0);
}
END_TEST

START_TEST(heaps_are_apart)
{
	struct vvm_heap *h[70];
	void *p[70];

	for (int i = 0; i < 70; i++) { /* more than have thread caches */
		struct vvm_heap_options o = {.struct_size = sizeof o,
					     .reserve_bytes = MIB,
					     .report = note,
					     .report_arg = &seen};

		live_ok(vvm_heap_open(vm, &o, &h[i]));
		p[i] = vvm_malloc(h[i], 100);
		memset(p[i], i, 100);
	}
	for (int i = 0; i < 70; i++) {
		live_check(((char *)p[i])[99] == i);
		live_equal(vvm_heap_owns(h[i], p[i]), 1);
		live_equal(vvm_heap_owns(h[(i + 1) % 70], p[i]), 0);
	}
	vvm_free(h[0], p[1]);
	expect_report(VVM_HEAP_FOREIGN, p[1]);
	for (int i = 0; i < 70; i++)
		live_ok(vvm_heap_close(h[i]));
	h[0] = open_heap(0); /* in a slot that had another */
	p[0] = vvm_malloc(h[0], 100);
	vvm_free(h[0], p[0]);
	live_ok(vvm_heap_close(h[0]));
}
END_TEST

START_TEST(free_keeps_errno)
{
	char *p[64];

	for (int i = 0; i < 64; i++)
		memset(p[i] = vvm_malloc(heap, 200000), 1, 200000);
	errno = 4711;
	for (int i = 0; i < 64; i++)
		vvm_free(heap, p[i]);
	live_equal(errno, 4711);
	live_check(stats().discards > 0);
}
END_TEST

/* Its cancellation is requested, but it comes to no cancellation point. */
static void *use_heap(void *start)
{
	char *p[8];

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_barrier_wait(start);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	for (int i = 0; i < 8; i++) /* twice the budget */
		memset(p[i] = vvm_malloc(heap, MIB), 1, MIB);
	for (int i = 0; i < 8; i++)
		memset(p[i] = vvm_realloc(heap, p[i], 2 * MIB), 2, MIB);
	for (int i = 0; i < 8; i++)
		vvm_free(heap, p[i]);
	vvm_free(heap, vvm_calloc(heap, 1, 8 * MIB));
	vvm_heap_trim(heap);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return start;
}

/* The thread would end with locks held, for ever. */
START_TEST(no_cancellation_point)
{
	pthread_barrier_t start;
	pthread_t thread;
	void *result;

	live_equal(pthread_barrier_init(&start, NULL, 2), 0);
	live_equal(pthread_create(&thread, NULL, use_heap, &start), 0);
	live_equal(pthread_cancel(thread), 0);
	pthread_barrier_wait(&start);
	live_equal(pthread_join(thread, &result), 0);
	live_check(result == &start);
	vvm_free(heap, vvm_malloc(heap, MIB));
	live_equal(seen.count, 0);
}
END_TEST

/* All is freed, so nothing is left in RAM or swap. */
START_TEST(free_pages_go_back)
{
	enum { OBJECTS = 20000 };
	static char *p[OBJECTS];
	struct vvm_stats st;

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < OBJECTS; i++)
			memset(p[i] = vvm_malloc(heap, 600), i | 1, 600);
		for (int i = 0; i < OBJECTS; i++)
			vvm_free(heap, p[(i * 7919 + round) % OBJECTS]);
		live_ok(vvm_heap_trim(heap));
		live_equal(stats().dirty_bytes, 0);
		st = live_stats(vm);
		/* one empty span */
		live_check(st.resident_pages <= 8);
		live_wait(live_stats(vm).swap_used_pages <= 8, 5000);
	}
}
END_TEST

/* The same work over and over needs the same room. */
START_TEST(nothing_grows)
{
	enum { OBJECTS = 2000 };
	static char *p[OBJECTS];
	uint64_t random = 1, top = 0, metadata = 0;

	for (int round = 0; round < 60; round++) {
		for (int i = 0; i < OBJECTS; i++) {
			size_t n = live_below(&random, 64)
					   ? live_below(&random, 3000)
					   : live_below(&random, 200000);

			vvm_free(heap, p[i]);
			p[i] = vvm_malloc(heap, n);
			live_check(p[i]);
			p[i][0] = 1;
		}
		if (round == 20) {
			top = stats().top_bytes;
			metadata = stats().metadata_bytes;
		}
	}
	for (int i = 0; i < OBJECTS; i++)
		vvm_free(heap, p[i]);
	live_check(stats().top_bytes <= top + top / 4);
	live_check(stats().metadata_bytes <= metadata + metadata / 4);
	live_equal(seen.count, 0);
}
END_TEST

START_TEST(heaps_leave_nothing)
{
	uint64_t before = 0;

	for (int i = 0; i < 30; i++) {
		struct vvm_heap *h = open_heap(i & 1);
		void *p = vvm_malloc(h, 100000);

		live_check(p && vvm_malloc(h, 10));
		memset(p, 1, 100000);
		live_ok(vvm_heap_close(h));
		if (i == 5)
			before = (uint64_t)live_count_maps();
	}
	live_check(LIVE_SANITIZED || (uint64_t)live_count_maps() <= before + 2);
	live_equal(live_stats(vm).resident_pages, 0);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "heap");

	tcase_add_test(tc, bad_arguments);
	tcase_add_test(tc, a_shorter_options_struct);
	if (!LIVE_SANITIZED)
		tcase_add_test(tc, no_heap_where_there_is_no_space);
	tcase_add_test(tc, every_small_size);
	tcase_add_test(tc, huge_sizes_are_enomem);
	tcase_add_test(tc, alignments_to_a_gib);
	tcase_add_test(tc, calloc_is_zero);
	tcase_add_loop_test(tc, calloc_of_what_was_used, 0, 2);
	tcase_add_test(tc, realloc_chains);
	tcase_add_test(tc, realloc_keeps_all_that_was_usable);
	tcase_add_test(tc, growing_a_large_object_rarely_moves_it);
	tcase_add_test(tc, shrinking_gives_memory_back);
	tcase_add_test(tc, double_frees);
	tcase_add_test(tc, pointers_that_are_no_objects);
	tcase_add_test(tc, a_large_object_before_what_was_used);
	tcase_add_test(tc, overrun_of_a_large_object);
	tcase_add_test(tc, without_a_report_function_it_aborts);
	tcase_add_test(tc, hardened_finds_small_overruns);
	tcase_add_test(tc, hardened_finds_writes_after_free);
	tcase_add_test(tc, hardened_guards_large_objects);
	tcase_add_test(tc, hardened_places_at_random);
	tcase_add_test(tc, walk_sees_every_object);
	tcase_add_test(tc, heaps_are_apart);
	tcase_add_test(tc, free_keeps_errno);
	tcase_add_test(tc, no_cancellation_point);
	tcase_add_test(tc, free_pages_go_back);
	tcase_add_test(tc, nothing_grows);
	tcase_add_test(tc, heaps_leave_nothing);
}

const struct test_program test_program = {
	.name = "api_heap",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
	.missing = live_missing,
	.modes = true,
	.begin = live_catch,
};
