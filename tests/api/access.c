/* SPDX-License-Identifier: MIT */
/*
 * api/access.c - both ways to memory: the checked functions at any guest
 * address, with every refusal they document (poison and frames: see
 * live/failures.c), and plain pointers on a region larger than the budget,
 * execution included.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "support/access.h"
#include "support/frames.h"
#include "support/live.h"
#include "support/random.h"
#include "support/test.h"

static void setup(void)
{
	live_begin(8);
}

static void map_at(uint64_t addr, uint64_t pages, unsigned prot)
{
	live_ok(vvm_map(vm, &addr, pages * LIVE_PAGE, prot, NULL));
}

/* ---- refusals ---- */

START_TEST(access_refuses_null)
{
	char buf[8] = "";
	uint64_t a = live_addr(live_map(vm, 1, LIVE_RW));

	live_expect(vvm_load(NULL, a, buf, 8), -EINVAL);
	live_expect(vvm_load(vm, a, NULL, 8), -EINVAL);
	live_expect(vvm_store(NULL, a, buf, 8), -EINVAL);
	live_expect(vvm_store(vm, a, NULL, 8), -EINVAL);
	live_expect(vvm_fetch_check(NULL, a, 8), -EINVAL);
}
END_TEST

START_TEST(access_of_unmapped_addresses)
{
	static const uint64_t nowhere[] = {0,
					   8,
					   0x7fffdeadb000,
					   1ull << 47,
					   LIVE_GUEST - 1,
					   LIVE_GUEST,
					   UINT64_MAX - 7,
					   UINT64_MAX};
	char buf[8] = "";

	for (size_t i = 0; i < LIVE_LEN(nowhere); i++) {
		live_expect(vvm_load(vm, nowhere[i], buf, 1), -VVM_EUNMAPPED);
		live_expect(vvm_store(vm, nowhere[i], buf, 1), -VVM_EUNMAPPED);
		live_expect(vvm_fetch_check(vm, nowhere[i], 1), -VVM_EUNMAPPED);
		/* 8 bytes that may end past 2^48, or wrap */
		live_expect(vvm_load(vm, nowhere[i], buf, 8), -VVM_EUNMAPPED);
		if (nowhere[i] >= LIVE_GUEST)
			continue;
		live_ok(vvm_load(vm, nowhere[i], buf, 0));
		live_ok(vvm_store(vm, nowhere[i], buf, 0));
		live_ok(vvm_fetch_check(vm, nowhere[i], 0));
	}
}
END_TEST

START_TEST(access_past_the_end)
{
	const uint64_t at = 5ull << 44, end = at + 2 * LIVE_PAGE;
	char buf[64], same[64];

	map_at(at, 2, LIVE_RW | VVM_EXEC);
	memset(buf, 'x', sizeof buf);
	memset(same, 'x', sizeof same);
	live_expect(vvm_load(vm, end - 8, buf, 9), -VVM_EPASTEND);
	live_expect(vvm_load(vm, end - 1, buf, 2), -VVM_EPASTEND);
	live_check(memcmp(buf, same, sizeof buf) == 0);
	live_expect(vvm_store(vm, end - 8, buf, 9), -VVM_EPASTEND);
	live_expect(vvm_fetch_check(vm, end - 8, 9), -VVM_EPASTEND);
	live_expect(vvm_fetch_check(vm, at, SIZE_MAX), -VVM_EPASTEND);
	live_expect(vvm_load(vm, end, buf, 1), -VVM_EUNMAPPED);
	live_ok(vvm_load(vm, end - 8, buf, 8));
	for (int i = 0; i < 8; i++) /* the refused store moved nothing */
		live_equal(buf[i], 0);
	live_ok(vvm_fetch_check(vm, at, 2 * LIVE_PAGE));
	/* a hole */
	map_at(end + LIVE_PAGE, 1, LIVE_RW);
	live_expect(vvm_load(vm, end - 8, buf, 9), -VVM_EPASTEND);
	live_expect(vvm_store(vm, at, buf, 4 * LIVE_PAGE), -VVM_EPASTEND);
}
END_TEST

