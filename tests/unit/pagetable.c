/* SPDX-License-Identifier: MIT */
/*
 * unit/pagetable.c - the page table: every move of the life of a page,
 * counts, tree shape, races of pt_get(), running out of memory.
 */
#include "space/pagetable.h"
#include "os/os.h"
#include "support/test.h"
#include "support/wait.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

static struct pagetable pt;

static void setup(void)
{
	ck_assert_int_eq(pt_init(&pt), 0);
}

static void teardown(void)
{
	os_inject_clear();
	pt_check(&pt);
	pt_fini(&pt);
}

/* xorshift64*: the tests' only source of chance. */
static uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 2685821657736338717ull;
}

/* ---- moves ---- */

/* The legal moves once more, as text: "from to". */
static const char *const moves[] = {
	"none fresh",	    "fresh none",      "fresh filling",
	"fresh clean",	    "fresh dirty",     "swapped none",
	"swapped fresh",    "swapped filling", "filling fresh",
	"filling swapped",  "filling clean",   "filling dirty",
	"filling poisoned", "clean none",      "clean fresh",
	"clean swapped",    "clean dirty",     "dirty none",
	"dirty fresh",	    "dirty clean",     "dirty writing",
	"writing none",	    "writing fresh",   "writing clean",
	"writing dirty",    "poisoned none",   "poisoned fresh",
	"dirty frozen",	    "frozen none",     "frozen fresh",
	"frozen swapped",   "frozen dirty",    "fresh swapped",
};

static bool listed(enum page_state from, enum page_state to)
{
	char text[64];
	size_t i;

	snprintf(text, sizeof(text), "%s %s", pt_state_name(from),
		 pt_state_name(to));
	for (i = 0; i < ARRAY_SIZE(moves); i++)
		if (!strcmp(moves[i], text))
			return true;
	return false;
}

START_TEST(legal_moves_are_the_documented_ones)
{
	unsigned from, to;

	for (from = 0; from < PAGE_STATES; from++)
		for (to = 0; to < PAGE_STATES; to++)
			ck_assert_msg(pt_legal(from, to) == listed(from, to),
				      "%s -> %s", pt_state_name(from),
				      pt_state_name(to));
	ck_assert(!pt_legal(PAGE_STATES, PAGE_NONE));
	ck_assert(!pt_legal(PAGE_NONE, PAGE_STATES));
	ck_assert_str_eq(pt_state_name(PAGE_STATES), "?");
}
END_TEST

static uint64_t slot_for(enum page_state s)
{
	return s == PAGE_SWAPPED || s == PAGE_CLEAN ? 77 : 0;
}

/* Brings the NONE page i of b to state s by legal moves. */
static void bring_to(struct block *b, unsigned i, enum page_state s)
{
	static const enum page_state path[PAGE_STATES][4] = {
		[PAGE_FRESH] = {PAGE_FRESH},
		[PAGE_SWAPPED] = {PAGE_FRESH, PAGE_CLEAN, PAGE_SWAPPED},
		[PAGE_FILLING] = {PAGE_FRESH, PAGE_FILLING},
		[PAGE_CLEAN] = {PAGE_FRESH, PAGE_CLEAN},
		[PAGE_DIRTY] = {PAGE_FRESH, PAGE_DIRTY},
		[PAGE_WRITING] = {PAGE_FRESH, PAGE_DIRTY, PAGE_WRITING},
		[PAGE_FROZEN] = {PAGE_FRESH, PAGE_DIRTY, PAGE_FROZEN},
		[PAGE_POISONED] = {PAGE_FRESH, PAGE_FILLING, PAGE_POISONED},
	};
	unsigned step;

	for (step = 0; step < 4 && path[s][step] != PAGE_NONE; step++)
		pt_move(b, i, path[s][step], slot_for(path[s][step]));
	ck_assert_uint_eq(pte_state(b->pte[i]), s);
}

START_TEST(every_legal_move_works)
{
	struct block *b = pt_get(&pt, 0, NULL);
	unsigned from, to;

	lock_take(&b->lock);
	for (from = 0; from < PAGE_STATES; from++) {
		for (to = 0; to < PAGE_STATES; to++) {
			if (!pt_legal(from, to))
				continue;
			memset(b->pte, 0, sizeof(b->pte));
			b->mapped = b->resident = b->dirty = b->filling = 0;
			b->swapped = 0;
			bring_to(b, 9, from);
			pt_check_block(b);
			pt_move(b, 9, to, slot_for(to));
			ck_assert_uint_eq(pte_state(b->pte[9]), to);
			ck_assert_uint_eq(pte_slot(b->pte[9]), slot_for(to));
			pt_check_block(b);
		}
	}
	lock_drop(&b->lock);
}
END_TEST

