/* SPDX-License-Identifier: MIT */
/*
 * sim/work_heap.c - the program's use of a heap: objects that must not overlap,
 * and must keep what is in them.
 *
 * An object leaves the list before it is freed, and comes into it when it is
 * there: so after a fork the child's list is what the program had.
 */
#include "sim/work.h"

#include <string.h>

#include "sim/memory.h"
#include "sim/sched.h"

#define OBJECTS 192

static struct object {
	char *at; /* NULL: free */
	size_t bytes;
	uint64_t stamp;
	bool busy; /* somebody looks at it */
} objects[OBJECTS];

static void report(void *arg, int what, const void *ptr, const char *text)
{
	(void)arg;
	if (what != VVM_HEAP_REENTERED)
		sim_fail("the heap reports of %p: %s", ptr, text);
}

static void fork_prepare(void)
{
	if (sim_heap)
		vvm_heap_fork_prepare(sim_heap);
}

static void fork_parent(void)
{
	if (sim_heap)
		vvm_heap_fork_parent(sim_heap);
}

static void fork_child(void)
{
	if (sim_heap)
		vvm_heap_fork_child(sim_heap);
}

void sim_heap_open(void)
{
	struct vvm_heap_options o = {
		.struct_size = sizeof(o),
		.reserve_bytes = (uint64_t)1 << 20,
		.flags = K->params.hardened ? VVM_HEAP_HARDENED : 0,
		.report = report,
	};
	int rc;

	if (!K->params.heap)
		return;
	rc = vvm_heap_open(sim_vm, &o, &sim_heap);
	if (sim_may_fail("vvm_heap_open", rc, 0))
		return;
	pthread_atfork(fork_prepare, fork_parent, fork_child);
}

void sim_heap_close(void)
{
	struct vvm_heap *heap = sim_heap;

	sim_heap = NULL;
	sim_may_fail("vvm_heap_close", vvm_heap_close(heap), 0);
}

/* ---- objects ---- */

static void check_overlap(const char *at, size_t bytes)
{
	const struct object *o;

	for (o = objects; o < objects + OBJECTS; o++)
		if (o->at && at < o->at + o->bytes && o->at < at + bytes)
			sim_fail("the heap gives %p, %zu bytes, which meets "
				 "%p, %zu bytes",
				 (const void *)at, bytes, (void *)o->at,
				 o->bytes);
}

static int store(char *at, uint64_t value)
{
	int sig = sim_store_word(at, value);

	if (sig && !sim_lossy())
		sim_fail("signal %d at an object %p", sig, (void *)at);
	return sig;
}

static uint64_t stamp_of(const struct object *o, const char *at)
{
	return o->stamp ^ (uint64_t)(at - o->at);
}

static void verify_word(const struct object *o, const char *at)
{
	uint64_t value;
	int sig = sim_load_word(at, &value);

	if (sig && !sim_lossy())
		sim_fail("signal %d at an object %p", sig, (const void *)at);
	if (!sig && value != stamp_of(o, at))
		sim_fail("%p, in an object of %zu bytes at %p, is %llx, must "
			 "be %llx",
			 (const void *)at, o->bytes, (void *)o->at,
			 (unsigned long long)value,
			 (unsigned long long)stamp_of(o, at));
}

/* Both ends, at least 8 bytes each: shorter objects are only placed. */
static void verify(const struct object *o)
{
	if (o->bytes < 8 || !o->stamp)
		return;
	verify_word(o, o->at);
	verify_word(o, o->at + (o->bytes - 8));
}

static void fill(struct object *o)
{
	uint64_t stamp = sim_stamp();

	o->stamp = 0; /* not known until both ends are written */
	if (o->bytes < 8)
		return;
	if (store(o->at, stamp) ||
	    store(o->at + (o->bytes - 8), stamp ^ (o->bytes - 8)))
		return;
	if (o->bytes < 16 && o->bytes != 8) /* they overlap */
		return;
	o->stamp = stamp;
}

static size_t choose_size(void)
{
	if (K->params.object_bytes && !sim_chance(4))
		return K->params.object_bytes;
	switch (sim_below(8)) {
	case 0:
		return 1 + sim_below(20000);
	case 1:
		return sim_chance(4) ? 40000 + sim_below(60000) : 3000;
	default:
		return 1 + sim_below(400);
	}
}

