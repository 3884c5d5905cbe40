/* SPDX-License-Identifier: MIT */
/*
 * unit/kept.c - the ranges that a fork child keeps: they come and go with the
 * regions of a mapping, and whatever is free of them is reserved.
 */
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/os.h"
#include "space/region.h"

#define PAGES 1000
#define BYTES ((uint64_t)PAGES * PAGE_BYTES)

static struct regions rs;
static haddr_t host; /* of PAGES, free */

static void set_up(void)
{
	regions_init(&rs);
	ck_assert_int_eq(os_reserve(BYTES, PAGE_BYTES, 0, 0, &host), 0);
	kept_drop(&rs.kept, kept_add(&rs.kept, host, BYTES)); /* elsewhere */
	ck_assert_int_eq(os_unmap(host, BYTES), 0);
}

static void tear_down(void)
{
	regions_fini(&rs);
	os_unmap(host, BYTES);
}

static haddr_t at(unsigned page)
{
	return host + pages_to_bytes(page);
}

static bool is_mapped(unsigned page)
{
	return os_all_mapped(at(page), PAGE_BYTES);
}

/* After this the pages [first, end) are reserved, and no others. */
static void expect_kept(unsigned first, unsigned end)
{
	unsigned i;

	ck_assert_int_eq(kept_reserve(&rs.kept), 0);
	for (i = 0; i < PAGES; i++)
		ck_assert_msg(is_mapped(i) == (i >= first && i < end),
			      "page %u", i);
	ck_assert_int_eq(os_unmap(host, BYTES), 0);
}

START_TEST(all_mapped)
{
	ck_assert(!os_all_mapped(host, BYTES));
	ck_assert_int_eq(os_unmap_keep(at(1), PAGE_BYTES), 0);
	ck_assert(is_mapped(1));
	ck_assert(!os_all_mapped(at(1), 2 * PAGE_BYTES));
}
END_TEST

START_TEST(a_range_is_kept_until_it_is_dropped)
{
	struct kept_range *r = kept_add(&rs.kept, at(3), 7 * PAGE_BYTES);

	ck_assert_ptr_nonnull(r);
	expect_kept(3, 10);
	kept_use(r);
	kept_drop(&rs.kept, r);
	expect_kept(3, 10);
	kept_drop(&rs.kept, r);
	expect_kept(0, 0);
	ck_assert_ptr_eq(kept_add(&rs.kept, at(0), PAGE_BYTES), r);
	kept_drop(&rs.kept, NULL);
	kept_use(NULL);
}
END_TEST

/* Single pages are somebody else's, and stay that. */
START_TEST(around_what_is_taken)
{
	haddr_t taken;
	unsigned i;

	kept_add(&rs.kept, host, BYTES);
	for (i = 1; i < PAGES; i = i * 3 / 2 + 1)
		ck_assert_int_eq(
			os_reserve(PAGE_BYTES, PAGE_BYTES, 0, at(i), &taken),
			0);
	for (i = 1; i < PAGES; i = i * 3 / 2 + 1)
		ck_assert_int_eq(os_protect(at(i), PAGE_BYTES, OS_READ), 0);
	expect_kept(0, PAGES);
}
END_TEST

/* All of it, the large one of an earlier child's as well: no page by page. */
START_TEST(what_is_all_taken_costs_little)
{
	ck_assert_int_eq(os_unmap_keep(host, BYTES), 0);
	kept_add(&rs.kept, host, BYTES);
	os_inject_clear();
	ck_assert_int_eq(kept_reserve(&rs.kept), 0);
	ck_assert_uint_eq(os_inject_uses(OS_reserve), 1);
}
END_TEST

