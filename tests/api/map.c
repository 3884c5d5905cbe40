/* SPDX-License-Identifier: MIT */
/*
 * api/map.c - regions through the public library: where they may be, how
 * they split and merge, what their pages read as, permissions, advice,
 * residency, and every documented error of those functions.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "support/access.h"
#include "support/frames.h"
#include "support/live.h"
#include "support/process.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

static void setup(void)
{
	live_begin(64);
}

static int map_at(uint64_t want, uint64_t len, unsigned prot)
{
	uint64_t addr = want;
	int r = vvm_map(vm, &addr, len, prot, NULL);

	live_equal(addr, want); /* kept when given, unchanged on error */
	return r;
}

static unsigned count_regions(void)
{
	struct vvm_region r;
	unsigned n = 0;

	for (uint64_t at = 0; vvm_query(vm, at, &r) == 0; at = r.end) {
		live_check(r.start >= at && r.end > r.start);
		n++;
	}
	live_equal(live_stats(vm).regions, n);
	return n;
}

/* ---- map ---- */

START_TEST(map_anywhere_is_fresh_zeros_at_the_host_address)
{
	char *p = live_map(vm, 16, LIVE_RW);
	struct vvm_region r;

	for (int i = 0; i < 16; i++)
		live_check(live_is_zero(p + i * LIVE_PAGE));
	live_ok(vvm_query(vm, live_addr(p), &r));
	live_equal(r.start, live_addr(p));
	live_equal(r.end, live_addr(p) + 16 * LIVE_PAGE);
	live_check(r.host == p);
	live_equal(r.prot, LIVE_RW);
	live_equal(r.advice, VVM_ADV_NORMAL);
	ck_assert_str_eq(r.name, "test");
}
END_TEST

START_TEST(map_rounds_the_length_up)
{
	uint64_t addr = VVM_ANYWHERE;
	struct vvm_region r;

	live_ok(vvm_map(vm, &addr, LIVE_PAGE + 1, LIVE_RW, NULL));
	live_ok(vvm_query(vm, addr, &r));
	live_equal(r.end - r.start, 2 * LIVE_PAGE);
	ck_assert_str_eq(r.name, "");
	live_equal(live_stats(vm).mapped_bytes, 2 * LIVE_PAGE);
}
END_TEST

/* Guest addresses that no host pointer could have, and the first and last. */
START_TEST(map_at_given_guest_addresses)
{
	static const uint64_t at[] = {
		0,
		0x10000,
		1ull << 30,
		(1ull << 47) - 2 * 4096, /* across the half */
		(1ull << 47) + 16 * 4096,
		0xdeadbeef0000,
		LIVE_GUEST - 4 * 4096,
	};

	for (size_t i = 0; i < LIVE_LEN(at); i++)
		live_ok(map_at(at[i], 4 * LIVE_PAGE, LIVE_RW));
	for (size_t i = 0; i < LIVE_LEN(at); i++)
		for (int k = 0; k < 4; k++)
			live_fill((char *)vvm_ptr(vm, at[i]) + k * LIVE_PAGE,
				  at[i] + k, 1);
	for (size_t i = 0; i < LIVE_LEN(at); i++) {
		struct vvm_region r;
		char *p = vvm_ptr(vm, at[i]);
		uint64_t back;

		for (int k = 0; k < 4; k++)
			live_equal(live_verify(p + k * LIVE_PAGE, at[i] + k, 1),
				   -1);
		live_check(vvm_ptr(vm, at[i] + 4097) == p + 4097);
		live_ok(vvm_addr(vm, p + 4097, &back));
		live_equal(back, at[i] + 4097);
		live_ok(vvm_query(vm, at[i], &r));
		live_equal(r.start, at[i]);
		live_check(r.host == p);
	}
	live_equal(count_regions(), LIVE_LEN(at));
}
END_TEST

START_TEST(map_refuses_bad_arguments)
{
	uint64_t addr = VVM_ANYWHERE;

	live_expect(vvm_map(NULL, &addr, LIVE_PAGE, LIVE_RW, NULL), -EINVAL);
	live_expect(vvm_map(vm, NULL, LIVE_PAGE, LIVE_RW, NULL), -EINVAL);
	live_expect(map_at(VVM_ANYWHERE, 0, LIVE_RW), -EINVAL);
	live_expect(map_at(VVM_ANYWHERE, LIVE_PAGE, 8), -EINVAL);
	live_expect(map_at(VVM_ANYWHERE, LIVE_PAGE, ~0u), -EINVAL);
	live_expect(map_at(VVM_ANYWHERE, UINT64_MAX, LIVE_RW), -EINVAL);
	live_expect(map_at(VVM_ANYWHERE, LIVE_GUEST + LIVE_PAGE, LIVE_RW),
		    -EINVAL);
	live_expect(map_at(1, LIVE_PAGE, LIVE_RW), -EINVAL);
	live_expect(map_at(LIVE_PAGE + 8, LIVE_PAGE, LIVE_RW), -EINVAL);
	live_expect(map_at(LIVE_PAGE, 0, LIVE_RW), -EINVAL);
	live_expect(map_at(LIVE_GUEST, LIVE_PAGE, LIVE_RW), -EINVAL);
	live_expect(map_at(LIVE_GUEST - LIVE_PAGE, LIVE_PAGE + 1, LIVE_RW),
		    -EINVAL);
	live_expect(map_at(LIVE_PAGE, UINT64_MAX - 100, LIVE_RW), -EINVAL);
	live_expect(map_at(UINT64_MAX - LIVE_PAGE + 1, LIVE_PAGE, LIVE_RW),
		    -EINVAL);
	live_equal(count_regions(), 0);
	live_equal(live_stats(vm).mapped_bytes, 0);
}
END_TEST

