/* SPDX-License-Identifier: MIT */
/* unit/squeeze.c - pages of one word, LZ4, and which blocks are tried. */
#include "swap/squeeze.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "os/os.h"
#include "support/test.h"
#include "vvmbench/workload/stamp.h"

static struct squeeze squeeze;
static uint64_t page[PAGE_BYTES / 8], back[PAGE_BYTES / 8];

static const char *no_lz4(void)
{
	return squeeze_known() ? NULL : "built without liblz4";
}

static void start(void)
{
	os_inject_clear();
	ck_assert_int_eq(squeeze_init(&squeeze, 3000), 0);
}

static void stop(void)
{
	squeeze_fini(&squeeze);
}

static void text(void)
{
	unsigned i;

	for (i = 0; i < PAGE_BYTES / 8; i++)
		page[i] = i / 3 * 0x10001;
}

static void noise(void)
{
	uint64_t x = 1;
	unsigned i;

	for (i = 0; i < PAGE_BYTES / 8; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		page[i] = x ^ x >> 29;
	}
}

START_TEST(a_word_again_and_again)
{
	uint64_t word = 0;
	unsigned i;

	squeeze_fill(page, 0x0123456789abcdef);
	ck_assert(squeeze_word(page, &word));
	ck_assert_uint_eq(word, 0x0123456789abcdef);
	squeeze_fill(back, word);
	ck_assert_int_eq(memcmp(page, back, PAGE_BYTES), 0);
	for (i = 0; i < PAGE_BYTES / 8; i++) {
		page[i]++;
		ck_assert(!squeeze_word(page, &word));
		page[i]--;
	}
	ck_assert(squeeze_word(page, &word));
}
END_TEST

/* As vvmbench --compress-ratio says. */
START_TEST(noise_of_stamps_makes_the_ratio)
{
	static const double ratio[] = {1.5, 2, 3, 3.5, 4, 5};
	double want = PAGE_BYTES / ratio[_i];
	unsigned i, bytes = 0;
	struct squeeze q;

	ck_assert_int_eq(squeeze_init(&q, PAGE_BYTES), 0);
	for (i = 0; i < 100; i++) {
		stamp_page(page, 1, i, stamp_noise(ratio[_i]));
		bytes += squeeze_pack(&q, page);
	}
	squeeze_fini(&q);
	ck_assert_double_le(fabs(bytes / 100.0 - want), want / 20);
}
END_TEST

START_TEST(what_is_packed_comes_back)
{
	unsigned n;

	text();
	n = squeeze_pack(&squeeze, page);
	ck_assert_uint_gt(n, 0);
	ck_assert_uint_lt(n, 3000);
	ck_assert(squeeze_unpack(squeeze.out, n, back));
	ck_assert_int_eq(memcmp(page, back, PAGE_BYTES), 0);
	/* and again, with the same state */
	page[7]++;
	n = squeeze_pack(&squeeze, page);
	ck_assert(squeeze_unpack(squeeze.out, n, back));
	ck_assert_int_eq(memcmp(page, back, PAGE_BYTES), 0);
}
END_TEST

START_TEST(noise_is_refused)
{
	noise();
	ck_assert_uint_eq(squeeze_pack(&squeeze, page), 0);
}
END_TEST

START_TEST(a_part_is_no_page)
{
	unsigned n;

	text();
	n = squeeze_pack(&squeeze, page);
	ck_assert(!squeeze_unpack(squeeze.out, n - 1, back));
	ck_assert(!squeeze_unpack(squeeze.out, 1, back));
	memset(squeeze.out, 0xff, n);
	ck_assert(!squeeze_unpack(squeeze.out, n, back));
}
END_TEST

/* How often a block is left alone after its next failure. */
static unsigned left_alone(gaddr_t block)
{
	unsigned n = 0;

	ck_assert(squeeze_try(&squeeze, block));
	squeeze_learn(&squeeze, block, 4, 0);
	while (!squeeze_try(&squeeze, block))
		n++;
	return n;
}

START_TEST(in_vain_it_is_tried_less_and_less)
{
	ck_assert_uint_eq(left_alone(BLOCK_BYTES), 1);
	ck_assert_uint_eq(left_alone(BLOCK_BYTES), 2);
	ck_assert_uint_eq(left_alone(BLOCK_BYTES), 4);
	ck_assert_uint_eq(left_alone(BLOCK_BYTES), 8);
	ck_assert_uint_eq(left_alone(BLOCK_BYTES), 16);
	ck_assert_uint_eq(left_alone(BLOCK_BYTES), 32);
	ck_assert_uint_eq(left_alone(BLOCK_BYTES), 32);
	/* of another block nothing is known */
	ck_assert(squeeze_try(&squeeze, 2 * BLOCK_BYTES));
	squeeze_learn(&squeeze, BLOCK_BYTES, 4, 1);
	ck_assert_uint_eq(left_alone(BLOCK_BYTES), 1);
	/* what was not tried says nothing */
	squeeze_learn(&squeeze, 3 * BLOCK_BYTES, 0, 0);
	ck_assert(squeeze_try(&squeeze, 3 * BLOCK_BYTES));
}
END_TEST

START_TEST(no_memory)
{
	struct squeeze none;

	os_inject(OS_map, 1, false, ENOMEM);
	ck_assert_int_eq(squeeze_init(&none, 3000), -ENOMEM);
	squeeze_fini(&none);
	os_inject_clear();
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "squeeze");

	tcase_add_test(tc, a_word_again_and_again);
	tcase_add_test(tc, what_is_packed_comes_back);
	tcase_add_loop_test(tc, noise_of_stamps_makes_the_ratio, 0, 6);
	tcase_add_test(tc, noise_is_refused);
	tcase_add_test(tc, a_part_is_no_page);
	tcase_add_test(tc, in_vain_it_is_tried_less_and_less);
	tcase_add_test(tc, no_memory);
}

const struct test_program test_program = {
	.name = "squeeze",
	.missing = no_lz4,
	.setup = start,
	.teardown = stop,
	.add = add_tests,
};