/* vvm_stat.h's byte for a page follows each move, its block's counts too. */
START_TEST(moves_are_published)
{
	static struct stats st;
	uint8_t seen[BLOCK_PAGES];
	struct block *b;
	unsigned s;

	ck_assert_int_eq(stat_open(&st, true), 0);
	pt.stats = &st;
	b = pt_get(&pt, 5 * BLOCK_BYTES, NULL);
	ck_assert_ptr_nonnull(b->stat);
	ck_assert_uint_eq(b->stat->base, 5 * BLOCK_BYTES + 1);
	lock_take(&b->lock);
	for (s = PAGE_FRESH; s <= PAGE_POISONED; s++) {
		bring_to(b, s, s);
		ck_assert_uint_eq(b->stat->page[s] & VVM_STAT_PAGE_STATE, s);
	}
	ck_assert_uint_eq(b->stat->page[PAGE_CLEAN] & VVM_STAT_PAGE_SLOT,
			  VVM_STAT_PAGE_SLOT);
	ck_assert_uint_eq(VVM_STAT_BLOCK_MAPPED(b->stat->pages), PAGE_POISONED);
	ck_assert_uint_eq(VVM_STAT_BLOCK_RESIDENT(b->stat->pages), 3);
	ck_assert_uint_eq(VVM_STAT_BLOCK_DIRTY(b->stat->pages), 2);
	ck_assert_uint_eq(VVM_STAT_BLOCK_SWAPPED(b->stat->pages), 1);
	bring_to(b, PAGE_FROZEN, PAGE_FROZEN); /* no matter of readers */
	ck_assert_uint_eq(b->stat->page[PAGE_FROZEN], VVM_STAT_PAGE_DIRTY);
	ck_assert_ptr_nonnull(pt_pins(&pt, b));
	pt_set_pinned(b, PAGE_DIRTY, true);
	ck_assert(b->stat->page[PAGE_DIRTY] & VVM_STAT_PAGE_PINNED);
	b->pte[PAGE_DIRTY] = pte_with_age(b->pte[PAGE_DIRTY], PTE_AGE_MAX);
	b->pte[PAGE_CLEAN] |= PTE_PREFETCHED;
	pt_publish_ages(b);
	ck_assert_uint_eq(VVM_STAT_PAGE_HEAT(b->stat->page[PAGE_DIRTY]),
			  PTE_AGE_MAX);
	ck_assert(b->stat->page[PAGE_CLEAN] & VVM_STAT_PAGE_AHEAD);
	for (s = 0; s < BLOCK_PAGES; s++)
		seen[s] = b->stat->page[s];
	memset(b->stat->page, 0xff, sizeof(b->stat->page));
	pt_publish_block(b);
	for (s = 0; s < BLOCK_PAGES; s++)
		ck_assert_uint_eq(b->stat->page[s], seen[s]);
	lock_drop(&b->lock);
	pt.stats = NULL;
	stat_close(&st);
}
END_TEST

START_TEST(permissions_survive_until_unmapped)
{
	struct block *b = pt_get(&pt, 0, NULL);

	lock_take(&b->lock);
	pt_move(b, 3, PAGE_FRESH, 0);
	pt_set_perms(b, 3, PTE_READ | PTE_WRITE);
	pt_move(b, 3, PAGE_FILLING, 0);
	pt_move(b, 3, PAGE_DIRTY, 0);
	pt_set_perms(b, 3, PTE_READ | PTE_EXEC);
	pt_move(b, 3, PAGE_WRITING, 0);
	pt_move(b, 3, PAGE_CLEAN, 5);
	pt_move(b, 3, PAGE_SWAPPED, 5);
	ck_assert_uint_eq(b->pte[3] & PTE_PERMS, PTE_READ | PTE_EXEC);
	pt_move(b, 3, PAGE_NONE, 0);
	ck_assert_uint_eq(b->pte[3], 0);
	pt_check_block(b);
	lock_drop(&b->lock);
}
END_TEST