START_TEST(map_refuses_overlap)
{
	const uint64_t at = 1ull << 40;
	char *p = live_map(vm, 8, LIVE_RW);

	live_ok(map_at(at, 8 * LIVE_PAGE, LIVE_RW));
	live_expect(map_at(at, 8 * LIVE_PAGE, LIVE_RW), -EEXIST);
	live_expect(map_at(at - LIVE_PAGE, 2 * LIVE_PAGE, LIVE_RW), -EEXIST);
	live_expect(map_at(at + 7 * LIVE_PAGE, LIVE_PAGE, LIVE_RW), -EEXIST);
	live_expect(map_at(at - LIVE_PAGE, 64 * LIVE_PAGE, LIVE_RW), -EEXIST);
	live_expect(map_at(live_addr(p), LIVE_PAGE, LIVE_RW), -EEXIST);
	live_ok(map_at(at - LIVE_PAGE, LIVE_PAGE, LIVE_RW));
	live_ok(map_at(at + 8 * LIVE_PAGE, LIVE_PAGE, LIVE_RW));
	live_equal(count_regions(), 4);
}
END_TEST

/* Where nothing is, and only there; the content goes with the place. */
START_TEST(map_at_a_host_address)
{
	char *hole = mmap(NULL, 8 * LIVE_PAGE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vvm_region r;

	live_check(hole != MAP_FAILED);
	live_equal(vvm_map_at(vm, hole, LIVE_PAGE, LIVE_RW, NULL), -EEXIST);
	live_ok(munmap(hole, 8 * LIVE_PAGE));
	live_ok(vvm_map_at(vm, hole + LIVE_PAGE, 3 * LIVE_PAGE + 1, LIVE_RW,
			   "here"));
	live_ok(vvm_query(vm, 0, &r));
	live_check(r.host == hole + LIVE_PAGE);
	live_equal(r.start, live_addr(hole) + LIVE_PAGE);
	live_equal(r.end - r.start, 4 * LIVE_PAGE);
	ck_assert_str_eq(r.name, "here");
	live_check(live_is_zero(hole + LIVE_PAGE));
	memset(hole + LIVE_PAGE, 5, 4 * LIVE_PAGE);
	live_equal(
		vvm_map_at(vm, hole + 4 * LIVE_PAGE, LIVE_PAGE, LIVE_RW, NULL),
		-EEXIST);
	live_check(hole[5 * LIVE_PAGE - 1] == 5);
	live_equal(count_regions(), 1);
	live_equal(vvm_map_at(vm, NULL, LIVE_PAGE, LIVE_RW, NULL), -ENOMEM);
	if (!LIVE_TSAN) /* makes such addresses 0 and maps there */
		live_equal(vvm_map_at(vm, (void *)((1ul << 48) - LIVE_PAGE),
				      LIVE_PAGE, LIVE_RW, NULL),
			   -ENOMEM);
	live_equal(vvm_map_at(vm, hole + 1, LIVE_PAGE, LIVE_RW, NULL), -EINVAL);
	live_equal(vvm_map_at(vm, hole, 0, LIVE_RW, NULL), -EINVAL);
	live_equal(vvm_map_at(vm, hole, LIVE_PAGE, 8, NULL), -EINVAL);
	live_equal(count_regions(), 1);
}
END_TEST

START_TEST(map_more_than_the_host_has_is_enomem)
{
	live_expect(map_at(VVM_ANYWHERE, 1ull << 47, LIVE_RW), -ENOMEM);
	live_expect(map_at(0, LIVE_GUEST, LIVE_RW), -ENOMEM);
	live_equal(count_regions(), 0);
	live_map(vm, 4, LIVE_RW)[0] = 1;
}
END_TEST

/* As those of an emulator whose guest has its stacks where the host's are. */
START_TEST(map_anywhere_beside_a_guest_region_of_terabytes)
{
	const uint64_t start = 0x700000000000, bytes = 0xfff00000000;

	live_ok(map_at(start, bytes, LIVE_RW));
	for (uint64_t pages = 1; pages <= 2048; pages *= 2)
		live_map(vm, pages, LIVE_RW)[0] = 1;
	live_equal(count_regions(), 13);
}
END_TEST

/* The host address that mmap gives next may be somebody's guest address. */
START_TEST(map_anywhere_avoids_guest_addresses_in_use)
{
	uint64_t addr[16];

	for (int i = 0; i < 16; i++) {
		char *p = live_map(vm, 4, LIVE_RW);

		live_ok(vvm_unmap(vm, live_addr(p), 4 * LIVE_PAGE));
		live_ok(map_at(live_addr(p), 4 * LIVE_PAGE, LIVE_RW));
		addr[i] = live_addr(p);
		live_fill(vvm_ptr(vm, addr[i]), addr[i], 1);
		p = live_map(vm, 4, LIVE_RW);
		live_fill(p, live_addr(p), 2);
		live_equal(live_verify(p, live_addr(p), 2), -1);
	}
	for (int i = 0; i < 16; i++)
		live_equal(live_verify(vvm_ptr(vm, addr[i]), addr[i], 1), -1);
	live_equal(count_regions(), 32);
}
END_TEST

START_TEST(map_one_tebibyte_costs_what_is_touched)
{
	const uint64_t pages = (1ull << 40) / LIVE_PAGE;
	uint64_t rss = live_rss_bytes(), step = pages / 100 + 1;
	char *p = live_map(vm, pages, LIVE_RW);

	for (uint64_t i = 0; i < pages; i += step)
		live_fill(p + i * LIVE_PAGE, i, 1);
	live_fill(p + (pages - 1) * LIVE_PAGE, pages - 1, 1);
	for (uint64_t i = 0; i < pages; i += step)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	live_equal(live_verify(p + (pages - 1) * LIVE_PAGE, pages - 1, 1), -1);
	live_check(live_is_zero(p + 12345 * LIVE_PAGE));
	ck_assert_uint_le(live_rss_bytes(), rss + (32 << 20));
	live_check(live_within(live_memfd(), 64));
	live_equal(live_stats(vm).mapped_bytes, 1ll << 40);
	live_ok(vvm_unmap(vm, live_addr(p), pages * LIVE_PAGE));
	live_equal(live_stats(vm).mapped_bytes, 0);
	live_equal(live_stats(vm).resident_pages, 0);
	live_equal(live_stats(vm).swap_used_pages, 0);
}
END_TEST

/* The flags of the mapping at p, from smaps. */
static bool mapping_has(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	bool here = false, has = false;
	uintptr_t from, to;
	char line[512];

	live_check(f != NULL);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (uintptr_t)p >= from && (uintptr_t)p < to;
		if (here && !strncmp(line, "VmFlags:", 8))
			has = strstr(line, flag) != NULL;
	}
	fclose(f);
	return has;
}

