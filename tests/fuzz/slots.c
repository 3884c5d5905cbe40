/* SPDX-License-Identifier: MIT */
/*
 * fuzz/slots.c - the slots of a swap file (swap/slots.c), and those that are
 * held for fork children (swap/hold.c), against an array with one cell a slot.
 *
 * An input is the limit, and then orders: take a run, give a part of one back,
 * grow, hold, end a hold, and the same with memory refused. Compared: each
 * result; that nothing is handed out that somebody owns or holds; that a run is
 * the longest there is; how many slots are used and kept. At the end all is
 * given back, and nothing may be left.
 */
#include "fuzz/fuzz.h"

#include <errno.h>
#include <string.h>
#include "os/os.h"
#include "swap/hold.h"

#define LIMIT_MAX 9000 /* two groups of the summary, and a part of a third */
#define HOLDS_MAX 4

enum { FREE, OWNED, KEPT }; /* KEPT: given back, but held */

static struct slots slots;
static struct holds holds;
static struct hold *hold[HOLDS_MAX];

/* The model. held: one bit for each of hold[]. */
static struct {
	uint8_t owner[LIMIT_MAX + 1], held[LIMIT_MAX + 1];
	uint64_t area, used, kept;
} model;

static void model_find(uint64_t *longest, uint64_t *runs)
{
	uint64_t i, run = 0;

	*longest = *runs = 0;
	for (i = 1; i <= model.area; i++) {
		run = model.owner[i] == FREE ? run + 1 : 0;
		*runs += run == 1;
		*longest = MAX(*longest, run);
	}
}

static void model_take(uint64_t first, uint64_t n)
{
	uint64_t i;

	MUST(first >= 1 && first + n <= model.area + 1);
	for (i = first; i < first + n; i++) {
		MUST(model.owner[i] == FREE && !model.held[i]);
		model.owner[i] = OWNED;
	}
	model.used += n;
}

static void model_free(uint64_t slot)
{
	model.owner[slot] = FREE;
	model.used--;
}

static void model_give(uint64_t slot)
{
	MUST(model.owner[slot] == OWNED);
	if (!model.held[slot]) {
		model_free(slot);
		return;
	}
	model.owner[slot] = KEPT;
	model.kept++;
}

/* ---- orders ---- */

static void take(uint64_t want, bool force)
{
	bool growable = model.area < slots.limit;
	uint64_t longest, runs, first, got;
	int err = slots_take(&slots, want, force, &first, &got);

	model_find(&longest, &runs);
	if (longest == 0) {
		MUST_EQ(err, growable ? -EAGAIN : -ENOSPC);
		return;
	}
	if (err) {
		MUST_EQ(err, -EAGAIN);
		MUST(!force && growable);
		MUST(longest < want || runs > SLOTS_SEARCH_RUNS);
		return;
	}
	MUST(got >= 1 && got <= want);
	MUST(got == MIN(want, longest) || runs > SLOTS_SEARCH_RUNS);
	MUST(got == want || force || !growable);
	model_take(first, got);
}

/* What is owned from a slot on, `most` at most. */
static void give(uint64_t from, uint64_t most)
{
	uint64_t first = from, end, i;

	while (first <= model.area && model.owner[first] != OWNED)
		first++;
	for (end = first; end <= model.area && end - first < most; end++)
		if (model.owner[end] != OWNED)
			break;
	if (end == first)
		return;
	holds_give(&holds, &slots, first, end - first);
	for (i = first; i < end; i++)
		model_give(i);
}

static void grow(uint64_t by)
{
	model.area = MIN(model.area + by, slots.limit);
	slots_grow(&slots, model.area);
}

/* in_between: the area grows between the two steps. */
static void begin_hold(unsigned n, uint64_t in_between)
{
	uint64_t words = model.area / 64, i;

	if (hold[n])
		return;
	MUST_EQ(hold_new(&holds, &slots, &hold[n]), 0);
	if (in_between)
		grow(in_between);
	if (!hold_begin(&holds, &slots, hold[n])) {
		MUST(model.area / 64 > words);
		hold_free(hold[n]);
		hold[n] = NULL;
		return;
	}
	MUST_EQ(model.area / 64, words);
	for (i = 1; i <= model.area; i++)
		if (model.owner[i] == OWNED)
			model.held[i] |= (uint8_t)(1u << n);
}

static void end_hold(unsigned n)
{
	uint64_t i;

	if (!hold[n])
		return;
	hold_end(&holds, &slots, hold[n]);
	hold_free(hold[n]);
	hold[n] = NULL;
	for (i = 1; i <= model.area; i++) {
		model.held[i] &= (uint8_t) ~(1u << n);
		if (model.owner[i] != KEPT || model.held[i])
			continue;
		model_free(i);
		model.kept--;
	}
}

static void refuse_hold(unsigned n, unsigned nth)
{
	struct hold *unused;

	if (hold[n])
		return;
	os_inject_clear();
	os_inject(OS_map, nth, true, ENOMEM);
	MUST_EQ(hold_new(&holds, &slots, &unused), -ENOMEM);
	os_inject_clear();
}

static void obey(struct fuzz_input *in)
{
	unsigned what = fuzz_below(in, 16), a = fuzz_byte(in);

	if (what < 6)
		take(1 + a % (what < 3 ? 8 : 256), what & 1);
	else if (what < 11)
		give(1 + fuzz_word(in) % LIMIT_MAX,
		     1 + a % (what < 9 ? 9 : 200));
	else if (what == 11)
		grow(a * 16);
	else if (what == 12)
		begin_hold(a % HOLDS_MAX, a < 240 ? 0 : a);
	else if (what < 15)
		end_hold(a % HOLDS_MAX);
	else
		refuse_hold(a % HOLDS_MAX, 1);
}

static void check(void)
{
	slots_check(&slots);
	MUST_EQ(slots.area, model.area);
	MUST_EQ(slots.used, model.used);
	MUST_EQ(holds.kept_count, model.kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	unsigned n;

	memset(&model, 0, sizeof(model));
	MUST_EQ(slots_init(&slots, 1 + fuzz_word(&in) % LIMIT_MAX), 0);
	grow(slots.limit / 2);
	while (in.size) {
		obey(&in);
		check();
	}
	for (n = 0; n < HOLDS_MAX; n++)
		end_hold(n);
	MUST_EQ(model.kept, 0);
	while (model.used)
		give(1, LIMIT_MAX);
	check();
	holds_fini(&holds, &slots);
	slots_fini(&slots);
	return 0;
}

const long fuzz_runs = 3000;

size_t fuzz_make(uint8_t *data, size_t most)
{
	size_t size = fuzz_make_bytes(data, 8, most < 250 ? most : 250);

	if (fuzz_random() % 2) /* a small area is full soon */
		data[1] = 0;
	return size;
}
