/* SPDX-License-Identifier: MIT */
/*
 * unit/checksum.c - zero detection at every byte, checksums by place.
 */
#include "util/checksum.h"

#include <string.h>

#include "support/test.h"

static char page[PAGE_BYTES + 8] __attribute__((aligned(4096)));

START_TEST(zero_page_is_zero)
{
	memset(page, 0, sizeof(page));
	ck_assert(page_is_zero(page));
	memset(page + PAGE_BYTES, 1, 8); /* the byte after does not matter */
	ck_assert(page_is_zero(page));
}
END_TEST

START_TEST(one_byte_anywhere_is_seen)
{
	size_t i;

	memset(page, 0, sizeof(page));
	for (i = 0; i < PAGE_BYTES; i++) {
		page[i] = (char)(1 << i % 8);
		ck_assert_msg(!page_is_zero(page), "byte %zu", i);
		page[i] = 0;
	}
}
END_TEST

START_TEST(eight_byte_alignment_is_enough)
{
	memset(page, 0, sizeof(page));
	page[0] = 1;
	ck_assert(page_is_zero(page + 8));
	page[PAGE_BYTES + 7] = 1;
	ck_assert(!page_is_zero(page + 8));
}
END_TEST

START_TEST(checksum_sees_every_byte)
{
	uint32_t sum;
	size_t i;

	memset(page, 0x5a, sizeof(page));
	sum = checksum_page(page, 0x1000);
	for (i = 0; i < PAGE_BYTES; i++) {
		page[i] ^= 1;
		ck_assert_uint_ne(checksum_page(page, 0x1000), sum);
		page[i] ^= 1;
	}
	ck_assert_uint_eq(checksum_page(page, 0x1000), sum);
}
END_TEST

START_TEST(checksum_sees_the_address)
{
	uint32_t sum;
	unsigned bit;

	memset(page, 0x5a, sizeof(page));
	sum = checksum_page(page, 0);
	for (bit = PAGE_SHIFT; bit < GUEST_BITS; bit++)
		ck_assert_uint_ne(checksum_page(page, (gaddr_t)1 << bit), sum);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "checksum");

	tcase_add_test(tc, zero_page_is_zero);
	tcase_add_test(tc, one_byte_anywhere_is_seen);
	tcase_add_test(tc, eight_byte_alignment_is_enough);
	tcase_add_test(tc, checksum_sees_every_byte);
	tcase_add_test(tc, checksum_sees_the_address);
}

const struct test_program test_program = {
	.name = "checksum",
	.add = add_tests,
};