START_TEST(losing_the_frame_clears_pin_age_and_prefetched)
{
	struct block *b = pt_get(&pt, 0, NULL);

	lock_take(&b->lock);
	pt_move(b, 0, PAGE_FRESH, 0);
	pt_move(b, 0, PAGE_CLEAN, 8);
	b->pte[0] = pte_with_age(b->pte[0], 3) | PTE_PREFETCHED;
	ck_assert_ptr_nonnull(pt_pins(&pt, b));
	b->pins[0] = 2;
	pt_set_pinned(b, 0, true);
	ck_assert_uint_eq(b->pinned, 1);
	pt_move(b, 0, PAGE_DIRTY, 0);
	ck_assert_uint_eq(pte_age(b->pte[0]), 3);
	ck_assert(b->pte[0] & PTE_PREFETCHED && b->pte[0] & PTE_PINNED);
	pt_check_block(b);
	pt_move(b, 0, PAGE_FRESH, 0);
	ck_assert_uint_eq(b->pte[0], PTE_MAPPED);
	ck_assert_uint_eq(b->pinned, 0);
	ck_assert_uint_eq(b->pins[0], 0);
	pt_check_block(b);
	lock_drop(&b->lock);
}
END_TEST

START_TEST(unpinning_keeps_the_page)
{
	struct block *b = pt_get(&pt, 0, NULL);

	lock_take(&b->lock);
	pt_move(b, 1, PAGE_FRESH, 0);
	pt_move(b, 1, PAGE_DIRTY, 0);
	ck_assert_ptr_eq(pt_pins(&pt, b), pt_pins(&pt, b));
	pt_set_pinned(b, 1, true);
	pt_set_pinned(b, 1, true);
	ck_assert_uint_eq(b->pinned, 1);
	pt_set_pinned(b, 1, false);
	ck_assert_uint_eq(b->pinned, 0);
	ck_assert_uint_eq(pte_state(b->pte[1]), PAGE_DIRTY);
	pt_check_block(b);
	lock_drop(&b->lock);
}
END_TEST

/* Random legal moves on a whole block against counts made from scratch. */
START_TEST(random_moves_keep_the_counts)
{
	struct block *b = pt_get(&pt, 0, NULL);
	uint64_t seed = 42;
	unsigned n, i, to;

	lock_take(&b->lock);
	for (n = 0; n < 400000; n++) {
		i = random_next(&seed) % BLOCK_PAGES;
		to = random_next(&seed) % PAGE_STATES;
		if (pt_legal(pte_state(b->pte[i]), to))
			pt_move(b, i, to, slot_for(to));
		if (n % 97 == 0)
			pt_check_block(b);
	}
	for (i = 0; i < BLOCK_PAGES; i++) {
		if (pte_state(b->pte[i]) == PAGE_FILLING)
			pt_move(b, i, PAGE_FRESH, 0);
		if (pte_state(b->pte[i]) != PAGE_NONE)
			pt_move(b, i, PAGE_NONE, 0);
	}
	ck_assert_uint_eq(b->mapped + b->resident + b->dirty + b->filling, 0);
	pt_check_block(b);
	lock_drop(&b->lock);
}
END_TEST

/* Each of these breaks a promise and must abort. */
enum abuse {
	ILLEGAL_MOVE,
	NO_SLOT,
	SLOT_OF_DIRTY,
	HUGE_SLOT,
	NOT_LOCKED,
	PERMS_OF_NONE,
	PIN_ABSENT,
	FREE_MAPPED,
	WRONG_COUNT,
	PAST_END,
	ABUSES
};

START_TEST(broken_promises_abort)
{
	struct block *b = pt_get(&pt, 0, NULL);

	if (_i != NOT_LOCKED)
		lock_take(&b->lock);
	if (_i != NOT_LOCKED)
		pt_move(b, 0, PAGE_FRESH, 0);
	switch ((enum abuse)_i) {
	case ILLEGAL_MOVE:
		pt_move(b, 0, PAGE_WRITING, 0);
		break;
	case NO_SLOT:
		pt_move(b, 0, PAGE_CLEAN, 0);
		pt_move(b, 0, PAGE_SWAPPED, 0);
		break;
	case SLOT_OF_DIRTY:
		pt_move(b, 0, PAGE_DIRTY, 1);
		break;
	case HUGE_SLOT:
		pt_move(b, 0, PAGE_CLEAN, (uint64_t)1 << 52);
		break;
	case NOT_LOCKED:
		pt_move(b, 0, PAGE_FRESH, 0);
		break;
	case PERMS_OF_NONE:
		pt_set_perms(b, 1, PTE_READ);
		break;
	case PIN_ABSENT:
		pt_pins(&pt, b);
		pt_set_pinned(b, 0, true);
		break;
	case FREE_MAPPED:
		lock_drop(&b->lock);
		pt_free_block(&pt, b);
		break;
	case WRONG_COUNT:
		b->resident++;
		pt_check_block(b);
		break;
	case PAST_END:
		pt_get(&pt, GUEST_END, NULL);
		break;
	case ABUSES:
		break;
	}
}
END_TEST

