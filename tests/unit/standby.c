/* SPDX-License-Identifier: MIT */
/*
 * unit/standby.c - copies kept and given out once, the oldest lost first.
 */
#include "space/standby.h"
#include "support/test.h"

#include <string.h>

#define HOST(n) (((haddr_t)(n) + 1) << PAGE_SHIFT)

static struct standby standby;
static char page[PAGE_BYTES];

static bool put(unsigned n, char content)
{
	bool lost;

	memset(page, content, sizeof(page));
	ck_assert(standby_put(&standby, HOST(n), page, &lost));
	return lost;
}

static void expect(unsigned n, char content)
{
	unsigned i;

	memset(page, '?', sizeof(page));
	ck_assert(standby_has(&standby, HOST(n)));
	ck_assert(standby_take(&standby, HOST(n), page));
	for (i = 0; i < PAGE_BYTES; i++)
		ck_assert_int_eq(page[i], content);
	ck_assert(!standby_has(&standby, HOST(n)));
	ck_assert(!standby_take(&standby, HOST(n), page));
}

START_TEST(taken_once)
{
	ck_assert_int_eq(standby_init(&standby, 4), 0);
	ck_assert(!standby_take(&standby, HOST(1), page));
	ck_assert(!put(1, 'a'));
	ck_assert(!put(2, 'b'));
	expect(1, 'a');
	expect(2, 'b');
	standby_fini(&standby);
}
END_TEST

START_TEST(the_latest_copy_counts)
{
	ck_assert_int_eq(standby_init(&standby, 1), 0);
	ck_assert(!put(1, 'a'));
	ck_assert(!put(1, 'b')); /* nothing is lost */
	expect(1, 'b');
	standby_fini(&standby);
}
END_TEST

START_TEST(the_oldest_is_lost)
{
	ck_assert_int_eq(standby_init(&standby, 3), 0);
	put(1, 'a');
	put(2, 'b');
	put(3, 'c');
	ck_assert(!put(1, 'd')); /* the youngest now */
	ck_assert(put(4, 'e'));
	ck_assert(!standby_has(&standby, HOST(2)));
	expect(3, 'c');
	ck_assert(!put(5, 'f')); /* in the place of 3 */
	expect(1, 'd');
	expect(4, 'e');
	expect(5, 'f');
	standby_fini(&standby);
}
END_TEST

START_TEST(no_more_than_there_is_room_for)
{
	unsigned i;
	bool lost;

	ck_assert_int_eq(standby_init(&standby, 1000), 0);
	ck_assert_uint_eq(standby.count, STANDBY_PAGES_MAX);
	for (i = 0; i < 2 * STANDBY_PAGES_MAX; i++)
		ck_assert_int_eq(put(i, 'x'), i >= STANDBY_PAGES_MAX);
	standby_fini(&standby);
	ck_assert_int_eq(standby_init(&standby, 0), 0);
	ck_assert(!standby_put(&standby, HOST(1), page, &lost) && !lost);
	ck_assert(!standby_has(&standby, HOST(1)));
	ck_assert(!standby_take(&standby, HOST(1), page));
	standby_fini(&standby);
	standby_fini(&standby); /* twice is fine */
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "standby");

	tcase_add_test(tc, taken_once);
	tcase_add_test(tc, the_latest_copy_counts);
	tcase_add_test(tc, the_oldest_is_lost);
	tcase_add_test(tc, no_more_than_there_is_room_for);
}

const struct test_program test_program = {
	.name = "standby",
	.add = add_tests,
};
