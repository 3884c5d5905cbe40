/* SPDX-License-Identifier: MIT */
/*
 * inject/heap.c - malloc, calloc, realloc, free and trim on paged memory with
 * every system call failing in turn: inject/walk.c.
 *
 * Objects carry a pattern at a few places. An allocation may fail; none may
 * overlap another, change, be anything but zero after calloc(), or be reported
 * as misused. Small reserves make the heap use again what was used before.
 */
#include <errno.h>
#include <string.h>
#include <vvm_heap.h>

#include "heap/heap.h"
#include "inject/pages.h"
#include "support/files.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

#define BUDGET	1500 /* pages: what fails here is not a want of frames */
#define RESERVE ((uint64_t)8 << 20)
#define MARKS	3

static struct vvm_heap *heap;

/* ---- objects ---- */

struct object {
	char *at;
	size_t bytes;
	uint64_t key;
};

static uint64_t *mark(const struct object *o, unsigned i)
{
	size_t last = o->bytes - sizeof(uint64_t);

	return (uint64_t *)(o->at + last / (MARKS - 1) * i / 16 * 16);
}

static void stamp(struct object *o, uint64_t key)
{
	unsigned i;

	o->key = key;
	for (i = 0; o->at && i < MARKS; i++)
		*mark(o, i) = live_stamp(key, i);
}

static void check(const struct object *o)
{
	unsigned i;

	for (i = 0; o->at && i < MARKS; i++)
		if (*mark(o, i) != live_stamp(o->key, i))
			live_fail("object %llu of %zu bytes has changed",
				  (unsigned long long)o->key, o->bytes);
}

static struct object make(size_t bytes, bool zero, uint64_t key)
{
	struct object o = {.bytes = bytes};
	size_t i;

	o.at = zero ? vvm_calloc(heap, 1, bytes) : vvm_malloc(heap, bytes);
	if (!o.at)
		live_equal(errno, ENOMEM);
	for (i = 0; zero && o.at && i < bytes; i++)
		if (o.at[i])
			live_fail("byte %zu of %zu is not zero after calloc()",
				  i, bytes);
	stamp(&o, key);
	return o;
}

static void drop(struct object *o)
{
	if (!o->at)
		return;
	check(o);
	vvm_free(heap, o->at);
	o->at = NULL;
}

/* What was in it is still there, whether it could be resized or not. */
static void resize(struct object *o, size_t bytes)
{
	struct object was = *o;
	unsigned i;
	char *to;

	check(o);
	to = o->at ? vvm_realloc(heap, o->at, bytes) : NULL;
	if (!to) {
		check(o);
		return;
	}
	was.at = to;
	for (i = 0; i < MARKS; i++)
		if ((char *)(mark(&was, i) + 1) <= to + bytes &&
		    *mark(&was, i) != live_stamp(was.key, i))
			live_fail("object %llu is not what it was before "
				  "realloc() from %zu to %zu",
				  (unsigned long long)was.key, was.bytes,
				  bytes);
	o->at = to;
	o->bytes = bytes;
	stamp(o, o->key);
}

/* ---- the heap ---- */

static void misused(void *arg, int what, const void *ptr, const char *text)
{
	(void)arg;
	live_fail("misuse %d is reported of %p: %s", what, ptr, text);
}

static int open_heap(unsigned flags)
{
	struct vvm_heap_options o = {
		.struct_size = sizeof(o),
		.reserve_bytes = RESERVE,
		.flags = flags,
		.report = misused,
	};

	heap = NULL;
	return vvm_heap_open(vm, &o, &heap);
}

static void open_space(void)
{
	struct vvm_options o;

	pages_options(&o, VVM_FORK_DIE);
	o.resident_bytes = BUDGET * LIVE_PAGE;
	o.frame_wait_ms = (uint64_t)wait_scaled(10000);
	vm = NULL;
	live_ok(vvm_open(&vm, &o));
}

static struct vvm_heap_stats heap_stats(void)
{
	struct vvm_heap_stats st;

	live_ok(vvm_heap_stats(heap, &st));
	return st;
}

/* Nothing is live: what the heap has is its own, and goes back. */
static void close_heap(void)
{
	struct vvm_heap_stats st = heap_stats();
	const char *bad = heap_check(heap);

	if (bad)
		live_fail("%s", bad);
	live_equal(st.live_objects, 0);
	live_equal(st.live_bytes, 0);
	live_equal(st.large_objects, 0);
	live_ok(vvm_heap_trim(heap));
	st = heap_stats();
	live_equal(st.dirty_bytes, 0);
	live_equal(st.misuses, 0);
	live_ok(vvm_heap_close(heap));
	pages_close();
}

/* ---- open and close ---- */

static void run_open(void)
{
	int rc;

	open_space();
	walk_arm();
	rc = open_heap(VVM_HEAP_HARDENED);
	PAGES_ALLOW(rc, ENOMEM);
	live_check(rc == 0 || !heap);
	if (rc == 0) {
		rc = vvm_heap_close(heap);
		PAGES_ALLOW(rc, ENOMEM);
		walk_disarm();
		if (rc)
			live_ok(vvm_heap_close(heap));
	}
	walk_disarm();
	pages_close();
}