/* A core dump would try each page, and show as zeros what is in swap. */
START_TEST(map_is_no_part_of_core_dumps)
{
	char *p = live_map(vm, 64, LIVE_RW);

	live_check(mapping_has(p, " dd"));
	live_check(mapping_has(p + 63 * LIVE_PAGE, " dd"));
}
END_TEST

#define MANY 5000

START_TEST(map_thousands_of_regions)
{
	static char *p[MANY];
	uint64_t state = 5;
	int maps = live_count_maps();

	for (int i = 0; i < MANY; i++) {
		p[i] = live_map(vm, 1 + i % 3, LIVE_RW);
		if (i % 5 == 0)
			live_fill(p[i], (uint64_t)i, 1);
	}
	live_equal(count_regions(), MANY);
	for (int i = 0; i < MANY; i += 5)
		live_equal(live_verify(p[i], (uint64_t)i, 1), -1);
	for (int i = MANY - 1; i > 0; i--) { /* unmap in random order */
		int k = (int)live_below(&state, (uint64_t)i + 1);
		char *t = p[k];

		p[k] = p[i], p[i] = t;
	}
	for (int i = 0; i < MANY; i++) {
		struct vvm_region r;

		live_ok(vvm_query(vm, live_addr(p[i]), &r));
		live_ok(vvm_unmap(vm, r.start, r.end - r.start));
	}
	live_equal(count_regions(), 0);
	live_equal(live_stats(vm).resident_pages, 0);
	ck_assert_int_le(live_count_maps(), maps + 200);
}
END_TEST

START_TEST(map_keeps_31_bytes_of_the_name)
{
	uint64_t a = VVM_ANYWHERE, b = VVM_ANYWHERE;
	struct vvm_region r;

	live_ok(vvm_map(vm, &a, LIVE_PAGE, LIVE_RW,
			"0123456789012345678901234567890"));
	live_ok(vvm_map(vm, &b, LIVE_PAGE, LIVE_RW,
			"abcdefghijabcdefghijabcdefghijABCDEF"));
	live_ok(vvm_query(vm, a, &r));
	ck_assert_str_eq(r.name, "0123456789012345678901234567890");
	live_ok(vvm_query(vm, b, &r));
	ck_assert_str_eq(r.name, "abcdefghijabcdefghijabcdefghijA");
}
END_TEST

/* ---- unmap ---- */

START_TEST(unmap_refuses_bad_arguments)
{
	char *p = live_map(vm, 8, LIVE_RW);
	uint64_t a = live_addr(p);

	live_fill(p, 1, 1);
	live_expect(vvm_unmap(NULL, a, LIVE_PAGE), -EINVAL);
	live_expect(vvm_unmap(vm, a + 1, LIVE_PAGE), -EINVAL);
	live_expect(vvm_unmap(vm, a, 0), -EINVAL);
	live_expect(vvm_unmap(vm, a, LIVE_GUEST), -EINVAL);
	live_expect(vvm_unmap(vm, a, UINT64_MAX), -EINVAL);
	live_expect(vvm_unmap(vm, LIVE_GUEST, LIVE_PAGE), -EINVAL);
	live_ok(vvm_pin(vm, a + 6 * LIVE_PAGE, LIVE_PAGE));
	live_expect(vvm_unmap(vm, a, 8 * LIVE_PAGE), -EBUSY);
	live_equal(count_regions(), 1);
	live_equal(live_verify(p, 1, 1), -1);
	live_ok(vvm_unmap(vm, a, 6 * LIVE_PAGE)); /* beside the pin */
	live_ok(vvm_unpin(vm, a + 6 * LIVE_PAGE, LIVE_PAGE));
	live_ok(vvm_unmap(vm, a, 8 * LIVE_PAGE)); /* with a hole */
	live_ok(vvm_unmap(vm, a, 8 * LIVE_PAGE)); /* nothing there */
	live_equal(count_regions(), 0);
}
END_TEST

START_TEST(unmap_one_of_two_leaves_the_other)
{
	char *p = live_map(vm, 200, LIVE_RW), *q = live_map(vm, 200, LIVE_RW);
	uint64_t value;

	for (uint64_t i = 0; i < 200; i++) {
		live_fill(p + i * LIVE_PAGE, i, 1);
		live_fill(q + i * LIVE_PAGE, i, 2);
	}
	live_ok(vvm_unmap(vm, live_addr(p), 200 * LIVE_PAGE));
	live_equal(live_try_load(p, &value), SIGSEGV);
	live_check(live_signal_addr == p);
	for (uint64_t i = 0; i < 200; i++)
		live_equal(live_verify(q + i * LIVE_PAGE, i, 2), -1);
	for (uint64_t i = 0; i < 200; i++)
		live_fill(q + i * LIVE_PAGE, i, 3);
	for (uint64_t i = 0; i < 200; i++)
		live_equal(live_verify(q + i * LIVE_PAGE, i, 3), -1);
}
END_TEST

/* Content on both sides of a hole, resident or not, is untouched. */
START_TEST(unmap_the_middle_splits)
{
	char *p = live_map(vm, 200, LIVE_RW);
	uint64_t a = live_addr(p), mapping, value;
	struct vvm_region r;

	for (uint64_t i = 0; i < 200; i++)
		live_fill(p + i * LIVE_PAGE, i, 1);
	live_ok(vvm_query(vm, a, &r));
	mapping = r.mapping;
	live_ok(vvm_unmap(vm, a + 50 * LIVE_PAGE, 100 * LIVE_PAGE));
	live_equal(count_regions(), 2);
	live_ok(vvm_query(vm, a, &r));
	live_equal(r.end, a + 50 * LIVE_PAGE);
	live_equal(r.mapping, mapping);
	live_ok(vvm_query(vm, r.end, &r));
	live_equal(r.start, a + 150 * LIVE_PAGE);
	live_equal(r.end, a + 200 * LIVE_PAGE);
	live_equal(r.mapping, mapping);
	live_check(r.host == p + 150 * LIVE_PAGE);
	live_check(vvm_ptr(vm, a + 50 * LIVE_PAGE) == NULL);
	live_check(vvm_ptr(vm, a + 150 * LIVE_PAGE) == p + 150 * LIVE_PAGE);
	live_equal(live_try_load(p + 50 * LIVE_PAGE + 8, &value), SIGSEGV);
	live_check(live_signal_addr == p + 50 * LIVE_PAGE + 8);
	live_equal(live_try_store(p + 149 * LIVE_PAGE, 1), SIGSEGV);
	for (uint64_t i = 0; i < 200; i++)
		if (i < 50 || i >= 150)
			live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	live_equal(live_stats(vm).mapped_bytes, 100 * LIVE_PAGE);
}
END_TEST