START_TEST(no_memory)
{
	regions_fini(&rs);
	os_inject(OS_map, 1, false, ENOMEM);
	ck_assert_ptr_null(kept_add(&rs.kept, host, BYTES));
	ck_assert_ptr_nonnull(kept_add(&rs.kept, host, BYTES));
	os_inject(OS_reserve, 1, false, ENOMEM);
	ck_assert_int_eq(kept_reserve(&rs.kept), -ENOMEM);
	os_inject_clear();
	expect_kept(0, PAGES);
}
END_TEST

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static struct os_held held_file(void)
{
	struct os_held held;
	int fd;

	ck_assert_int_eq(os_open("/var/tmp", OS_OPEN_TMP, &fd), 0);
	ck_assert_int_eq(os_hold(fd, &held), 0);
	return held;
}

START_TEST(what_a_range_holds_is_closed)
{
	struct kept_range *r[3];
	struct os_held held[3];
	unsigned i;

	for (i = 0; i < 3; i++) {
		r[i] = kept_add(&rs.kept, at(i), PAGE_BYTES);
		held[i] = held_file();
		kept_hold(r[i], &held[i]);
	}
	/* somebody else's descriptors now */
	kept_drop(&rs.kept, r[0]);
	ck_assert_ptr_eq(kept_add(&rs.kept, at(0), PAGE_BYTES), r[0]);
	ck_assert_int_ge(dup2(STDIN_FILENO, held[1].fd), 0);
	ck_assert_int_eq(kept_reserve(&rs.kept), 0);
	ck_assert(is_open(held[0].fd));
	ck_assert(is_open(held[1].fd));
	ck_assert(!is_open(held[2].fd));
	ck_assert_int_eq(os_unmap(host, BYTES), 0);
}
END_TEST

START_TEST(many)
{
	unsigned i, n = 20000;

	ck_assert_int_eq(os_unmap_keep(host, BYTES), 0);
	for (i = 0; i < n; i++)
		ck_assert_ptr_nonnull(
			kept_add(&rs.kept, at(i % PAGES), PAGE_BYTES));
	ck_assert_int_eq(os_unmap(host, BYTES), 0);
	expect_kept(0, PAGES);
}
END_TEST

static struct region *new_region(unsigned first, unsigned end)
{
	struct region *r = calloc(1, sizeof(*r));

	ck_assert_ptr_nonnull(r);
	r->start = pages_to_bytes(first);
	r->end = pages_to_bytes(end);
	r->host = at(first);
	r->kept = kept_add(&rs.kept, r->host, r->end - r->start);
	ck_assert_int_eq(regions_insert(&rs, r), 0);
	return r;
}

static void remove_at(unsigned page)
{
	struct region *r = regions_at_guest(&rs, pages_to_bytes(page));

	regions_remove(&rs, r->start, r->end);
	regions_free(&rs, r);
}

START_TEST(splits_and_merges)
{
	new_region(10, 20);
	ck_assert_int_eq(regions_split(&rs, pages_to_bytes(12)), 0);
	ck_assert_int_eq(regions_split(&rs, pages_to_bytes(15)), 0);
	remove_at(13);
	expect_kept(10, 20);
	ck_assert_int_eq(regions_split(&rs, pages_to_bytes(18)), 0);
	regions_merge(&rs, pages_to_bytes(16), pages_to_bytes(20));
	remove_at(10);
	expect_kept(10, 20);
	remove_at(15);
	expect_kept(0, 0);
	ck_assert_uint_eq(rs.count, 0);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "kept");

	tcase_add_test(tc, all_mapped);
	tcase_add_test(tc, a_range_is_kept_until_it_is_dropped);
	tcase_add_test(tc, around_what_is_taken);
	tcase_add_test(tc, what_is_all_taken_costs_little);
	tcase_add_test(tc, no_memory);
	tcase_add_test(tc, what_a_range_holds_is_closed);
	tcase_add_test(tc, many);
	tcase_add_test(tc, splits_and_merges);
}

const struct test_program test_program = {
	.name = "kept",
	.add = add_tests,
	.setup = set_up,
	.teardown = tear_down,
};
