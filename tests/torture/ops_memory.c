/* SPDX-License-Identifier: MIT */
/*
 * torture/ops_memory.c - reading and writing: by pointer, checked, across
 * pages, by threads that come and go.
 */
#include <string.h>

#include "support/random.h"
#include "torture/ops.h"

/* An instruction that touches two pages wants frames for both at once. */
#define STRADDLE_BUDGET 64

static void op_fill(struct worker *w)
{
	uint64_t page = own_page(w);

	page_verify(page);
	page_write(w, page);
}

static void op_verify(struct worker *w)
{
	page_verify(own_page(w));
}

static void op_peek(struct worker *w)
{
	page_peek(live_below(&w->random, model.pages),
		  (unsigned)live_below(&w->random, PAGE_WORDS));
}

static void op_increment(struct worker *w)
{
	shared_increment(&w->random);
}

static void op_fixed(struct worker *w)
{
	fixed_look(&w->random);
}

/* Of one to all pages of a run: what moved before an error counts, too. */
static void op_store(struct worker *w)
{
	uint64_t run = own_run(w), n = 1 + live_below(&w->random, RUN_PAGES);
	uint64_t version = ++w->next_version, i;

	for (i = 0; i < n; i++) {
		page_begin(run + i, version);
		page_fill(w->buffer + i * LIVE_PAGE, run + i, version);
	}
	live_ok(vvm_store(vm, live_addr(page_at(run)), w->buffer,
			  n * LIVE_PAGE));
	for (i = 0; i < n; i++)
		page_end(run + i);
	page_verify(run + n - 1);
}

static void op_load(struct worker *w)
{
	uint64_t run = own_run(w), n = 1 + live_below(&w->random, RUN_PAGES);

	live_ok(vvm_load(vm, live_addr(page_at(run)), w->buffer,
			 n * LIVE_PAGE));
	for (uint64_t i = 0; i < n; i++)
		words_verify((void *)(w->buffer + i * LIVE_PAGE), run + i,
			     atomic_load(&model.version[run + i]), "vvm_load");
}

/* Eight bytes that lie in two pages, read and written by one instruction. */
static void op_straddle(struct worker *w)
{
	uint64_t run = own_run(w), was, half[2];
	char *edge = page_at(run + 1) - 4;

	if (option.budget < STRADDLE_BUDGET)
		return;
	page_scramble(run);
	page_scramble(run + 1);
	memcpy(&was, edge, 8);
	memcpy(half, page_at(run + 1) - 8, sizeof(half));
	live_check(was == (half[0] >> 32 | half[1] << 32));
	was = ~was;
	memcpy(edge, &was, 8);
	memcpy(&half[0], edge, 8);
	live_check(half[0] == was);
	was = ~was;
	memcpy(edge, &was, 8);
	page_end(run);
	page_end(run + 1);
	page_verify(run);
	page_verify(run + 1);
}

/* What its thread has written a new one finds, and the other way round. */
static void *visitor(void *arg)
{
	struct worker *w = arg;

	self = w;
	op_fill(w);
	shared_increment(&w->random);
	return NULL;
}

static void op_thread(struct worker *w)
{
	pthread_t thread;

	live_equal(pthread_create(&thread, NULL, visitor, w), 0);
	live_equal(pthread_join(thread, NULL), 0);
}

const struct op memory_ops[] = {
	{"fill", op_fill, 200, OP_FULL},
	{"verify", op_verify, 200, OP_FULL},
	{"peek", op_peek, 200, OP_FULL},
	{"increment", op_increment, 300, OP_FULL},
	{"fixed", op_fixed, 20, OP_NORMAL},
	{"store", op_store, 40, OP_NORMAL},
	{"load", op_load, 40, OP_NORMAL},
	{"straddle", op_straddle, 20, OP_NORMAL},
	{"thread", op_thread, 2, OP_NORMAL},
	{NULL, NULL, 0, OP_NORMAL},
};