START_TEST(unmap_over_several_regions_and_holes)
{
	const uint64_t at = 3ull << 45;

	for (int i = 0; i < 8; i++)
		live_ok(map_at(at + i * 10 * LIVE_PAGE, 5 * LIVE_PAGE,
			       LIVE_RW));
	for (int i = 0; i < 8; i++)
		live_fill(vvm_ptr(vm, at + i * 10 * LIVE_PAGE), i, 1);
	live_ok(vvm_unmap(vm, at + 2 * LIVE_PAGE, 62 * LIVE_PAGE));
	/* left: 2 pages of the first, 1 of the seventh, the eighth */
	live_equal(count_regions(), 3);
	live_equal(live_stats(vm).mapped_bytes, 8 * LIVE_PAGE);
	live_equal(live_verify(vvm_ptr(vm, at), 0, 1), -1);
	live_equal(live_verify(vvm_ptr(vm, at + 70 * LIVE_PAGE), 7, 1), -1);
	live_ok(vvm_unmap(vm, 0, LIVE_GUEST));
	live_equal(count_regions(), 0);
}
END_TEST

START_TEST(unmap_and_map_again_reads_zeros)
{
	const uint64_t at = 7ull << 44;

	for (int round = 0; round < 5; round++) {
		char *p;

		live_ok(map_at(at, 200 * LIVE_PAGE, LIVE_RW));
		p = vvm_ptr(vm, at);
		for (uint64_t i = 0; i < 200; i++) {
			live_check(live_is_zero(p + i * LIVE_PAGE));
			live_fill(p + i * LIVE_PAGE, i, round);
		}
		live_ok(vvm_unmap(vm, at, 200 * LIVE_PAGE));
		live_equal(live_stats(vm).swap_used_pages, 0);
		live_equal(live_stats(vm).resident_pages, 0);
		live_equal(live_frames(live_memfd()), 0);
	}
}
END_TEST

START_TEST(unmap_a_hole_and_fill_it)
{
	const uint64_t at = 9ull << 43;
	struct vvm_region r;
	uint64_t mapping;
	char *p;

	live_ok(map_at(at, 100 * LIVE_PAGE, LIVE_RW));
	p = vvm_ptr(vm, at);
	for (uint64_t i = 0; i < 100; i++)
		live_fill(p + i * LIVE_PAGE, i, 1);
	live_ok(vvm_query(vm, at, &r));
	mapping = r.mapping;
	live_ok(vvm_unmap(vm, at + 40 * LIVE_PAGE, 20 * LIVE_PAGE));
	live_ok(map_at(at + 40 * LIVE_PAGE, 20 * LIVE_PAGE, LIVE_RW));
	live_ok(vvm_query(vm, at + 40 * LIVE_PAGE, &r));
	live_check(r.mapping != mapping);
	for (uint64_t i = 0; i < 100; i++) {
		p = vvm_ptr(vm, at + i * LIVE_PAGE);
		if (i < 40 || i >= 60)
			live_equal(live_verify(p, i, 1), -1);
		else
			live_check(live_is_zero(p));
	}
	live_equal(count_regions(), 3);
}
END_TEST

/* ---- protect ---- */

START_TEST(protect_refuses_bad_arguments)
{
	char *p = live_map(vm, 8, LIVE_RW);
	uint64_t a = live_addr(p);

	live_expect(vvm_protect(NULL, a, LIVE_PAGE, VVM_READ), -EINVAL);
	live_expect(vvm_protect(vm, a + 2, LIVE_PAGE, VVM_READ), -EINVAL);
	live_expect(vvm_protect(vm, a, 0, VVM_READ), -EINVAL);
	live_expect(vvm_protect(vm, a, LIVE_PAGE, 16), -EINVAL);
	live_expect(vvm_protect(vm, a, LIVE_GUEST, VVM_READ), -EINVAL);
	live_expect(vvm_protect(vm, LIVE_GUEST, LIVE_PAGE, VVM_READ), -EINVAL);
	live_ok(vvm_unmap(vm, a + 3 * LIVE_PAGE, LIVE_PAGE));
	live_expect(vvm_protect(vm, a, 8 * LIVE_PAGE, VVM_NONE),
		    -VVM_EUNMAPPED);
	live_expect(vvm_protect(vm, a + 3 * LIVE_PAGE, LIVE_PAGE, VVM_READ),
		    -VVM_EUNMAPPED);
	p[0] = p[7 * LIVE_PAGE] = 1; /* nothing has changed */
	live_equal(count_regions(), 2);
}
END_TEST

START_TEST(protect_is_enforced)
{
	char *p = live_map(vm, 8, LIVE_RW);
	uint64_t a = live_addr(p), value;

	live_fill(p, 1, 1);
	live_ok(vvm_protect(vm, a, LIVE_PAGE, VVM_READ));
	live_equal(live_try_load(p, &value), 0);
	live_equal(value, live_stamp(512, 1));
	live_equal(live_try_store(p + 16, 5), SIGSEGV);
	live_check(live_signal_addr == p + 16);
	live_ok(vvm_protect(vm, a, LIVE_PAGE, VVM_NONE));
	live_equal(live_try_load(p + 24, &value), SIGSEGV);
	live_check(live_signal_addr == p + 24);
	live_equal(live_try_store(p + 32, 5), SIGSEGV);
	live_check(live_signal_addr == p + 32);
	live_ok(vvm_protect(vm, a, LIVE_PAGE, VVM_WRITE)); /* reads too */
	live_equal(live_verify(p, 1, 1), -1);
	live_fill(p, 1, 2);
	live_ok(vvm_protect(vm, a, LIVE_PAGE, LIVE_RW | VVM_EXEC));
	live_equal(live_verify(p, 1, 2), -1);
	live_fill(p, 1, 3);
	live_ok(vvm_protect(vm, a, LIVE_PAGE, VVM_READ | VVM_EXEC));
	live_equal(live_verify(p, 1, 3), -1);
	live_equal(live_try_store(p, 5), SIGSEGV);
	/* the pages beside it */
	live_equal(live_try_store(p + LIVE_PAGE, 5), 0);
}
END_TEST

