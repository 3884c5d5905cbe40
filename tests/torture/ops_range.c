/* SPDX-License-Identifier: MIT */
/*
 * torture/ops_range.c - calls on ranges: protect, advise, discard, touch, pin,
 * map, unmap, resize, look. And regions that are replaced while other threads
 * read them.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "support/access.h"
#include "support/random.h"
#include "torture/ops.h"

#define SLOTS	   8
#define SLOT_PAGES 16

/* A region, and a turn as pages have it: odd while it is being replaced. */
static struct slot {
	char *_Atomic base;
	_Atomic uint64_t turn;
	atomic_flag changing;
} slots[SLOTS];

/* ---- permissions ---- */

static void op_protect(struct worker *w)
{
	uint64_t page = own_page(w), value, a = live_addr(page_at(page));

	page_disturb(page);
	live_ok(vvm_protect(vm, a, LIVE_PAGE, VVM_READ));
	page_verify(page);
	live_equal(live_try_store(page_at(page), 1), SIGSEGV);
	live_ok(vvm_protect(vm, a, LIVE_PAGE, VVM_NONE));
	live_equal(live_try_load(page_at(page) + 64, &value), SIGSEGV);
	live_check(live_signal_addr == page_at(page) + 64);
	live_ok(vvm_protect(vm, a, LIVE_PAGE, LIVE_RW));
	page_end(page);
	page_verify(page);
}

/* ---- content that is void, and advice ---- */

static void op_discard(struct worker *w)
{
	uint64_t run = own_run(w), n = 1 + live_below(&w->random, RUN_PAGES);

	for (uint64_t i = 0; i < n; i++) {
		page_verify(run + i);
		page_begin(run + i, 0);
	}
	live_ok(vvm_advise(vm, live_addr(page_at(run)), n * LIVE_PAGE,
			   VVM_ADV_DONTNEED));
	for (uint64_t i = 0; i < n; i++)
		page_end(run + i);
	page_verify(run);
}

static void op_advise(struct worker *w)
{
	static const enum vvm_advice kinds[] = {
		VVM_ADV_WILLNEED, VVM_ADV_COLD,	      VVM_ADV_WILLNEED,
		VVM_ADV_COLD,	  VVM_ADV_SEQUENTIAL, VVM_ADV_RANDOM,
		VVM_ADV_NORMAL};
	uint64_t first = live_below(&w->random, model.pages);
	uint64_t n = 1 + live_below(&w->random, 64);

	n = first + n > model.pages ? model.pages - first : n;
	live_ok(vvm_advise(vm, live_addr(page_at(first)), n * LIVE_PAGE,
			   kinds[live_below(&w->random, LIVE_LEN(kinds))]));
}

/* ---- residency ---- */

static void op_touch(struct worker *w)
{
	uint64_t run = own_run(w), n = 1 + live_below(&w->random, RUN_PAGES);

	for (int how = VVM_TOUCH_READ; how <= VVM_TOUCH_WRITE; how++)
		live_ok(vvm_touch(vm, live_addr(page_at(run)), n * LIVE_PAGE,
				  (enum vvm_touch)how));
	page_verify(run);
}

/*
 * Written while pinned: what a fork copies of such a page may be of any moment
 * until the pin is gone.
 */
static void op_pin(struct worker *w)
{
	uint64_t page = own_page(w), a = live_addr(page_at(page));
	uint64_t version = ++w->next_version;
	int r;

	page_begin(page, version);
	r = vvm_pin(vm, a, LIVE_PAGE);
	if (r == -EAGAIN) {
		page_becomes(page, atomic_load(&model.version[page]));
		return;
	}
	live_ok(r);
	live_check(live_flags(vm, page_at(page)) & VVM_PAGE_PINNED);
	page_verify(page);
	live_expect(vvm_advise(vm, a, LIVE_PAGE, VVM_ADV_DONTNEED), -EBUSY);
	page_fill(page_at(page), page, version);
	words_verify((const uint64_t *)(void *)page_at(page), page, version,
		     "pinned");
	live_ok(vvm_unpin(vm, a, LIVE_PAGE));
	page_end(page);
	page_verify(page);
}

static void op_look(struct worker *w)
{
	uint64_t page = live_below(&w->random, model.pages), addr;
	unsigned char flags[64];
	struct vvm_region region;
	uint64_t n = 1 + live_below(&w->random, LIVE_LEN(flags));

	n = page + n > model.pages ? model.pages - page : n;
	live_ok(vvm_residency(vm, live_addr(page_at(page)), n * LIVE_PAGE,
			      flags));
	live_ok(vvm_query(vm, live_addr(page_at(page)), &region));
	live_check(region.start <= live_addr(page_at(page)) &&
		   region.end > live_addr(page_at(page)));
	live_ok(vvm_addr(vm, page_at(page), &addr));
	live_check(vvm_ptr(vm, addr) == page_at(page));
	live_ok(vvm_fetch_check(vm, addr, 1) == -VVM_ENOEXEC ? 0 : -1);
}

