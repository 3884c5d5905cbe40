/* SPDX-License-Identifier: MIT */
/*
 * unit/preimages.c - snapshot/preimages.c: pages that are kept for fork
 * children, and what is left of them: by the kernel's count of the file's
 * blocks, and by the slots in use.
 */
#include "snapshot/preimages.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "os/os.h"
#include "support/test.h"

static struct preimages kept;
static int source; /* a file of pages that are to be kept */

static void set_up(void)
{
	char page[PAGE_BYTES];
	unsigned i;

	os_inject_clear();
	ck_assert_int_eq(preimages_init(&kept), 0);
	ck_assert_int_eq(os_memfd("test", &source), 0);
	for (i = 0; i < 4; i++) {
		memset(page, 'a' + i, sizeof(page));
		ck_assert_int_eq(os_pwrite(source, page, sizeof(page),
					   pages_to_bytes(i)),
				 0);
	}
}

static void tear_down(void)
{
	os_inject_clear();
	preimages_fini(&kept, false);
	os_close(source);
}

static uint64_t file_pages(void)
{
	uint64_t bytes = 0;

	ck_assert_int_eq(os_allocated(kept.fd, &bytes), 0);
	return bytes_to_pages(bytes);
}

/* Keeps page i of the source. */
static uint64_t keep(unsigned i)
{
	uint64_t n = 0;

	ck_assert_int_eq(preimages_add(&kept, source, pages_to_bytes(i), &n),
			 0);
	ck_assert_uint_gt(n, 0);
	return n;
}

static void expect_page(uint64_t n, char c)
{
	char page[PAGE_BYTES];

	ck_assert_int_eq(
		os_pread(kept.fd, page, sizeof(page), pages_to_bytes(n)), 0);
	ck_assert_int_eq(page[0], c);
	ck_assert_int_eq(page[PAGE_BYTES - 1], c);
}

/* It is there as long as one of those who need it. */
START_TEST(a_page_lives_as_long_as_it_is_needed)
{
	uint64_t a = keep(0), b = keep(1);

	preimages_get(&kept, a);
	preimages_get(&kept, b);
	preimages_get(&kept, b);
	ck_assert_uint_eq(file_pages(), 2);
	preimages_put(&kept, b);
	expect_page(a, 'a');
	expect_page(b, 'b');
	ck_assert_uint_eq(kept.slots.used, 2);
	preimages_put(&kept, a);
	expect_page(b, 'b');
	ck_assert_uint_eq(file_pages(), 1);
	ck_assert_uint_eq(kept.slots.used, 1);
	preimages_put(&kept, b);
	ck_assert_uint_eq(file_pages(), 0);
	ck_assert_uint_eq(kept.slots.used, 0);
	slots_check(&kept.slots);
}
END_TEST

/* Neither a page of the file nor its number is lost, and nobody is told 0. */
START_TEST(a_copy_that_fails_leaves_nothing)
{
	static const enum os_point point[] = {OS_frame_read, OS_frame_write};
	uint64_t n = 0;

	os_inject(point[_i], 1, false, EIO);
	ck_assert_int_eq(preimages_add(&kept, source, 0, &n), -EIO);
	ck_assert_uint_eq(kept.slots.used, 0);
	ck_assert_uint_eq(file_pages(), 0);
	n = keep(2);
	preimages_get(&kept, n);
	expect_page(n, 'c');
	preimages_put(&kept, n);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "preimages");

	tcase_add_test(tc, a_page_lives_as_long_as_it_is_needed);
	tcase_add_loop_test(tc, a_copy_that_fails_leaves_nothing, 0, 2);
}

const struct test_program test_program = {
	.name = "preimages",
	.add = add_tests,
	.setup = set_up,
	.teardown = tear_down,
};