/* ---- the tree ---- */

/* Ascending block addresses, at borders of every level. */
static const gaddr_t corners[] = {
	0,
	BLOCK_BYTES,
	(gaddr_t)1 << 30,
	(gaddr_t)511 << 30,
	(gaddr_t)1 << 39,
	(gaddr_t)0x7f1234200000,
	(gaddr_t)255 << 39,
	GUEST_END - 2 * BLOCK_BYTES,
	GUEST_END - BLOCK_BYTES,
};

START_TEST(find_and_get_agree)
{
	struct block *b;
	bool fresh;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(corners); i++) {
		ck_assert_ptr_null(pt_find(&pt, corners[i]));
		b = pt_get(&pt, corners[i] + 12345, &fresh);
		ck_assert(fresh);
		ck_assert_uint_eq(b->base, corners[i]);
		ck_assert_ptr_eq(pt_find(&pt, corners[i]), b);
		ck_assert_ptr_eq(pt_get(&pt, corners[i], &fresh), b);
		ck_assert(!fresh);
		ck_assert_ptr_eq(pt_find(&pt, corners[i] + BLOCK_BYTES - 1), b);
		ck_assert(list_empty(&b->clock_link) && !b->on_clock);
	}
	ck_assert_uint_eq(pt.block_count, ARRAY_SIZE(corners));
	ck_assert_ptr_null(pt_find(&pt, GUEST_END));
	ck_assert_ptr_null(pt_find(&pt, UINT64_MAX));
}
END_TEST

START_TEST(next_visits_all_in_order)
{
	struct block *b;
	size_t i = 0;

	ck_assert_ptr_null(pt_next(&pt, 0, GUEST_END));
	for (i = ARRAY_SIZE(corners); i-- > 0;)
		pt_get(&pt, corners[i], NULL);
	i = 0;
	pt_for_each_block (&pt, b, 0, GUEST_END)
		ck_assert_uint_eq(b->base, corners[i++]);
	ck_assert_uint_eq(i, ARRAY_SIZE(corners));
	/* From inside a block finds that block; end is exclusive. */
	b = pt_next(&pt, BLOCK_BYTES + 5, GUEST_END);
	ck_assert_uint_eq(b->base, BLOCK_BYTES);
	ck_assert_ptr_null(pt_next(&pt, 2 * BLOCK_BYTES, (gaddr_t)1 << 30));
	b = pt_next(&pt, 2 * BLOCK_BYTES, ((gaddr_t)1 << 30) + 1);
	ck_assert_uint_eq(b->base, (gaddr_t)1 << 30);
	ck_assert_ptr_null(pt_next(&pt, 0, 0));
	ck_assert_ptr_null(pt_next(&pt, GUEST_END, GUEST_END));
	ck_assert_ptr_null(pt_next(&pt, UINT64_MAX, GUEST_END));
}
END_TEST

/* 2^27 empty leaves lie between; only the case's time limit is at stake. */
START_TEST(next_skips_holes_fast)
{
	struct block *b;
	unsigned n, count = 0;

	for (n = 0; n < ARRAY_SIZE(corners); n++)
		pt_get(&pt, corners[n], NULL);
	for (n = 0; n < 20000; n++)
		pt_for_each_block (&pt, b, 0, GUEST_END)
			count++;
	ck_assert_uint_eq(count, 20000 * ARRAY_SIZE(corners));
}
END_TEST