START_TEST(access_at_the_edges_of_48_bits)
{
	char buf[16], text[] = "edge of the map";

	map_at(0, 1, LIVE_RW | VVM_EXEC);
	map_at(LIVE_GUEST - LIVE_PAGE, 1, LIVE_RW | VVM_EXEC);
	live_ok(vvm_store(vm, 0, text, 16));
	live_ok(vvm_load(vm, 0, buf, 16));
	ck_assert_str_eq(buf, text);
	live_ok(vvm_store(vm, LIVE_GUEST - 16, text, 16));
	live_ok(vvm_load(vm, LIVE_GUEST - 16, buf, 16));
	ck_assert_str_eq(buf, text);
	live_expect(vvm_load(vm, LIVE_GUEST - 15, buf, 16), -VVM_EPASTEND);
	live_expect(vvm_store(vm, LIVE_GUEST - 15, buf, 16), -VVM_EPASTEND);
	live_expect(vvm_fetch_check(vm, LIVE_GUEST - 15, 16), -VVM_EPASTEND);
	live_expect(vvm_fetch_check(vm, LIVE_GUEST - 1, SIZE_MAX),
		    -VVM_EPASTEND);
	live_ok(vvm_fetch_check(vm, LIVE_GUEST - 1, 1));
	live_ok(vvm_fetch_check(vm, 0, 1));
}
END_TEST

/* What the checked functions answer for each set of permissions. */
START_TEST(access_follows_the_permissions)
{
	static const struct {
		unsigned prot;
		int load, store, fetch;
	} row[] = {
		{VVM_NONE, -VVM_ENOREAD, -VVM_ENOWRITE, -VVM_ENOEXEC},
		{VVM_READ, 0, -VVM_ENOWRITE, -VVM_ENOEXEC},
		{VVM_READ | VVM_WRITE, 0, 0, -VVM_ENOEXEC},
		{VVM_EXEC, -VVM_ENOREAD, -VVM_ENOWRITE, 0},
		{VVM_READ | VVM_EXEC, 0, -VVM_ENOWRITE, 0},
		{VVM_READ | VVM_WRITE | VVM_EXEC, 0, 0, 0},
	};
	const uint64_t at = 3ull << 46;
	char buf[4] = "abc";

	map_at(at, 1, LIVE_RW);
	live_ok(vvm_store(vm, at + 100, buf, 4));
	for (size_t i = 0; i < LIVE_LEN(row); i++) {
		live_ok(vvm_protect(vm, at, LIVE_PAGE, row[i].prot));
		live_expect(vvm_load(vm, at + 100, buf, 4), row[i].load);
		live_expect(vvm_store(vm, at + 100, buf, 4), row[i].store);
		live_expect(vvm_fetch_check(vm, at + 100, 4), row[i].fetch);
		live_ok(vvm_load(vm, at, buf, 0));
	}
	live_ok(vvm_protect(vm, at, LIVE_PAGE, VVM_WRITE));
	live_ok(vvm_store(vm, at + 100, "xyz", 4));
	live_expect(vvm_fetch_check(vm, at, 1), -VVM_ENOEXEC);
	live_ok(vvm_protect(vm, at, LIVE_PAGE, VVM_READ));
	live_ok(vvm_load(vm, at + 100, buf, 4));
	ck_assert_str_eq(buf, "xyz");
}
END_TEST

/* Every page is checked before the first byte moves. */
START_TEST(access_that_is_refused_moves_nothing)
{
	const uint64_t at = 1ull << 45;
	char buf[3 * 4096], want[3 * 4096];

	map_at(at, 3, LIVE_RW);
	memset(want, 'a', sizeof want);
	live_ok(vvm_store(vm, at, want, sizeof want));
	live_ok(vvm_protect(vm, at + 2 * LIVE_PAGE, LIVE_PAGE, VVM_READ));
	memset(buf, 'b', sizeof buf);
	live_expect(vvm_store(vm, at, buf, sizeof buf), -VVM_ENOWRITE);
	live_expect(vvm_store(vm, at + 2 * LIVE_PAGE - 1, buf, 2),
		    -VVM_ENOWRITE);
	live_ok(vvm_load(vm, at, buf, sizeof buf));
	live_check(memcmp(buf, want, sizeof buf) == 0);
	live_ok(vvm_protect(vm, at + LIVE_PAGE, LIVE_PAGE, VVM_NONE));
	memset(buf, 'c', sizeof buf);
	live_expect(vvm_load(vm, at, buf, sizeof buf), -VVM_ENOREAD);
	for (size_t i = 0; i < sizeof buf; i++)
		live_check(buf[i] == 'c');
	live_expect(vvm_fetch_check(vm, at, 1), -VVM_ENOEXEC);
	live_ok(vvm_protect(vm, at, LIVE_PAGE, VVM_READ | VVM_EXEC));
	live_ok(vvm_fetch_check(vm, at, LIVE_PAGE));
	live_expect(vvm_fetch_check(vm, at, LIVE_PAGE + 1), -VVM_ENOEXEC);
}
END_TEST

