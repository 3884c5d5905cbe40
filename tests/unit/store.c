/* SPDX-License-Identifier: MIT */
/*
 * unit/store.c - the log of compressed pages: what it takes and gives, by its own
 * count and the kernel's; order, holes and pins; what is refused.
 */
#include "swap/store.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"
#include "support/test.h"

#define BYTES 1000u
#define SIZE  (BYTES + 24u)
/* Items of BYTES in a chunk. */
#define FIT ((STORE_CHUNK_BYTES - 16) / SIZE)

static struct store store;
static uint64_t taken;
static bool refuse;
static char data[STORE_ITEM_MAX];

static bool take(void *arg, uint64_t pages)
{
	(void)arg;
	taken += refuse ? 0 : pages;
	return !refuse;
}

static void give(void *arg, uint64_t pages)
{
	(void)arg;
	ck_assert_uint_ge(taken, pages);
	taken -= pages;
}

static void start(void)
{
	static const struct store_memory memory = {.take = take, .give = give};

	os_inject_clear();
	taken = 0;
	refuse = false;
	store_init(&store, &memory);
}

static void stop(void)
{
	os_inject_clear();
	store_check(&store);
	store_fini(&store);
}

static struct store_item *add(uint64_t slot)
{
	struct store_item *item;

	memset(data, (int)slot, sizeof(data));
	lock_take(&store.lock);
	item = store_add(&store, slot, slot << PAGE_SHIFT, data, BYTES, 7);
	lock_drop(&store.lock);
	return item;
}

static void drop(struct store_item *item)
{
	lock_take(&store.lock);
	store_drop(&store, item);
	lock_drop(&store.lock);
	store_check(&store);
}

static struct store_chunk *oldest(void)
{
	struct store_chunk *c;

	lock_take(&store.lock);
	c = store_next(&store, NULL);
	lock_drop(&store.lock);
	return c;
}

/* Opens a chunk and fills it with items of these slots. */
static void fill(struct store_item **item, uint64_t slot)
{
	unsigned i;

	ck_assert(store_open(&store, UINT64_MAX));
	for (i = 0; i < FIT; i++)
		ck_assert_ptr_nonnull(item[i] = add(slot + i));
	ck_assert_ptr_null(add(slot + i));
	store_check(&store);
}

/* Pages of the chunk that the kernel has given us. */
static unsigned resident(const void *memory)
{
	unsigned char there[STORE_CHUNK_PAGES];
	unsigned i, n = 0;

	ck_assert_int_eq(
		mincore((void *)(uintptr_t)memory, STORE_CHUNK_BYTES, there),
		0);
	for (i = 0; i < STORE_CHUNK_PAGES; i++)
		n += there[i] & 1;
	return n;
}

static void expect_item(const struct store_item *item, uint64_t slot)
{
	unsigned i;

	ck_assert_uint_eq(store_slot(item), slot);
	ck_assert_uint_eq(store_addr(item), slot << PAGE_SHIFT);
	ck_assert_uint_eq(store_bytes(item), BYTES);
	ck_assert_uint_eq(item->checksum, 7);
	for (i = 0; i < BYTES; i++)
		ck_assert_int_eq(item->bytes[i], (char)slot);
}

START_TEST(items_lie_one_behind_the_other)
{
	struct store_item *item[FIT];
	struct store_chunk *c;
	uint32_t at = 0;
	unsigned i;

	ck_assert_ptr_null(add(1)); /* no chunk is open */
	fill(item, 1);
	ck_assert_uint_eq(taken, STORE_CHUNK_PAGES);
	c = oldest();
	lock_take(&store.lock);
	for (i = 0; i < FIT; i++) {
		ck_assert_ptr_eq(store_each(c, &at), item[i]);
		ck_assert_ptr_eq(store_chunk(item[i]), c);
		expect_item(item[i], 1 + i);
	}
	ck_assert_ptr_null(store_each(c, &at));
	lock_drop(&store.lock);
}
END_TEST

START_TEST(the_kernel_has_no_more_than_was_taken)
{
	struct store_item *item[FIT], *other[FIT];
	const char *memory;
	unsigned i;

	fill(item, 1);
	memory = store_chunk(item[0])->memory;
	ck_assert_uint_eq(resident(memory), STORE_CHUNK_PAGES);
	ck_assert_uint_eq(resident(memory + STORE_CHUNK_BYTES), 0);
	fill(other, 100);
	for (i = 0; i < FIT; i++)
		drop(item[i]);
	ck_assert_uint_eq(taken, 2 * STORE_CHUNK_PAGES);
	ck_assert_uint_eq(store_release(&store, 1), 0); /* it is kept */
	ck_assert_uint_eq(store_release(&store, 0), STORE_CHUNK_PAGES);
	ck_assert_uint_eq(taken, STORE_CHUNK_PAGES);
	ck_assert_uint_eq(resident(memory), 0);
	for (i = 0; i < FIT; i++)
		expect_item(other[i], 100 + i);
}
END_TEST

START_TEST(an_empty_chunk_is_used_again)
{
	struct store_item *item[FIT], *other[FIT];
	unsigned i;

	fill(item, 1);
	fill(other, 100);
	for (i = 0; i < FIT; i++)
		drop(item[i]);
	refuse = true;
	ck_assert(store_open(&store, 0)); /* it needs no more memory */
	ck_assert_ptr_eq(store_chunk(add(200)), store_chunk(item[0]));
	ck_assert(!store_open(&store, UINT64_MAX));
	ck_assert_uint_eq(taken, 2 * STORE_CHUNK_PAGES);
}
END_TEST