START_TEST(freeing_returns_all_memory)
{
	uint64_t nodes = pt.nodes.used_objects;
	struct block *b;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(corners); i++) {
		b = pt_get(&pt, corners[i], NULL);
		lock_take(&b->lock);
		ck_assert_ptr_nonnull(pt_pins(&pt, b));
		lock_drop(&b->lock);
	}
	ck_assert_uint_gt(pt.nodes.used_objects, nodes);
	for (i = 0; i < ARRAY_SIZE(corners); i++) {
		pt_free_block(&pt, pt_find(&pt, corners[i]));
		ck_assert_ptr_null(pt_find(&pt, corners[i]));
		pt_check(&pt);
	}
	ck_assert_uint_eq(pt.nodes.used_objects, nodes);
	ck_assert_uint_eq(pt.blocks.used_objects, 0);
	ck_assert_uint_eq(pt.pins.used_objects, 0);
	ck_assert_uint_eq(pt.block_count, 0);
}
END_TEST

/* A recycled block must be as good as new. */
START_TEST(a_freed_block_comes_back_empty)
{
	struct block *b = pt_get(&pt, 0, NULL);

	lock_take(&b->lock);
	pt_move(b, 5, PAGE_FRESH, 0);
	pt_move(b, 5, PAGE_NONE, 0);
	pt_pins(&pt, b)[5] = 3;
	lock_drop(&b->lock);
	b->filled_us = 99;
	pt_free_block(&pt, b);
	b = pt_get(&pt, corners[6], NULL);
	ck_assert_ptr_null(b->pins);
	ck_assert_uint_eq(b->filled_us, 0);
	lock_take(&b->lock);
	ck_assert_uint_eq(pt_pins(&pt, b)[5], 0);
	pt_check_block(b);
	lock_drop(&b->lock);
}
END_TEST

static void *wait_for_busy(void *arg)
{
	struct waitq *q = arg;

	return (void *)(intptr_t)waitq_wait(q, waitq_ticket(q),
					    (int64_t)wait_scaled(5000000));
}

static void start_waiter(pthread_t *thread, struct waitq *q)
{
	uint32_t before = atomic_load(&q->waiters);

	ck_assert_int_eq(pthread_create(thread, NULL, wait_for_busy, q), 0);
	while (atomic_load(&q->waiters) == before)
		os_sleep_us(100);
}

/*
 * A thread that waited for a page may find out late (fault/inline.c): the block has
 * been freed and is another one by then, whose threads are woken all the same.
 */
START_TEST(a_late_waiter_harms_nobody)
{
	struct block *b = pt_get(&pt, 0, NULL);
	pthread_t late, next;
	void *result;

	waitq_wake(&b->busy_done);
	waitq_wake(&b->busy_done);
	start_waiter(&late, &b->busy_done);
	pt_free_block(&pt, b);
	ck_assert_ptr_eq(pt_get(&pt, corners[6], NULL), b);
	atomic_fetch_add(&b->busy_done.seq, 1);
	os_futex_wake(&b->busy_done.seq, 1);
	ck_assert_int_eq(pthread_join(late, NULL), 0);
	start_waiter(&next, &b->busy_done);
	ck_assert_uint_ne(b->busy_done.waiters, 0); /* who wakes looks at it */
	waitq_wake(&b->busy_done);
	ck_assert_int_eq(pthread_join(next, &result), 0);
	ck_assert_ptr_eq(result, NULL);
}
END_TEST

#define MODEL_BLOCKS 300

/* Random gets and frees of blocks all over 48 bits against an array. */
START_TEST(random_tree_agrees_with_array)
{
	struct block *model[MODEL_BLOCKS] = {NULL}, *b;
	gaddr_t base[MODEL_BLOCKS];
	uint64_t seed = 7, live = 0, seen;
	unsigned n, i;

	for (i = 0; i < MODEL_BLOCKS; i++)
		base[i] = (random_next(&seed) % 8 << 45) |
			  (random_next(&seed) % 4 << 30) |
			  (gaddr_t)i << BLOCK_SHIFT;
	for (n = 0; n < 30000; n++) {
		i = random_next(&seed) % MODEL_BLOCKS;
		ck_assert_ptr_eq(pt_find(&pt, base[i]), model[i]);
		if (model[i]) {
			pt_free_block(&pt, model[i]);
			model[i] = NULL;
			live--;
		} else {
			model[i] = pt_get(&pt, base[i], NULL);
			live++;
		}
		if (n % 500)
			continue;
		pt_check(&pt);
		seen = 0;
		pt_for_each_block (&pt, b, 0, GUEST_END)
			seen++;
		ck_assert_uint_eq(seen, live);
	}
}
END_TEST

