/* SPDX-License-Identifier: MIT */
/*
 * unit/pool.c - util/pool.c: alignment, zeroing, reuse, accounting, many
 * threads, and what happens when the kernel gives no memory.
 */
#include "util/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "os/os.h"
#include "support/test.h"

#define LEAF_BYTES 4200 /* about a page table leaf: not a round number */

static struct pool pool;

static bool all_zero(const void *object, size_t bytes)
{
	const unsigned char *s = object;

	return bytes == 0 || (s[0] == 0 && memcmp(s, s + 1, bytes - 1) == 0);
}

START_TEST(test_init_rounds_up)
{
	pool_init(&pool, 1);
	ck_assert_uint_eq(pool.object_bytes, CACHE_LINE);
	pool_fini(&pool);
	pool_init(&pool, CACHE_LINE);
	ck_assert_uint_eq(pool.object_bytes, CACHE_LINE);
	pool_fini(&pool);
	pool_init(&pool, LEAF_BYTES);
	ck_assert_uint_eq(pool.object_bytes % CACHE_LINE, 0);
	ck_assert_uint_ge(pool.object_bytes, LEAF_BYTES);
	pool_fini(&pool);
}
END_TEST

/* Objects of every size are aligned, zero, and do not overlap. */
START_TEST(test_objects_are_apart)
{
	static const size_t sizes[] = {1, 64, 65, 200, LEAF_BYTES, 70000};
	unsigned char *objects[100];
	size_t bytes = sizes[_i];
	unsigned i;

	pool_init(&pool, bytes);
	for (i = 0; i < ARRAY_SIZE(objects); i++) {
		objects[i] = pool_take(&pool);
		ck_assert_ptr_nonnull(objects[i]);
		ck_assert_uint_eq((uintptr_t)objects[i] % CACHE_LINE, 0);
		ck_assert(all_zero(objects[i], bytes));
		memset(objects[i], (int)i + 1, bytes);
	}
	for (i = 0; i < ARRAY_SIZE(objects); i++) {
		ck_assert_int_eq(objects[i][0], i + 1);
		ck_assert_int_eq(objects[i][bytes - 1], i + 1);
	}
	pool_fini(&pool);
}
END_TEST

START_TEST(test_reuse_is_zeroed)
{
	void *first, *second;

	pool_init(&pool, LEAF_BYTES);
	first = pool_take(&pool);
	memset(first, 0xff, LEAF_BYTES);
	pool_give(&pool, first);
	second = pool_take(&pool);
	ck_assert_ptr_eq(first, second);
	ck_assert(all_zero(second, LEAF_BYTES));
	pool_fini(&pool);
}
END_TEST

START_TEST(test_reuse_dirty)
{
	char *first, *second;

	pool_init(&pool, LEAF_BYTES);
	first = pool_take_dirty(&pool);
	ck_assert(all_zero(first, LEAF_BYTES));
	memset(first, 0xa5, LEAF_BYTES);
	pool_give(&pool, first);
	second = pool_take_dirty(&pool);
	ck_assert_ptr_eq(first, second);
	ck_assert_uint_eq(pool.used_objects, 1);
	/* as it was given, but for the link and what debug builds write */
#ifndef VVM_DEBUG
	ck_assert_int_eq(second[LEAF_BYTES - 1], (char)0xa5);
#endif
	pool_give(&pool, second);
	ck_assert(all_zero(pool_take(&pool), LEAF_BYTES));
	pool_fini(&pool);
}
END_TEST

START_TEST(test_accounting)
{
	void *objects[64];
	uint64_t chunks;
	unsigned i;

	os_inject_clear(); /* counts from now on */
	pool_init(&pool, LEAF_BYTES);
	for (i = 0; i < ARRAY_SIZE(objects); i++) {
		objects[i] = pool_take(&pool);
		ck_assert_uint_eq(pool.used_objects, i + 1);
		chunks = os_inject_uses(OS_map);
		ck_assert_uint_ge(chunks * pool.chunk_bytes,
				  (i + 1) * LEAF_BYTES);
	}
	ck_assert_uint_lt(chunks, ARRAY_SIZE(objects) / 8);
	for (i = 0; i < ARRAY_SIZE(objects); i++)
		pool_give(&pool, objects[i]);
	ck_assert_uint_eq(pool.used_objects, 0);
	for (i = 0; i < ARRAY_SIZE(objects); i++)
		pool_take(&pool);
	ck_assert_uint_eq(os_inject_uses(OS_map), chunks); /* none is new */
	pool_fini(&pool);
	ck_assert_uint_eq(pool.used_objects, 0);
}
END_TEST

START_TEST(test_no_memory)
{
	void *object;

	pool_init(&pool, LEAF_BYTES);
	os_inject(OS_map, 1, true, ENOMEM);
	ck_assert_ptr_null(pool_take(&pool));
	ck_assert_uint_eq(pool.used_objects, 0);
	os_inject(OS_map, 1, false, 0);
	object = pool_take(&pool);
	ck_assert_ptr_nonnull(object);
	/* Objects at hand are given out whatever the kernel says. */
	pool_give(&pool, object);
	os_inject(OS_map, 1, true, ENOMEM);
	ck_assert_ptr_eq(pool_take(&pool), object);
	os_inject(OS_map, 1, false, 0);
	pool_fini(&pool);
}
END_TEST

#define THREADS 4
#define ROUNDS	2000
#define BATCH	8

/* Takes, stamps, checks and gives: two owners of one object would show. */
static void *churn(void *arg)
{
	uint64_t *objects[BATCH], stamp = (uintptr_t)arg;
	long failures = 0;
	unsigned round, i;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < BATCH; i++) {
			objects[i] = pool_take(&pool);
			failures += objects[i][0] || objects[i][24];
			objects[i][0] = objects[i][24] = stamp + round;
		}
		for (i = 0; i < BATCH; i++) {
			failures += objects[i][0] != stamp + round ||
				    objects[i][24] != stamp + round;
			pool_give(&pool, objects[i]);
		}
	}
	return (void *)failures;
}

START_TEST(test_threads)
{
	pthread_t threads[THREADS];
	void *failures;
	uintptr_t i;

	os_inject_clear();
	pool_init(&pool, 200);
	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, churn,
			       (void *)((i + 1) << 32));
	for (i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &failures);
		ck_assert_ptr_null(failures);
	}
	ck_assert_uint_eq(pool.used_objects, 0);
	ck_assert_uint_eq(os_inject_uses(OS_map), 1);
	pool_fini(&pool);
}
END_TEST

START_TEST(test_give_more_than_taken_aborts)
{
	static char object[CACHE_LINE] __attribute__((aligned(CACHE_LINE)));

	pool_init(&pool, sizeof(object));
	pool_give(&pool, object);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "pool");

	tcase_add_test(tc, test_init_rounds_up);
	tcase_add_loop_test(tc, test_objects_are_apart, 0, 6);
	tcase_add_test(tc, test_reuse_is_zeroed);
	tcase_add_test(tc, test_reuse_dirty);
	tcase_add_test(tc, test_accounting);
	tcase_add_test(tc, test_no_memory);
	tcase_add_test(tc, test_threads);
	tcase_add_test_raise_signal(tc, test_give_more_than_taken_aborts,
				    SIGABRT);
}

const struct test_program test_program = {
	.name = "pool",
	.add = add_tests,
};