/* The same for pages that are out, or that were never touched. */
START_TEST(protect_holds_for_absent_pages)
{
	char *p = live_map(vm, 8, LIVE_RW), *q = live_map(vm, 200, LIVE_RW);
	uint64_t a = live_addr(p), value;

	for (uint64_t i = 0; i < 4; i++)
		live_fill(p + i * LIVE_PAGE, i, 1);
	live_push_out(vm, p, 8, q, 200);
	live_ok(vvm_protect(vm, a, 2 * LIVE_PAGE, VVM_READ));
	live_ok(vvm_protect(vm, a + 2 * LIVE_PAGE, 2 * LIVE_PAGE, VVM_NONE));
	live_ok(vvm_protect(vm, a + 4 * LIVE_PAGE, 2 * LIVE_PAGE, VVM_READ));
	live_ok(vvm_protect(vm, a + 6 * LIVE_PAGE, 2 * LIVE_PAGE, VVM_NONE));
	for (uint64_t i = 0; i < 8; i++) {
		int readable = (i / 2) % 2 == 0;
		char *at = p + i * LIVE_PAGE + 8;

		live_equal(live_try_store(at, 9), SIGSEGV);
		live_check(live_signal_addr == at);
		live_equal(live_try_load(at, &value), readable ? 0 : SIGSEGV);
		if (readable)
			live_equal(value,
				   i < 4 ? live_stamp(i * 512 + 1, 1) : 0);
	}
	live_ok(vvm_protect(vm, a, 8 * LIVE_PAGE, LIVE_RW));
	for (uint64_t i = 0; i < 4; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	live_check(live_is_zero(p + 7 * LIVE_PAGE));
}
END_TEST

/* Writes after a page was read-only for a while are not lost. */
START_TEST(protect_and_back_keeps_dirty_tracking)
{
	char *p = live_map(vm, 32, LIVE_RW), *q = live_map(vm, 200, LIVE_RW);
	uint64_t a = live_addr(p);

	for (uint64_t version = 1; version <= 6; version++) {
		for (uint64_t i = 0; i < 32; i++)
			live_fill(p + i * LIVE_PAGE, i, version);
		live_ok(vvm_protect(vm, a, 32 * LIVE_PAGE,
				    version % 2 ? VVM_READ : VVM_NONE));
		live_push_out(vm, p, 32, q, 200);
		live_ok(vvm_protect(vm, a, 32 * LIVE_PAGE, LIVE_RW));
		for (uint64_t i = 0; i < 32; i++)
			live_equal(live_verify(p + i * LIVE_PAGE, i, version),
				   -1);
	}
}
END_TEST

START_TEST(protect_splits_and_merges)
{
	char *p = live_map(vm, 30, LIVE_RW);
	uint64_t a = live_addr(p);
	struct vvm_region r;

	for (uint64_t i = 0; i < 30; i++)
		live_fill(p + i * LIVE_PAGE, i, 1);
	live_ok(vvm_protect(vm, a + 10 * LIVE_PAGE, 10 * LIVE_PAGE, VVM_READ));
	live_equal(count_regions(), 3);
	live_ok(vvm_query(vm, a + 12 * LIVE_PAGE, &r));
	live_equal(r.start, a + 10 * LIVE_PAGE);
	live_equal(r.end, a + 20 * LIVE_PAGE);
	live_equal(r.prot, VVM_READ);
	live_ok(vvm_protect(vm, a + 10 * LIVE_PAGE, 10 * LIVE_PAGE, LIVE_RW));
	live_equal(count_regions(), 1);
	live_ok(vvm_query(vm, a, &r));
	live_equal(r.end - r.start, 30 * LIVE_PAGE);
	/* across regions that differ */
	live_ok(vvm_protect(vm, a, 5 * LIVE_PAGE, VVM_NONE));
	live_ok(vvm_protect(vm, a + 20 * LIVE_PAGE, 5 * LIVE_PAGE, VVM_READ));
	live_equal(count_regions(), 4);
	live_ok(vvm_protect(vm, a, 30 * LIVE_PAGE, LIVE_RW));
	live_equal(count_regions(), 1);
	for (uint64_t i = 0; i < 30; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
}
END_TEST

/* Leaves `left` of the mappings that the kernel allows; 0: too many to try. */
static char *filler;
static uint64_t filler_pages;

static int eat_mappings(long left)
{
	FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
	long most = 0, now = live_count_maps();

	if (!f || fscanf(f, "%ld", &most) != 1 || most > 200000)
		return 0;
	fclose(f);
	filler_pages = (uint64_t)(most - now - left);
	filler = mmap(NULL, filler_pages * LIVE_PAGE, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	live_check(filler != MAP_FAILED);
	for (uint64_t i = 1; i < filler_pages; i += 2)
		if (mprotect(filler + i * LIVE_PAGE, LIVE_PAGE, PROT_READ))
			break;
	return 1;
}

/* Splits until the kernel has no mapping left: -ENOMEM, nothing is broken. */
START_TEST(protect_map_and_unmap_with_too_many_mappings)
{
	char *p = live_map(vm, 4096, LIVE_RW);
	uint64_t a = live_addr(p), addr = VVM_ANYWHERE, done;
	unsigned before;
	int r = 0;

	if (LIVE_SANITIZED || !eat_mappings(500))
		return;
	for (uint64_t i = 0; i < 4096; i += 64)
		live_fill(p + i * LIVE_PAGE, i, 1);
	for (done = 1; done < 4096; done += 2) {
		r = vvm_protect(vm, a + done * LIVE_PAGE, LIVE_PAGE, VVM_READ);
		if (r)
			break;
	}
	live_equal(r, -ENOMEM);
	before = count_regions();
	live_expect(vvm_protect(vm, a + (done + 4) * LIVE_PAGE, LIVE_PAGE,
				VVM_NONE),
		    -ENOMEM);
	live_equal(count_regions(), before);
	/* It may succeed; `done` is odd, so that no stamped page goes. */
	r = vvm_unmap(vm, a + (done + 10) * LIVE_PAGE, LIVE_PAGE);
	live_check(r == 0 || r == -ENOMEM);
	/* Fails, or finds the last free mapping; then soon it does fail. */
	for (int i = 0; i < 10 && r != -ENOMEM; i++) {
		addr = VVM_ANYWHERE;
		r = vvm_map(vm, &addr, 64 * LIVE_PAGE, LIVE_RW, NULL);
		live_check(r == 0 || r == -ENOMEM);
	}
	/* paging goes on all the same */
	for (uint64_t i = 0; i < 4096; i += 64)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	live_equal(live_try_store(p + LIVE_PAGE, 1), SIGSEGV);
	live_equal(live_try_store(p + (done + 4) * LIVE_PAGE, 1), 0);
	munmap(filler, filler_pages * LIVE_PAGE);
	live_ok(vvm_protect(vm, a + (done + 2) * LIVE_PAGE, LIVE_PAGE,
			    VVM_READ));
	addr = VVM_ANYWHERE;
	live_ok(vvm_map(vm, &addr, 64 * LIVE_PAGE, LIVE_RW, NULL));
}
END_TEST

/* ---- advise ---- */

START_TEST(advise_refuses_bad_arguments)
{
	char *p = live_map(vm, 8, LIVE_RW);
	uint64_t a = live_addr(p);

	live_fill(p, 1, 1);
	live_expect(vvm_advise(NULL, a, LIVE_PAGE, VVM_ADV_COLD), -EINVAL);
	live_expect(vvm_advise(vm, a, LIVE_PAGE, (enum vvm_advice)99), -EINVAL);
	for (int k = VVM_ADV_NORMAL; k <= VVM_ADV_COLD; k++) {
		enum vvm_advice advice = (enum vvm_advice)k;

		live_expect(vvm_advise(vm, a + 1, LIVE_PAGE, advice), -EINVAL);
		live_expect(vvm_advise(vm, a, 0, advice), -EINVAL);
		live_expect(vvm_advise(vm, a, LIVE_GUEST, advice), -EINVAL);
		live_expect(vvm_advise(vm, LIVE_GUEST, LIVE_PAGE, advice),
			    -EINVAL);
		live_expect(vvm_advise(vm, a, 9 * LIVE_PAGE, advice),
			    -VVM_EUNMAPPED);
		live_expect(vvm_advise(vm, LIVE_PAGE, LIVE_PAGE, advice),
			    -VVM_EUNMAPPED);
	}
	live_ok(vvm_pin(vm, a + 2 * LIVE_PAGE, LIVE_PAGE));
	live_expect(vvm_advise(vm, a, 8 * LIVE_PAGE, VVM_ADV_DONTNEED), -EBUSY);
	live_equal(live_verify(p, 1, 1), -1);
	live_ok(vvm_unpin(vm, a + 2 * LIVE_PAGE, LIVE_PAGE));
	live_ok(vvm_advise(vm, a, 8 * LIVE_PAGE, VVM_ADV_DONTNEED));
}
END_TEST

START_TEST(advise_that_stays_is_seen_and_splits)
{
	char *p = live_map(vm, 30, LIVE_RW);
	uint64_t a = live_addr(p);
	struct vvm_region r;

	live_ok(vvm_advise(vm, a + 10 * LIVE_PAGE, 10 * LIVE_PAGE,
			   VVM_ADV_RANDOM));
	live_equal(count_regions(), 3);
	live_ok(vvm_query(vm, a + 10 * LIVE_PAGE, &r));
	live_equal(r.advice, VVM_ADV_RANDOM);
	live_equal(r.end, a + 20 * LIVE_PAGE);
	live_ok(vvm_advise(vm, a, 30 * LIVE_PAGE, VVM_ADV_SEQUENTIAL));
	live_equal(count_regions(), 1);
	live_ok(vvm_query(vm, a, &r));
	live_equal(r.advice, VVM_ADV_SEQUENTIAL);
	live_ok(vvm_advise(vm, a, 30 * LIVE_PAGE, VVM_ADV_COLD));
	live_ok(vvm_advise(vm, a, 30 * LIVE_PAGE, VVM_ADV_WILLNEED));
	live_ok(vvm_advise(vm, a, 30 * LIVE_PAGE, VVM_ADV_DONTNEED));
	live_ok(vvm_query(vm, a, &r));
	live_equal(r.advice, VVM_ADV_SEQUENTIAL); /* those act once */
	live_ok(vvm_advise(vm, a, 30 * LIVE_PAGE, VVM_ADV_NORMAL));
	live_ok(vvm_query(vm, a, &r));
	live_equal(r.advice, VVM_ADV_NORMAL);
}
END_TEST

/* Whatever the advice, content is the same. */
START_TEST(advise_does_not_change_content)
{
	static const enum vvm_advice advice[] = {
		VVM_ADV_NORMAL, VVM_ADV_RANDOM, VVM_ADV_SEQUENTIAL,
		VVM_ADV_WILLNEED, VVM_ADV_COLD};
	char *p = live_map(vm, 300, LIVE_RW);
	uint64_t a = live_addr(p);

	for (uint64_t k = 0; k < LIVE_LEN(advice); k++) {
		for (uint64_t i = 0; i < 300; i++)
			live_fill(p + i * LIVE_PAGE, i, k);
		live_ok(vvm_advise(vm, a, 300 * LIVE_PAGE, advice[k]));
		for (uint64_t i = 0; i < 300; i++)
			live_equal(live_verify(p + i * LIVE_PAGE, i, k), -1);
		for (uint64_t i = 300; i-- > 0;)
			live_equal(live_verify(p + i * LIVE_PAGE, i, k), -1);
		live_check(live_stats(vm).peak_pages <= 64);
	}
}
END_TEST

START_TEST(advise_dontneed_gives_zeros)
{
	char *p = live_map(vm, 300, LIVE_RW);
	uint64_t a = live_addr(p), used;

	for (uint64_t i = 0; i < 300; i++) /* some resident, most not */
		live_fill(p + i * LIVE_PAGE, i, 1);
	used = live_stats(vm).swap_used_pages;
	live_check(used > 200);
	live_ok(vvm_advise(vm, a + 50 * LIVE_PAGE, 200 * LIVE_PAGE,
			   VVM_ADV_DONTNEED));
	live_wait(live_stats(vm).swap_used_pages < used, 10000);
	for (uint64_t i = 0; i < 300; i++) {
		if (i < 50 || i >= 250)
			live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
		else
			live_check(live_is_zero(p + i * LIVE_PAGE));
	}
	live_ok(vvm_advise(vm, a, 300 * LIVE_PAGE, VVM_ADV_DONTNEED));
	/* the slot of a page being written is given back after the write */
	live_wait(live_stats(vm).swap_used_pages == 0, 10000);
	live_equal(live_stats(vm).resident_pages, 0);
	live_equal(live_frames(live_memfd()), 0);
	live_fill(p, 1, 7);
	live_equal(live_verify(p, 1, 7), -1);
	live_ok(vvm_protect(vm, a, LIVE_PAGE, VVM_NONE)); /* any permission */
	live_ok(vvm_advise(vm, a, LIVE_PAGE, VVM_ADV_DONTNEED));
	live_ok(vvm_protect(vm, a, LIVE_PAGE, VVM_READ));
	live_check(live_is_zero(p));
}
END_TEST

START_TEST(advise_willneed_brings_pages_in)
{
	struct vvm *big = live_open(1024);
	char *p = live_map(big, 32, LIVE_RW), *q = live_map(big, 3000, LIVE_RW);

	for (uint64_t i = 0; i < 32; i++)
		live_fill(p + i * LIVE_PAGE, i, 1);
	live_push_out(big, p, 32, q, 3000);
	live_ok(vvm_advise(big, live_addr(q), 3000 * LIVE_PAGE,
			   VVM_ADV_DONTNEED)); /* now there is room */
	live_ok(vvm_advise(big, live_addr(p), 32 * LIVE_PAGE,
			   VVM_ADV_WILLNEED));
	live_wait(live_count_flags(big, p, 32, VVM_PAGE_RESIDENT) == 32, 20000);
	for (uint64_t i = 0; i < 32; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	live_ok(vvm_close(big));
}
END_TEST

START_TEST(advise_cold_pages_go_first)
{
	struct vvm *big = live_open(512);
	char *hot = live_map(big, 128, LIVE_RW);
	char *cold = live_map(big, 128, LIVE_RW);
	char *other = live_map(big, 1024, LIVE_RW);
	uint64_t h, c;

	for (uint64_t i = 0; i < 128; i++) {
		live_fill(cold + i * LIVE_PAGE, i, 1);
		live_fill(hot + i * LIVE_PAGE, i, 2);
	}
	live_ok(vvm_advise(big, live_addr(cold), 128 * LIVE_PAGE,
			   VVM_ADV_COLD));
	for (uint64_t i = 0; i < 400; i++) {
		live_fill(other + i * LIVE_PAGE, i, 3);
		(void)*(volatile char *)(hot + i % 128 * LIVE_PAGE);
	}
	h = live_count_flags(big, hot, 128, VVM_PAGE_RESIDENT);
	c = live_count_flags(big, cold, 128, VVM_PAGE_RESIDENT);
	ck_assert_msg(c <= h, "resident: %d cold pages, %d hot ones", (int)c,
		      (int)h);
	for (uint64_t i = 0; i < 128; i++) {
		live_equal(live_verify(cold + i * LIVE_PAGE, i, 1), -1);
		live_equal(live_verify(hot + i * LIVE_PAGE, i, 2), -1);
	}
	live_ok(vvm_close(big));
}
END_TEST

/* ---- query, residency, ptr, addr ---- */

START_TEST(query_walks_and_ends)
{
	struct vvm_region r;

	live_expect(vvm_query(vm, 0, &r), -VVM_EUNMAPPED);
	live_ok(map_at(0, LIVE_PAGE, VVM_NONE));
	live_ok(map_at(LIVE_GUEST - LIVE_PAGE, LIVE_PAGE, VVM_READ));
	live_expect(vvm_query(NULL, 0, &r), -EINVAL);
	live_expect(vvm_query(vm, 0, NULL), -EINVAL);
	live_ok(vvm_query(vm, 0, &r));
	live_equal(r.start, 0);
	live_equal(r.prot, VVM_NONE);
	live_ok(vvm_query(vm, r.end, &r)); /* the next one above */
	live_equal(r.start, LIVE_GUEST - LIVE_PAGE);
	live_equal(r.end, LIVE_GUEST);
	live_ok(vvm_query(vm, LIVE_GUEST - 1, &r)); /* any byte of it */
	live_equal(r.prot, VVM_READ);
	live_expect(vvm_query(vm, LIVE_GUEST, &r), -VVM_EUNMAPPED);
	live_expect(vvm_query(vm, UINT64_MAX, &r), -VVM_EUNMAPPED);
}
END_TEST

START_TEST(residency_refuses_bad_arguments)
{
	char *p = live_map(vm, 4, LIVE_RW);
	uint64_t a = live_addr(p);
	unsigned char flags[8];

	live_expect(vvm_residency(NULL, a, LIVE_PAGE, flags), -EINVAL);
	live_expect(vvm_residency(vm, a, LIVE_PAGE, NULL), -EINVAL);
	live_expect(vvm_residency(vm, a + 1, LIVE_PAGE, flags), -EINVAL);
	live_expect(vvm_residency(vm, a, 0, flags), -EINVAL);
	live_expect(vvm_residency(vm, a, LIVE_GUEST, flags), -EINVAL);
	live_expect(vvm_residency(vm, LIVE_GUEST, LIVE_PAGE, flags), -EINVAL);
	live_expect(vvm_residency(vm, a, 5 * LIVE_PAGE, flags), -VVM_EUNMAPPED);
}
END_TEST

START_TEST(residency_follows_a_page)
{
	char *p = live_map(vm, 4, LIVE_RW), *q = live_map(vm, 200, LIVE_RW);
	unsigned char flags[4];

	live_ok(vvm_residency(vm, live_addr(p), 3 * LIVE_PAGE + 1, flags));
	for (int i = 0; i < 4; i++)
		live_equal(flags[i], 0);
	p[LIVE_PAGE] = 1;
	(void)*(volatile char *)(p + 2 * LIVE_PAGE);
	live_ok(vvm_residency(vm, live_addr(p), 4 * LIVE_PAGE, flags));
	live_equal(flags[0], 0);
	live_equal(flags[1], VVM_PAGE_RESIDENT | VVM_PAGE_DIRTY);
	live_equal(flags[2], VVM_PAGE_RESIDENT);
	live_ok(vvm_pin(vm, live_addr(p), LIVE_PAGE));
	live_equal(live_flags(vm, p),
		   VVM_PAGE_RESIDENT | VVM_PAGE_DIRTY | VVM_PAGE_PINNED);
	live_ok(vvm_unpin(vm, live_addr(p), LIVE_PAGE));
	live_equal(live_flags(vm, p) & VVM_PAGE_PINNED, 0);
	live_push_out(vm, p, 4, q, 200);
	live_wait(live_flags(vm, p + LIVE_PAGE) == VVM_PAGE_SWAPPED, 10000);
	live_equal(live_flags(vm, p + 2 * LIVE_PAGE), 0); /* zeros: no slot */
	live_ok(vvm_advise(vm, live_addr(q), 200 * LIVE_PAGE,
			   VVM_ADV_DONTNEED)); /* room: nothing is evicted */
	live_equal(p[LIVE_PAGE], 1);
	live_equal(live_flags(vm, p + LIVE_PAGE),
		   VVM_PAGE_RESIDENT | VVM_PAGE_SWAPPED);
	p[LIVE_PAGE] = 2; /* dirty again: the copy in swap is void */
	live_equal(live_flags(vm, p + LIVE_PAGE),
		   VVM_PAGE_RESIDENT |
			   (live_guarded()
				    ? VVM_PAGE_SWAPPED /* not known yet */
				    : VVM_PAGE_DIRTY));
}
END_TEST

START_TEST(pointers_and_addresses)
{
	char *p = live_map(vm, 4, LIVE_RW), local;
	const uint64_t at = 11ull << 44;
	uint64_t back = 77;

	live_ok(map_at(at, 4 * LIVE_PAGE, VVM_NONE));
	live_check(vvm_ptr(NULL, at) == NULL);
	live_check(vvm_ptr(vm, at + 4 * LIVE_PAGE) == NULL);
	live_check(vvm_ptr(vm, at - 1) == NULL);
	live_check(vvm_ptr(vm, LIVE_GUEST) == NULL);
	live_check(vvm_ptr(vm, UINT64_MAX) == NULL);
	live_check(vvm_ptr(vm, at) != NULL);
	live_expect(vvm_addr(NULL, p, &back), -EINVAL);
	live_expect(vvm_addr(vm, p, NULL), -EINVAL);
	live_expect(vvm_addr(vm, &local, &back), -VVM_EUNMAPPED);
	live_equal(back, 77);
	live_ok(vvm_addr(vm, (char *)vvm_ptr(vm, at + 5) + 1, &back));
	live_equal(back, at + 6);
	live_ok(vvm_addr(vm, p + 4 * LIVE_PAGE - 1, &back));
	live_equal(back, live_addr(p) + 4 * LIVE_PAGE - 1);
}
END_TEST

static void add_map(Suite *s)
{
	TCase *tc = test_case(s, "map");

	tcase_add_test(tc, map_anywhere_is_fresh_zeros_at_the_host_address);
	test_counted(tc, map_rounds_the_length_up);
	tcase_add_test(tc, map_at_given_guest_addresses);
	tcase_add_test(tc, map_refuses_bad_arguments);
	tcase_add_test(tc, map_refuses_overlap);
	tcase_add_test(tc, map_at_a_host_address);
	tcase_add_test(tc, map_more_than_the_host_has_is_enomem);
	tcase_add_test(tc, map_anywhere_avoids_guest_addresses_in_use);
	if (!LIVE_TSAN) /* which has those addresses */
		tcase_add_test(tc,
			       map_anywhere_beside_a_guest_region_of_terabytes);
	test_counted(tc, map_one_tebibyte_costs_what_is_touched);
	tcase_add_test(tc, map_is_no_part_of_core_dumps);
	tcase_add_test(tc, map_thousands_of_regions);
	tcase_add_test(tc, map_keeps_31_bytes_of_the_name);
}

static void add_unmap(Suite *s)
{
	TCase *tc = test_case(s, "unmap");

	tcase_add_test(tc, unmap_refuses_bad_arguments);
	tcase_add_test(tc, unmap_one_of_two_leaves_the_other);
	tcase_add_test(tc, unmap_the_middle_splits);
	tcase_add_test(tc, unmap_over_several_regions_and_holes);
	tcase_add_test(tc, unmap_and_map_again_reads_zeros);
	tcase_add_test(tc, unmap_a_hole_and_fill_it);
}

static void add_protect(Suite *s)
{
	TCase *tc = test_case(s, "protect");

	tcase_add_test(tc, protect_refuses_bad_arguments);
	tcase_add_test(tc, protect_is_enforced);
	tcase_add_test(tc, protect_holds_for_absent_pages);
	tcase_add_test(tc, protect_and_back_keeps_dirty_tracking);
	tcase_add_test(tc, protect_splits_and_merges);
	tcase_add_test(tc, protect_map_and_unmap_with_too_many_mappings);
}

static void add_advise(Suite *s)
{
	TCase *tc = test_case(s, "advise");

	tcase_add_test(tc, advise_refuses_bad_arguments);
	tcase_add_test(tc, advise_that_stays_is_seen_and_splits);
	tcase_add_test(tc, advise_does_not_change_content);
	tcase_add_test(tc, advise_dontneed_gives_zeros);
	tcase_add_test(tc, advise_willneed_brings_pages_in);
	tcase_add_test(tc, advise_cold_pages_go_first);
}

static void add_query(Suite *s)
{
	TCase *tc = test_case(s, "query");

	tcase_add_test(tc, query_walks_and_ends);
	tcase_add_test(tc, residency_refuses_bad_arguments);
	tcase_add_test(tc, residency_follows_a_page);
	tcase_add_test(tc, pointers_and_addresses);
}

static void add_tests(Suite *s)
{
	add_map(s);
	add_unmap(s);
	add_protect(s);
	add_advise(s);
	add_query(s);
}

const struct test_program test_program = {
	.name = "api_map",
	.add = add_tests,
	.setup = setup,
	.teardown = live_end,
	.missing = live_missing,
};