static struct object *free_entry(void)
{
	struct object *o = &objects[sim_below(OBJECTS)];

	return o->at || o->busy ? NULL : o;
}

static struct object *live_entry(void)
{
	struct object *o = &objects[sim_below(OBJECTS)];

	return o->at && !o->busy ? o : NULL;
}

static void check_zero(const char *at, size_t bytes)
{
	uint64_t value = 0;

	if (bytes >= 8 && sim_load_word(at + (bytes - 8) / 2, &value) == 0 &&
	    value)
		sim_fail("calloc() gives %p, %zu bytes, not all zero",
			 (const void *)at, bytes);
}

static void allocate(struct object *o)
{
	size_t bytes = choose_size();
	bool zero = sim_chance(4);
	char *at;

	o->busy = true;
	if (zero)
		at = vvm_calloc(sim_heap, 1, bytes);
	else if (sim_chance(6))
		at = vvm_aligned_alloc(sim_heap, (size_t)16 << sim_below(9),
				       bytes);
	else
		at = vvm_malloc(sim_heap, bytes);
	if (at) {
		check_overlap(at, bytes);
		o->at = at;
		o->bytes = bytes;
		o->stamp = 0;
		if (zero)
			check_zero(at, bytes);
		fill(o);
	}
	o->busy = false;
}

static void release(struct object *o)
{
	char *at = o->at;

	o->busy = true;
	verify(o);
	o->at = NULL;
	vvm_free(sim_heap, at);
	o->busy = false;
}

static void resize(struct object *o)
{
	struct object old = *o;
	size_t bytes = choose_size();
	char *at;

	o->busy = true;
	verify(o);
	o->at = NULL;
	at = vvm_realloc(sim_heap, old.at, bytes);
	if (!at) { /* it is still there */
		*o = old;
		o->busy = false;
		return;
	}
	check_overlap(at, bytes);
	/* a child has no stamp of it until fill() has written both ends */
	*o = (struct object){.at = at, .bytes = bytes, .busy = true};
	old.at = at;
	if (bytes >= 8 && old.bytes >= 8 && old.stamp)
		verify_word(&old, at);
	fill(o);
	o->busy = false;
}

static void any_op(void)
{
	struct object *o = free_entry();

	if (o && sim_chance(2))
		allocate(o);
	o = live_entry();
	if (o && sim_chance(4))
		resize(o);
	else if (o && sim_chance(2))
		release(o);
	o = live_entry();
	if (o) {
		o->busy = true;
		verify(o);
		o->busy = false;
	}
}

/* Many of one kind after the other: caches are filled up and give back. */
static void burst(void)
{
	unsigned i, n = 10 + (unsigned)sim_below(40);
	bool up = sim_chance(2);
	struct object *o;

	for (i = 0; i < n; i++) {
		o = up ? free_entry() : live_entry();
		if (o && up)
			allocate(o);
		else if (o)
			release(o);
	}
}

void sim_heap_op(void)
{
	unsigned i, n = 1 + (unsigned)sim_below(10);

	if (!sim_heap)
		return;
	if (sim_chance(2))
		burst();
	for (i = 0; i < n; i++)
		any_op();
	if (sim_chance(20))
		sim_may_fail("vvm_heap_trim", vvm_heap_trim(sim_heap), 0);
}

/* What it gets must be nobody's, if it gets anything. */
void sim_heap_signal(void)
{
	struct object *o = free_entry();

	if (sim_heap && o)
		allocate(o);
}

static void verify_all(void)
{
	struct object *o;

	for (o = objects; o < objects + OBJECTS; o++)
		if (o->at)
			verify(o);
}

/* The table alone tells whether an object comes twice. */
static void allocate_untouched(struct object *o)
{
	size_t bytes = choose_size();
	char *at = vvm_malloc(sim_heap, bytes);

	if (!at)
		return;
	check_overlap(at, bytes);
	*o = (struct object){.at = at, .bytes = bytes};
}

void sim_heap_forked(bool alive)
{
	struct object *o;
	unsigned i;

	if (!sim_heap)
		return;
	for (o = objects; o < objects + OBJECTS; o++)
		o->busy = false;
	if (alive)
		verify_all();
	for (i = 0; i < OBJECTS; i++) {
		o = free_entry();
		if (o && alive)
			allocate(o);
		else if (o)
			allocate_untouched(o);
	}
	if (alive)
		verify_all();
}