/* Up to twice the budget and down to a quarter: one thread does it. */
static void op_resize(struct worker *w)
{
	uint64_t budget = (uint64_t)option.budget, least = budget / 4 + 1;
	uint64_t n = least + live_below(&w->random, 2 * budget - least + 1);
	int r;

	if (w->id)
		return;
	if (n > model.budget) /* the watcher must not see more than it knows */
		model.budget = n;
	r = vvm_resize(vm, n * LIVE_PAGE);
	if (r == -EBUSY) /* pins: the old budget holds */
		model.budget = 2 * budget;
	else
		live_ok(r);
	if (r == 0)
		model.budget = n;
}

/* ---- regions that come and go ---- */

static void fill_region(char *p, uint64_t n, uint64_t version)
{
	for (uint64_t i = 0; i < n; i++) {
		live_check(live_is_zero(p + i * LIVE_PAGE));
		live_fill(p + i * LIVE_PAGE, i, version);
	}
}

/* With a hole in it for a while. */
static void op_region(struct worker *w)
{
	uint64_t n = 3 + live_below(&w->random, 40), cut, value;
	uint64_t version = ++w->next_version * 128 + w->id;
	char *p = live_map(vm, n, LIVE_RW);

	fill_region(p, n, version);
	cut = 1 + live_below(&w->random, n - 2);
	live_ok(vvm_unmap(vm, live_addr(p) + cut * LIVE_PAGE, LIVE_PAGE));
	live_expect(vvm_load(vm, live_addr(p) + cut * LIVE_PAGE, &value, 8),
		    -VVM_EUNMAPPED);
	for (uint64_t i = 0; i < n; i++)
		if (i != cut)
			live_equal(live_verify(p + i * LIVE_PAGE, i, version),
				   -1);
	live_ok(vvm_unmap(vm, live_addr(p), n * LIVE_PAGE));
}

/* The same where an access may fail: nothing is looked at but by calls. */
static void op_region_full(struct worker *w)
{
	uint64_t n = 3 + live_below(&w->random, 10);
	char *p = live_map(vm, n, LIVE_RW);

	for (uint64_t i = 0; i < n; i++) {
		int r = vvm_store(vm, live_addr(p) + i * LIVE_PAGE, &n, 8);

		if (r)
			live_expect(r, -VVM_ENOFRAME);
	}
	live_ok(vvm_unmap(vm, live_addr(p), n * LIVE_PAGE));
}

static uint64_t slot_stamp(const void *at)
{
	return live_stamp(live_addr(at), 0);
}

static char *make_slot(void)
{
	char *base = live_map(vm, SLOT_PAGES, LIVE_RW);

	for (uint64_t i = 0; i < SLOT_PAGES; i++)
		*(uint64_t *)(void *)(base + i * LIVE_PAGE) =
			slot_stamp(base + i * LIVE_PAGE);
	return base;
}

/* Unmaps what others read, or are waiting for, and maps another one. */
static void op_replace(struct worker *w)
{
	struct slot *s = &slots[live_below(&w->random, SLOTS)];

	if (atomic_flag_test_and_set(&s->changing))
		return;
	atomic_fetch_add(&s->turn, 1);
	live_ok(vvm_unmap(vm, live_addr(s->base), SLOT_PAGES * LIVE_PAGE));
	atomic_store(&s->base, make_slot());
	atomic_fetch_add(&s->turn, 1);
	atomic_flag_clear(&s->changing);
}

/* Right while it stands; else right, or a signal that is left by a jump. */
static void op_visit(struct worker *w)
{
	struct slot *s = &slots[live_below(&w->random, SLOTS)];
	uint64_t turn = atomic_load(&s->turn), value = 0;
	char *at = atomic_load(&s->base) +
		   live_below(&w->random, SLOT_PAGES) * LIVE_PAGE;
	int sig = live_try_load(at, &value);

	if (turn % 2 == 0 && turn == atomic_load(&s->turn)) {
		live_equal(sig, 0);
		live_equal(value, slot_stamp(at));
	} else if (sig) {
		live_equal(sig, SIGSEGV);
		live_check(live_signal_addr == at);
	}
}

void range_open(void)
{
	memset(slots, 0, sizeof(slots));
	if (option.full)
		return;
	for (unsigned i = 0; i < SLOTS; i++)
		slots[i].base = make_slot();
}

void range_close(void)
{
	for (unsigned i = 0; i < SLOTS && !option.full; i++)
		live_ok(vvm_unmap(vm, live_addr(slots[i].base),
				  SLOT_PAGES * LIVE_PAGE));
}

const struct op range_ops[] = {
	{"protect", op_protect, 20, OP_NORMAL},
	{"discard", op_discard, 30, OP_FULL},
	{"advise", op_advise, 10, OP_FULL},
	{"touch", op_touch, 20, OP_NORMAL},
	{"pin", op_pin, 20, OP_NORMAL},
	{"look", op_look, 10, OP_FULL},
	{"resize", op_resize, 1, OP_NORMAL},
	{"region", op_region, 3, OP_NORMAL},
	{"region (full)", op_region_full, 3, OP_FULL},
	{"replace", op_replace, 2, OP_NORMAL},
	{"visit", op_visit, 30, OP_NORMAL},
	{NULL, NULL, 0, OP_NORMAL},
};