START_TEST(a_pinned_chunk_stays_as_it_is)
{
	struct store_item *item[FIT], *other[FIT];
	struct store_chunk *c;
	unsigned i;

	fill(item, 1);
	fill(other, 100);
	c = store_chunk(item[0]);
	lock_take(&store.lock);
	store_pin(c);
	lock_drop(&store.lock);
	for (i = 0; i < FIT; i++)
		drop(item[i]);
	ck_assert_uint_eq(store_release(&store, 0), 0);
	ck_assert(store_open(&store, UINT64_MAX));
	ck_assert_ptr_ne(store_chunk(add(200)), c);
	for (i = 0; i < FIT; i++)
		expect_item(item[i], 1 + i);
	store_unpin(c);
	ck_assert_uint_eq(store_release(&store, 0), STORE_CHUNK_PAGES);
}
END_TEST

START_TEST(no_more_than_it_may)
{
	ck_assert(!store_open(&store, STORE_CHUNK_PAGES - 1));
	ck_assert(store_open(&store, STORE_CHUNK_PAGES));
	ck_assert(add(1));
	ck_assert(!store_open(&store, 2 * STORE_CHUNK_PAGES - 1));
	ck_assert_uint_eq(taken, STORE_CHUNK_PAGES);
}
END_TEST

START_TEST(a_head_without_items_goes_when_all_shall)
{
	struct store_item *item;

	ck_assert(store_open(&store, UINT64_MAX));
	item = add(1);
	drop(item);
	ck_assert_uint_eq(store_release(&store, 1), 0);
	ck_assert_uint_eq(store_release(&store, 0), STORE_CHUNK_PAGES);
	ck_assert_uint_eq(taken, 0);
	ck_assert_ptr_null(oldest());
}
END_TEST

START_TEST(sparse_chunks_are_found_and_emptied)
{
	struct store_item *item[3][FIT], *copy;
	struct store_chunk *c;
	unsigned i;

	fill(item[0], 1);
	fill(item[1], 100);
	fill(item[2], 200);
	lock_take(&store.lock);
	ck_assert_ptr_null(store_sparse(&store));
	lock_drop(&store.lock);
	for (i = 2; i < FIT; i++)
		drop(item[1][i]);
	lock_take(&store.lock);
	c = store_sparse(&store);
	ck_assert_ptr_eq(c, store_chunk(item[1][0]));
	ck_assert_ptr_null(store_copy(&store, item[1][0])); /* no room */
	lock_drop(&store.lock);
	ck_assert(store_open(&store, UINT64_MAX));
	lock_take(&store.lock);
	for (i = 0; i < 2; i++) {
		copy = store_copy(&store, item[1][i]);
		ck_assert_ptr_nonnull(copy);
		expect_item(copy, 100 + i);
		store_drop(&store, item[1][i]);
	}
	ck_assert_uint_eq(store.empty_chunks, 1);
	lock_drop(&store.lock);
}
END_TEST

/* Once and for ever: each call of an opening fails; then all is as before. */
START_TEST(what_the_kernel_refuses)
{
	static const enum os_point points[] = {OS_map, OS_advise};
	struct store_item *item[FIT];
	unsigned nth;

	for (nth = 1;; nth++) {
		os_inject_clear();
		os_inject(points[_i], nth, false, ENOMEM);
		if (store_open(&store, UINT64_MAX))
			break;
		ck_assert_uint_eq(taken, 0);
		store_check(&store);
	}
	ck_assert_uint_gt(nth, 1);
	os_inject_clear();
	store_check(&store);
	fill(item, 1);
	for (nth = 0; nth < FIT; nth++)
		drop(item[nth]);
	os_inject(OS_advise, 1, false, EINVAL);
	ck_assert_uint_eq(store_release(&store, 0), 0);	 /* it is kept, ... */
	ck_assert_uint_eq(taken, 2 * STORE_CHUNK_PAGES); /* ... and counted */
	ck_assert_uint_eq(store_release(&store, 0), 2 * STORE_CHUNK_PAGES);
	ck_assert_uint_eq(taken, 0);
}
END_TEST

/* inherited: _i */
START_TEST(a_fork_child_has_it_or_has_none_of_it)
{
	struct store_item *item[FIT];
	int status;
	pid_t pid;

	store.memory.inherited = _i;
	fill(item, 1);
	pid = fork();
	if (pid == 0) {
		volatile uint64_t slot = item[3]->slot; /* or SIGSEGV */

		_exit(slot == 4 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WIFEXITED(status) && WEXITSTATUS(status) == 0, _i);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "store");

	tcase_add_test(tc, items_lie_one_behind_the_other);
	tcase_add_test(tc, the_kernel_has_no_more_than_was_taken);
	tcase_add_test(tc, an_empty_chunk_is_used_again);
	tcase_add_test(tc, a_pinned_chunk_stays_as_it_is);
	tcase_add_test(tc, no_more_than_it_may);
	tcase_add_test(tc, a_head_without_items_goes_when_all_shall);
	tcase_add_test(tc, sparse_chunks_are_found_and_emptied);
	tcase_add_loop_test(tc, what_the_kernel_refuses, 0, 2);
	tcase_add_loop_test(tc, a_fork_child_has_it_or_has_none_of_it, 0, 2);
}

const struct test_program test_program = {
	.name = "store",
	.setup = start,
	.teardown = stop,
	.add = add_tests,
};