/* ---- small objects ---- */

#define SMALL	    96	 /* several spans of each class, */
#define CLASSES	    3	 /* and few classes */
#define ROUND_BYTES 3000 /* across pages */

static void small_round(struct object *o, bool zero)
{
	unsigned i;

	for (i = 0; i < SMALL; i++)
		o[i] = make(ROUND_BYTES + i % CLASSES * 512, zero && i % 5 == 0,
			    i);
	for (i = 0; i < SMALL; i += 3)
		resize(&o[i], 4 * ROUND_BYTES);
	for (i = 0; i < SMALL; i++)
		drop(&o[i]);
	vvm_heap_trim(heap); /* the thread's cache, too; may fail */
}

/* Bookkeeping but for the table of pages. */
static uint64_t metadata(void)
{
	struct vvm_heap_stats st = heap_stats();

	return st.metadata_bytes - st.top_bytes / LIVE_PAGE * 16;
}

/* However often: what it needed once is enough. */
static void small(unsigned flags)
{
	struct object o[SMALL];
	uint64_t needed;
	unsigned i;

	open_space();
	live_ok(open_heap(flags));
	small_round(o, false);
	walk_arm();
	small_round(o, true);
	walk_disarm();
	small_round(o, true);
	needed = metadata();
	for (i = 0; i < 3; i++)
		small_round(o, true);
	live_check(metadata() <= needed);
	close_heap();
}

static void run_small(void)
{
	small(0);
}

static void run_hardened(void)
{
	small(VVM_HEAP_HARDENED);
}

/* ---- large objects ---- */

#define LARGE ((size_t)400 << 10)

/* Takes all that is left, so that what comes next was used before. */
static unsigned take_all(struct object *o, unsigned most)
{
	unsigned n;

	for (n = 0; n < most; n++) {
		o[n] = make(LARGE, false, 100 + n);
		if (!o[n].at)
			break;
	}
	return n;
}

static void large(unsigned flags)
{
	struct object o[24], zero[2];
	unsigned i, n;

	open_space();
	live_ok(open_heap(flags));
	n = take_all(o, 24);
	live_check(n >= 8 && n < 24);
	walk_arm();
	for (i = 0; i < 4; i++)
		drop(&o[i]);
	zero[0] = make(LARGE, true, 1);
	zero[1] = make(LARGE + 5000, true, 2);
	resize(&o[5], LARGE / 2);
	resize(&o[5], LARGE);
	resize(&o[7], 40000);
	walk_disarm();
	for (i = 4; i < n; i++)
		drop(&o[i]);
	drop(&zero[0]);
	drop(&zero[1]);
	live_ok(vvm_heap_trim(heap));
	zero[0] = make(2 * LARGE, true, 1);
	live_check(zero[0].at || walk.forever);
	drop(&zero[0]);
	close_heap();
}

static void run_large(void)
{
	large(0);
}

static void run_large_hardened(void)
{
	large(VVM_HEAP_HARDENED);
}

/* ---- an object that moves ---- */

/* It is discarded piece by piece while it is copied; calloc() has what is left. */
static void run_move(void)
{
	struct object o, wall, zero;

	open_space();
	live_ok(open_heap(0));
	o = make((size_t)5 << 19, false, 1);
	memset(o.at, 0x77, o.bytes);
	stamp(&o, 1);
	wall = make(LARGE, false, 2);
	walk_arm();
	resize(&o, (size_t)6 << 19);
	walk_disarm();
	zero = make((size_t)3 << 18, true, 3);
	live_check(zero.at && o.bytes == (size_t)6 << 19);
	check(&o);
	drop(&wall);
	drop(&zero);
	drop(&o);
	close_heap();
}

/*
 * What the heap itself asks for. That accesses fail where there are no pages is
 * inject/space.c's subject, and nothing that a heap could help; so what pages
 * need fails once only.
 */
static const unsigned own[] = {OS_map,	 OS_reserve, OS_unmap,	 OS_advise,
			       OS_punch, OS_protect, WALK_ALLOC, WALK_END};
static const unsigned discards[] = {OS_advise, OS_punch, OS_protect, WALK_END};

static const struct walk_scenario scenarios[] = {
	{.name = "heap", .run = run_open},
	{.name = "small", .run = run_small, own, discards},
	{.name = "small, hardened", .run = run_hardened, own, discards},
	{.name = "large", .run = run_large, own, discards},
	{.name = "large, hardened", .run = run_large_hardened, own, discards},
	{.name = "move", .run = run_move, discards, discards},
};

static void add_tests(Suite *s)
{
	walk_add(s, scenarios, LIVE_LEN(scenarios));
}

const struct test_program test_program = {
	.name = "inject_heap",
	.add = add_tests,
	.missing = live_missing,
	.modes = true,
	.unguarded = true,
	.begin = live_dir_make,
	.end = live_dir_remove,
};