START_TEST(fetch_check_brings_nothing_in)
{
	char *p = live_map(vm, 100, VVM_READ | VVM_EXEC);

	live_ok(vvm_fetch_check(vm, live_addr(p), 100 * LIVE_PAGE));
	live_equal(live_count_flags(vm, p, 100, VVM_PAGE_RESIDENT), 0);
	live_equal(live_stats(vm).faults, 0);
}
END_TEST

/* ---- checked access works ---- */

START_TEST(load_of_untouched_memory_is_zeros)
{
	const uint64_t at = 77 * LIVE_PAGE;
	unsigned char buf[5000];

	map_at(at, 4, VVM_READ);
	memset(buf, 0xff, sizeof buf);
	live_ok(vvm_load(vm, at + 3, buf, sizeof buf));
	for (size_t i = 0; i < sizeof buf; i++)
		live_equal(buf[i], 0);
}
END_TEST

#define MODEL_PAGES 64

/*
 * Random accesses against a copy in plain memory, at a budget of 8 pages,
 * over regions that touch in the guest and lie apart in the host.
 */
START_TEST(load_and_store_agree_with_a_model)
{
	static unsigned char model[MODEL_PAGES * 4096], buf[5 * 4096];
	const uint64_t at = (1ull << 47) - 32 * LIVE_PAGE;
	uint64_t state = 99;

	for (unsigned i = 0; i < MODEL_PAGES; i += 16)
		map_at(at + i * LIVE_PAGE, 16, LIVE_RW);
	for (int n = 0; n < 3000; n++) {
		uint64_t len = live_below(&state, 4)
				       ? live_below(&state, 64)
				       : live_below(&state, sizeof buf);
		uint64_t off = live_below(&state, sizeof model - len + 1);

		if (live_below(&state, 2)) {
			for (uint64_t i = 0; i < len; i++)
				buf[i] = (unsigned char)live_random(&state);
			memcpy(model + off, buf, len);
			live_ok(vvm_store(vm, at + off, buf, len));
		} else {
			live_ok(vvm_load(vm, at + off, buf, len));
			live_check(memcmp(model + off, buf, len) == 0);
		}
	}
	for (unsigned i = 0; i < MODEL_PAGES; i++) /* and by pointers */
		live_check(memcmp(vvm_ptr(vm, at + i * LIVE_PAGE),
				  model + i * LIVE_PAGE, LIVE_PAGE) == 0);
	live_check(live_stats(vm).peak_pages <= 8);
}
END_TEST

/* One copy of more pages than the budget has. */
START_TEST(load_and_store_more_than_the_budget)
{
	const size_t bytes = 1 << 20;
	unsigned char *buf = malloc(bytes), *back = malloc(bytes);
	const uint64_t at = 3 * LIVE_PAGE;
	uint64_t state = 1;

	live_check(buf && back);
	map_at(at, bytes / LIVE_PAGE + 1, LIVE_RW);
	for (size_t i = 0; i < bytes; i++)
		buf[i] = (unsigned char)live_random(&state);
	live_ok(vvm_store(vm, at + 77, buf, bytes));
	live_ok(vvm_load(vm, at + 77, back, bytes));
	live_check(memcmp(buf, back, bytes) == 0);
	live_check(live_stats(vm).peak_pages <= 8);
	free(buf);
	free(back);
}
END_TEST

/* From one region to another of the same space: both are paged. */
START_TEST(load_into_and_store_from_guest_memory)
{
	char *p = live_map(vm, 32, LIVE_RW), *q = live_map(vm, 32, LIVE_RW);

	for (uint64_t i = 0; i < 32; i++)
		live_fill(p + i * LIVE_PAGE, i, 1);
	live_ok(vvm_load(vm, live_addr(p), q, 16 * LIVE_PAGE));
	live_ok(vvm_store(vm, live_addr(q) + 16 * LIVE_PAGE, p + 16 * LIVE_PAGE,
			  16 * LIVE_PAGE));
	for (uint64_t i = 0; i < 32; i++)
		live_equal(live_verify(q + i * LIVE_PAGE, i, 1), -1);
}
END_TEST

/* ---- plain pointers ---- */