START_TEST(out_of_memory_is_null_and_recovers)
{
	struct pagetable other;
	struct block *b;
	unsigned n;

	os_inject(OS_map, 1, true, ENOMEM);
	ck_assert_int_eq(pt_init(&other), -ENOMEM);
	os_inject_clear();
	/* Fill what the pools hold until they must map, and fail there. */
	os_inject(OS_map, 1, true, ENOMEM);
	for (n = 0; n < 100000; n++)
		if (!pt_get(&pt, (gaddr_t)n << 39 >> 9, NULL))
			break;
	ck_assert_uint_lt(n, 100000);
	pt_check(&pt);
	os_inject_clear();
	b = pt_get(&pt, (gaddr_t)n << 39 >> 9, NULL);
	ck_assert_ptr_nonnull(b);
	os_inject(OS_map, 1, true, ENOMEM);
	lock_take(&b->lock);
	ck_assert_ptr_null(pt_pins(&pt, b));
	lock_drop(&b->lock);
}
END_TEST

/* Every allocation of one pt_get() from an empty table fails in turn. */
START_TEST(each_allocation_may_fail)
{
	struct pagetable t;
	unsigned nth;
	bool done = false;

	for (nth = 1; !done; nth++) {
		ck_assert_uint_lt(nth, 10);
		os_inject_clear();
		os_inject(OS_map, nth, false, ENOMEM);
		if (pt_init(&t))
			continue;
		done = pt_get(&t, 0, NULL) != NULL;
		os_inject_clear();
		ck_assert_ptr_nonnull(pt_get(&t, 0, NULL));
		pt_check(&t);
		pt_fini(&t);
	}
}
END_TEST

#define RACERS	    4
#define RACE_BLOCKS 3000

static pthread_barrier_t start_line;

static void *race(void *arg)
{
	unsigned *made = arg, n;
	bool fresh;

	pthread_barrier_wait(&start_line);
	for (n = 0; n < RACE_BLOCKS; n++) {
		struct block *b = pt_get(&pt, (gaddr_t)n << 33, &fresh);

		ck_assert_uint_eq(b->base, (gaddr_t)n << 33);
		*made += fresh;
	}
	return NULL;
}

START_TEST(racing_gets_make_one_block)
{
	pthread_t thread[RACERS];
	unsigned made[RACERS] = {0}, i, sum = 0;

	pthread_barrier_init(&start_line, NULL, RACERS);
	for (i = 0; i < RACERS; i++)
		pthread_create(&thread[i], NULL, race, &made[i]);
	for (i = 0; i < RACERS; i++) {
		pthread_join(thread[i], NULL);
		sum += made[i];
	}
	ck_assert_uint_eq(sum, RACE_BLOCKS);
	ck_assert_uint_eq(pt.block_count, RACE_BLOCKS);
	ck_assert_uint_eq(pt.blocks.used_objects, RACE_BLOCKS);
	pthread_barrier_destroy(&start_line);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "moves");

	tcase_add_test(tc, legal_moves_are_the_documented_ones);
	tcase_add_test(tc, every_legal_move_works);
	test_counted(tc, moves_are_published);
	tcase_add_test(tc, permissions_survive_until_unmapped);
	tcase_add_test(tc, losing_the_frame_clears_pin_age_and_prefetched);
	tcase_add_test(tc, unpinning_keeps_the_page);
	tcase_add_test(tc, random_moves_keep_the_counts);

	tc = test_case_with(suite, "promises", setup, NULL);
	tcase_add_loop_test_raise_signal(tc, broken_promises_abort, SIGABRT, 0,
					 ABUSES);

	tc = test_case(suite, "tree");
	tcase_add_test(tc, find_and_get_agree);
	tcase_add_test(tc, next_visits_all_in_order);
	tcase_add_test(tc, next_skips_holes_fast);
	tcase_add_test(tc, freeing_returns_all_memory);
	tcase_add_test(tc, a_freed_block_comes_back_empty);
	tcase_add_test(tc, a_late_waiter_harms_nobody);
	tcase_add_test(tc, random_tree_agrees_with_array);
	tcase_add_test(tc, out_of_memory_is_null_and_recovers);
	tcase_add_test(tc, each_allocation_may_fail);
	tcase_add_test(tc, racing_gets_make_one_block);
}

const struct test_program test_program = {
	.name = "pagetable",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
};
