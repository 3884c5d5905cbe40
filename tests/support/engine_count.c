/* SPDX-License-Identifier: MIT */
#include "support/engine_count.h"

#include <check.h>

#include "support/engine.h"

static int64_t seen[VVM_STAT_COUNTER_COUNT];

void engine_remember(void)
{
	unsigned i;

	for (i = 0; i < VVM_STAT_COUNTER_COUNT; i++)
		seen[i] = stat_sum(&vm->stats, i);
}

/* Pages in flight, by the page table. */
static int64_t in_flight(enum page_state state)
{
	struct block *b;
	int64_t n = 0;
	unsigned i;

	pt_for_each_block (&vm->pt, b, 0, GUEST_END)
		for (i = 0; i < BLOCK_PAGES; i++)
			n += pte_state(b->pte[i]) == state;
	return n;
}

/* Times are not looked at; two gauges must be what the page table says. */
static bool not_compared(unsigned counter)
{
	return counter == VVM_STAT_stall_us || counter == VVM_STAT_swapin_us ||
	       counter == VVM_STAT_filling_pages ||
	       counter == VVM_STAT_writing_pages;
}

void engine_compare(const int64_t *want, int line)
{
	static const char *const names[] = {
#define X(name, kind, help) #name,
		VVM_STAT_COUNTERS(X)
#undef X
	};
	unsigned i;

	if (!STAT_ON)
		return;
	for (i = 0; i < VVM_STAT_COUNTER_COUNT; i++) {
		int64_t moved = stat_sum(&vm->stats, i) - seen[i];

		ck_assert_msg(not_compared(i) || moved == want[i],
			      "line %d: %s moved by %lld, not %lld", line,
			      names[i], (long long)moved, (long long)want[i]);
	}
	ck_assert_int_eq(stat_sum(&vm->stats, VVM_STAT_filling_pages),
			 in_flight(PAGE_FILLING));
	ck_assert_int_eq(stat_sum(&vm->stats, VVM_STAT_writing_pages),
			 in_flight(PAGE_WRITING));
	engine_remember();
}