START_TEST(pointers_over_ten_times_the_budget)
{
	char *p = live_map(vm, 80, LIVE_RW);
	uint64_t state = 3, version[80];

	for (uint64_t i = 0; i < 80; i++)
		live_fill(p + i * LIVE_PAGE, i, version[i] = 0);
	for (int n = 0; n < 2000; n++) {
		uint64_t i = live_below(&state, 80);

		live_equal(live_verify(p + i * LIVE_PAGE, i, version[i]), -1);
		if (live_below(&state, 2))
			live_fill(p + i * LIVE_PAGE, i, ++version[i]);
	}
	live_check(live_within(live_memfd(), 8));
	live_check(live_stats(vm).peak_pages <= 8);
}
END_TEST

START_TEST(pointers_unaligned_over_page_borders)
{
	char *p = live_map(vm, 64, LIVE_RW);
	uint64_t value;

	for (uint64_t i = 1; i < 64; i++) {
		value = live_stamp(i, 5);
		memcpy(p + i * LIVE_PAGE - 3, &value, 8);
	}
	for (uint64_t i = 1; i < 64; i++) {
		memcpy(&value, p + i * LIVE_PAGE - 3, 8);
		live_equal(value, live_stamp(i, 5));
	}
	memmove(p + 100, p, 60 * LIVE_PAGE);
	for (uint64_t i = 1; i < 60; i++) {
		memcpy(&value, p + i * LIVE_PAGE - 3 + 100, 8);
		live_equal(value, live_stamp(i, 5));
	}
}
END_TEST

#ifdef __x86_64__
/* mov $n, %eax; ret */
static void write_function(char *at, uint32_t n)
{
	at[0] = (char)0xb8;
	memcpy(at + 1, &n, 4);
	at[5] = (char)0xc3;
}

START_TEST(pages_are_executed_after_they_were_out)
{
	char *p = live_map(vm, 40, LIVE_RW | VVM_EXEC);
	uint64_t a = live_addr(p);

	for (uint32_t i = 0; i < 40; i++)
		write_function(p + i * LIVE_PAGE + i * 8, i + 1000);
	live_ok(vvm_protect(vm, a, 40 * LIVE_PAGE, VVM_READ | VVM_EXEC));
	for (int round = 0; round < 3; round++)
		for (uint32_t i = 0; i < 40; i++) {
			char *f = p + i * LIVE_PAGE + i * 8;

			live_equal(((uint32_t(*)(void))(uintptr_t)f)(),
				   i + 1000);
		}
	live_check(live_stats(vm).swapin_pages >= 3 * (40 - 8));
	live_ok(vvm_protect(vm, a, 40 * LIVE_PAGE, VVM_READ));
	live_equal(live_try_call(p + 8 * LIVE_PAGE + 64), SIGSEGV);
	live_check(live_signal_addr == p + 8 * LIVE_PAGE + 64);
	live_ok(vvm_protect(vm, a, 40 * LIVE_PAGE, VVM_EXEC));
	live_equal(live_try_call(p + 8 * LIVE_PAGE + 64), 0);
}
END_TEST
#endif

static void add_refusals(Suite *s)
{
	TCase *tc = test_case(s, "refusals");

	tcase_add_test(tc, access_refuses_null);
	tcase_add_test(tc, access_of_unmapped_addresses);
	tcase_add_test(tc, access_past_the_end);
	tcase_add_test(tc, access_at_the_edges_of_48_bits);
	tcase_add_test(tc, access_follows_the_permissions);
	tcase_add_test(tc, access_that_is_refused_moves_nothing);
	tcase_add_test(tc, fetch_check_brings_nothing_in);
}

static void add_checked(Suite *s)
{
	TCase *tc = test_case(s, "checked access");

	tcase_add_test(tc, load_of_untouched_memory_is_zeros);
	tcase_add_test(tc, load_and_store_agree_with_a_model);
	tcase_add_test(tc, load_and_store_more_than_the_budget);
	tcase_add_test(tc, load_into_and_store_from_guest_memory);
}

static void add_pointers(Suite *s)
{
	TCase *tc = test_case(s, "pointers");

	tcase_add_test(tc, pointers_over_ten_times_the_budget);
	tcase_add_test(tc, pointers_unaligned_over_page_borders);
#ifdef __x86_64__
	test_counted(tc, pages_are_executed_after_they_were_out);
#endif
}

static void add_tests(Suite *s)
{
	add_refusals(s);
	add_checked(s);
	add_pointers(s);
}

const struct test_program test_program = {
	.name = "api_access",
	.add = add_tests,
	.setup = setup,
	.teardown = live_end,
	.missing = live_missing,
};
