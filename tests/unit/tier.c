/* SPDX-License-Identifier: MIT */
/*
 * unit/tier.c - pages of a swap that are in memory, compressed: what is kept and
 * what is not, spilling with what may happen in between, damage, a fork, and
 * readers beside the owner.
 */
#include "swap/tier.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"
#include "support/test.h"
#include "support/wait.h"
#include "swap/impl.h"
#include "util/log.h"

#define PAGES	    64u
#define PATIENCE_US ((int64_t)wait_scaled(20000000))
#define PLENTY	    4096u

static struct backing *swap;
static struct tier *tier;
static struct ring *ring; /* of the spills */
static _Atomic uint64_t taken;
static char out[PAGES * PAGE_BYTES] __attribute__((aligned(4096)));
static char in[PAGES * PAGE_BYTES] __attribute__((aligned(4096)));

static const char *no_lz4(void)
{
	return squeeze_known() ? NULL : "built without liblz4";
}

static bool take_memory(void *arg, uint64_t pages)
{
	(void)arg;
	taken += pages;
	return true;
}

static void give_memory(void *arg, uint64_t pages)
{
	(void)arg;
	taken -= pages;
}

static void start(void)
{
	static const struct store_memory from = {
		.take = take_memory, .give = give_memory, .inherited = true};
	static struct conf conf;

	os_inject_clear();
	log_set_level(LOG_NONE);
	conf_defaults(&conf);
	conf.swap_path[0] = '\0';
	conf.swap_limit_bytes = (uint64_t)64 << 20;
	ck_assert_int_eq(swap_open(&swap, &conf), 0);
	ck_assert_int_eq(swap_keep(swap, &from), 0);
	tier = to_swap(swap)->tier;
	ck_assert_int_eq(ring_open(&ring, 4, VVM_IO_SYNC), 0);
	swap->ops->trim(swap, ring, PLENTY);
}

static void stop(void)
{
	os_inject_clear();
	tier_check(tier);
	ring_close(ring);
	swap->ops->close(swap);
}

/* ---- pages ---- */

static void text(char *page, unsigned number)
{
	uint64_t *w = (uint64_t *)page;
	unsigned i;

	for (i = 0; i < PAGE_BYTES / 8; i++)
		w[i] = i / 2 * 0x10001 + number * 1000003u;
}

static void noise(char *page, unsigned number)
{
	uint64_t *w = (uint64_t *)page, x = number + 1;
	unsigned i;

	for (i = 0; i < PAGE_BYTES / 8; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		w[i] = x ^ x >> 29;
	}
}

static void word(char *page, unsigned number)
{
	squeeze_fill(page, 0x100000001ull * (number + 1));
}

typedef void (*fill_fn)(char *page, unsigned number);

static _Atomic int last_result;

static void done(struct io *io, int result)
{
	(void)io;
	last_result = result;
}

static gaddr_t addr_of(uint64_t slot)
{
	return pages_to_bytes(slot + 1000);
}

static struct io transfer_of(uint64_t slot, unsigned n, char *buf)
{
	return (struct io){.done = done,
			   .addr = addr_of(slot),
			   .slot = slot,
			   .pages = n,
			   .buf = buf,
			   .keep = true};
}

/* Takes n slots and writes pages to them. Returns those kept in memory. */
static unsigned write_pages(uint64_t *slot, unsigned n, fill_fn fill)
{
	struct io io;
	uint64_t got;
	unsigned i, kept = 0;

	ck_assert_int_eq(swap->ops->take(swap, n, slot, &got), 0);
	ck_assert_uint_eq(got, n);
	for (i = 0; i < n; i++)
		fill(out + pages_to_bytes(i), (unsigned)*slot + i);
	io = transfer_of(*slot, n, out);
	swap->ops->write(swap, NULL, &io);
	ck_assert_int_eq(last_result, 0);
	for (i = 0; i < n; i++)
		kept += io_page_memory(&io, i);
	return kept;
}

/* Reads them; returns how many are bad. The others are right. */
static unsigned read_pages(uint64_t slot, unsigned n, fill_fn fill)
{
	struct io io = transfer_of(slot, n, in);
	char page[PAGE_BYTES] __attribute__((aligned(8)));
	unsigned i, bad = 0;

	memset(in, 0xee, sizeof(in));
	swap->ops->read(swap, NULL, &io);
	for (i = 0; i < n; i++) {
		fill(page, (unsigned)slot + i);
		if (io_page_bad(&io, i))
			bad++;
		else
			ck_assert_int_eq(memcmp(page, in + pages_to_bytes(i),
						PAGE_BYTES),
					 0);
	}
	return bad;
}

static struct backing_stat stat_now(void)
{
	struct backing_stat st = {0};

	swap->ops->stat(swap, &st);
	return st;
}

static void finish_spills(void)
{
	while (ring_inflight(ring))
		ck_assert_int_gt(ring_run(ring, PATIENCE_US), 0);
}

/* Nothing is in memory afterwards. */
static void spill_all(void)
{
	unsigned i;

	for (i = 0; i < 1000 && taken; i++) {
		swap->ops->trim(swap, ring, 0);
		finish_spills();
	}
	ck_assert_uint_eq(taken, 0);
}

/* ---- keeping ---- */

START_TEST(what_compresses_needs_no_disk)
{
	struct backing_stat st;
	uint64_t slot;

	ck_assert_uint_eq(write_pages(&slot, PAGES, text), PAGES);
	ck_assert_uint_eq(read_pages(slot, PAGES, text), 0);
	ck_assert_uint_eq(read_pages(slot + 7, 1, text), 0);
	st = stat_now();
	ck_assert_uint_eq(st.written_bytes + st.read_bytes, 0);
	ck_assert_uint_eq(st.packed, PAGES);
	ck_assert_uint_eq(st.packed_memory, taken);
	ck_assert_uint_lt(taken, PAGES);
	ck_assert_uint_eq(st.packed_reads, PAGES + 1);
	swap->ops->give(swap, slot, PAGES);
	ck_assert_uint_eq(stat_now().packed, 0);
	ck_assert_uint_eq(stat_now().slots_used, 0);
}
END_TEST

START_TEST(a_word_costs_an_entry)
{
	uint64_t slot;

	ck_assert_uint_eq(write_pages(&slot, PAGES, word), PAGES);
	ck_assert_uint_eq(taken, 0);
	spill_all();
	ck_assert_uint_eq(read_pages(slot, PAGES, word), 0);
	ck_assert_uint_eq(stat_now().packed, PAGES);
	ck_assert_uint_eq(stat_now().written_bytes + stat_now().read_bytes, 0);
	swap->ops->give(swap, slot, PAGES);
	ck_assert_uint_eq(stat_now().packed, 0);
}
END_TEST

START_TEST(noise_goes_to_the_disk)
{
	uint64_t slot;

	ck_assert_uint_eq(write_pages(&slot, PAGES, noise), 0);
	ck_assert_uint_eq(taken, 0);
	ck_assert_uint_eq(stat_now().written_bytes, sizeof(out));
	ck_assert_uint_eq(read_pages(slot, PAGES, noise), 0);
	ck_assert_uint_eq(stat_now().read_bytes, sizeof(in));
}
END_TEST

static void mixed(char *page, unsigned number)
{
	static const fill_fn kinds[] = {text, noise, word, text, noise};

	kinds[number % ARRAY_SIZE(kinds)](page, number);
}

/* One read brings what is in memory and what is on the disk. */
START_TEST(some_of_both)
{
	uint64_t slot;
	unsigned kept = write_pages(&slot, PAGES, mixed);

	ck_assert_uint_gt(kept, PAGES / 2);
	ck_assert_uint_lt(kept, PAGES);
	ck_assert_uint_eq(read_pages(slot, PAGES, mixed), 0);
	ck_assert_uint_eq(read_pages(slot + 1, 11, mixed), 0);
	spill_all();
	ck_assert_uint_eq(read_pages(slot, PAGES, mixed), 0);
}
END_TEST

START_TEST(without_room_it_goes_to_the_disk)
{
	uint64_t slot, other;
	unsigned kept;

	swap->ops->trim(swap, ring, STORE_CHUNK_PAGES);
	kept = write_pages(&slot, PAGES, text);
	while (kept == PAGES)
		kept = write_pages(&slot, PAGES, text);
	ck_assert_uint_eq(taken, STORE_CHUNK_PAGES);
	ck_assert_uint_eq(read_pages(slot, PAGES, text), 0);
	swap->ops->trim(swap, ring, 0);
	finish_spills();
	ck_assert_uint_eq(write_pages(&other, PAGES, text), 0);
	ck_assert_uint_eq(read_pages(other, PAGES, text), 0);
	ck_assert_uint_eq(read_pages(slot, PAGES, text), 0);
}
END_TEST

/* Pages come and go for long: holes do not fill the memory. */
START_TEST(holes_are_closed)
{
	enum { RUNS = 100 };
	static uint64_t slot[RUNS];
	unsigned i, k;

	for (i = 0; i < RUNS; i++)
		ck_assert_uint_eq(write_pages(&slot[i], PAGES, text), PAGES);
	for (k = 0; k < 3; k++) {
		for (i = 0; i < RUNS; i++) { /* all but one of eight */
			unsigned n;

			for (n = 0; n < PAGES; n++)
				if (n % 8)
					swap->ops->give(swap, slot[i] + n, 1);
			ck_assert_uint_eq(read_pages(slot[i], 1, text), 0);
			for (n = 0; n < PAGES; n += 8)
				swap->ops->give(swap, slot[i] + n, 1);
			ck_assert_uint_eq(write_pages(&slot[i], PAGES, text),
					  PAGES);
		}
		tier_check(tier);
		ck_assert_uint_lt(tier->store.log_chunks * STORE_CHUNK_BYTES,
				  tier->store.live_bytes * 3 / 2);
	}
}
END_TEST

/* ---- spilling ---- */

START_TEST(spilled_pages_are_read_from_the_disk)
{
	uint64_t slot[20];
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(slot); i++)
		write_pages(&slot[i], PAGES, text);
	spill_all();
	ck_assert_uint_eq(stat_now().spilled, ARRAY_SIZE(slot) * PAGES);
	ck_assert_uint_eq(stat_now().packed, 0);
	for (i = 0; i < ARRAY_SIZE(slot); i++)
		ck_assert_uint_eq(read_pages(slot[i], PAGES, text), 0);
	ck_assert_uint_ge(stat_now().read_bytes, ARRAY_SIZE(slot) * sizeof(in));
}
END_TEST

START_TEST(the_oldest_go_first)
{
	uint64_t slot[40];
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(slot); i++)
		write_pages(&slot[i], PAGES, text);
	for (i = 0; i < 100; i++) {
		swap->ops->trim(swap, ring, taken / 2);
		finish_spills();
		if (stat_now().spilled >= ARRAY_SIZE(slot) * PAGES / 3)
			break;
	}
	ck_assert(!tier_has(tier, slot[0]));
	ck_assert(tier_has(tier, slot[ARRAY_SIZE(slot) - 1]));
}
END_TEST

START_TEST(what_was_read_gets_a_second_chance)
{
	uint64_t slot[40];
	unsigned i, n;

	for (i = 0; i < ARRAY_SIZE(slot); i++)
		write_pages(&slot[i], PAGES, text);
	ck_assert_uint_eq(read_pages(slot[0] + 5, 1, text), 0);
	n = (unsigned)taken;
	for (i = 0; i < 1000 && tier_has(tier, slot[0] + 1); i++) {
		swap->ops->trim(swap, ring, --n);
		finish_spills();
	}
	ck_assert(!tier_has(tier, slot[0] + 1));
	ck_assert(tier_has(tier, slot[0] + 5));
	ck_assert_uint_eq(read_pages(slot[0], PAGES, text), 0);
}
END_TEST

/* Else the write would hit whoever has the slot next. */
START_TEST(a_slot_given_while_it_is_written_is_not_free)
{
	uint64_t slot, used;

	write_pages(&slot, PAGES, text);
	used = stat_now().slots_used;
	swap->ops->trim(swap, ring, 0); /* in flight: the ring did not run */
	ck_assert_uint_gt(ring_inflight(ring), 0);
	ck_assert_uint_eq(read_pages(slot, PAGES, text), 0);
	swap->ops->give(swap, slot, PAGES);
	ck_assert_uint_gt(stat_now().slots_used, 0);
	ck_assert_uint_eq(stat_now().packed, 0);
	ck_assert_uint_le(stat_now().slots_used, used);
	finish_spills();
	ck_assert_uint_eq(stat_now().slots_used, 0);
	tier_check(tier);
	spill_all();
}
END_TEST

START_TEST(a_spill_that_fails_changes_nothing)
{
	uint64_t slot;

	write_pages(&slot, PAGES, text);
	os_inject(OS_pwrite, 1, true, EIO);
	swap->ops->trim(swap, ring, 0);
	finish_spills();
	tier_check(tier);
	ck_assert_uint_eq(stat_now().packed, PAGES);
	ck_assert_uint_eq(stat_now().spilled, 0);
	ck_assert_uint_gt(stat_now().write_errors, 0);
	ck_assert_uint_eq(read_pages(slot, PAGES, text), 0);
	swap->ops->trim(swap, ring, 0); /* not at once */
	ck_assert_uint_eq(ring_inflight(ring), 0);
	os_inject_clear();
	tier->rest_us = 0;
	spill_all();
	ck_assert_uint_eq(read_pages(slot, PAGES, text), 0);
}
END_TEST

/* ---- what is in its slot, and leaves ---- */

static void spoil(uint64_t slot)
{
	struct store_item *item =
		(struct store_item *)(uintptr_t)tier->place[slot];

	item->bytes[store_bytes(item) / 2] ^= 1;
}

/* It was read, and leaves its frame. */
static bool leave(uint64_t slot, fill_fn fill)
{
	static char page[PAGE_BYTES] __attribute__((aligned(8)));

	if (!swap->ops->wants(swap, slot, addr_of(slot)))
		return false;
	fill(page, (unsigned)slot);
	swap->ops->add(swap, slot, addr_of(slot), page);
	return true;
}

START_TEST(what_was_read_comes_back_and_goes_without_a_write)
{
	uint64_t slot, written;
	unsigned i;

	write_pages(&slot, PAGES, text);
	spill_all();
	written = stat_now().written_bytes;
	swap->ops->trim(swap, ring, PLENTY);
	for (i = 0; i < PAGES; i++) {
		ck_assert(leave(slot + i, text));
		ck_assert(tier_has(tier, slot + i));
		ck_assert(!leave(slot + i, text));
	}
	ck_assert_uint_eq(read_pages(slot, PAGES, text), 0);
	ck_assert_uint_eq(stat_now().read_bytes, 0);
	spill_all();
	ck_assert_uint_eq(stat_now().written_bytes, written);
	ck_assert_uint_eq(read_pages(slot, PAGES, text), 0);
	ck_assert_uint_eq(stat_now().read_bytes, sizeof(in));
}
END_TEST

/* Who has the slot next would get the old page. */
START_TEST(a_slot_given_meanwhile_is_left_alone)
{
	static char page[PAGE_BYTES] __attribute__((aligned(8)));
	uint64_t slot, other;

	swap->ops->trim(swap, ring, 0);
	write_pages(&slot, PAGES, text);
	swap->ops->trim(swap, ring, PLENTY);
	ck_assert(swap->ops->wants(swap, slot + 3, addr_of(slot + 3)));
	swap->ops->give(swap, slot, PAGES);
	swap->ops->trim(swap, ring, 0);
	do { /* until the same one is taken again */
		write_pages(&other, PAGES, noise);
	} while (other > slot + 3 || other + PAGES <= slot + 3);
	swap->ops->trim(swap, ring, PLENTY);
	text(page, 1);
	swap->ops->add(swap, slot + 3, addr_of(slot + 3), page);
	ck_assert(!tier_has(tier, slot + 3));
	ck_assert_uint_eq(read_pages(other, PAGES, noise), 0);
}
END_TEST

/* The read is of the disk, and so must be what it is compared with. */
START_TEST(a_page_that_comes_here_while_it_is_read_is_good)
{
	struct io io;
	uint64_t slot;

	write_pages(&slot, PAGES, text);
	spill_all();
	swap->ops->trim(swap, ring, PLENTY);
	io = transfer_of(slot + 5, 1, in);
	last_result = -1;
	swap->ops->read(swap, ring, &io); /* in flight: the ring did not run */
	ck_assert(leave(slot + 5, text));
	finish_spills();
	ck_assert_int_eq(last_result, 0);
	ck_assert(!io_page_bad(&io, 0));
	ck_assert_uint_eq(stat_now().checksum_errors, 0);
}
END_TEST

/* It is in its slot as well. */
START_TEST(of_two_copies_one_may_be_damaged)
{
	uint64_t slot;

	write_pages(&slot, PAGES, text);
	spill_all();
	swap->ops->trim(swap, ring, PLENTY);
	ck_assert(leave(slot, text));
	spoil(slot);
	ck_assert_uint_eq(read_pages(slot, 2, text), 0);
}
END_TEST

START_TEST(a_full_memory_takes_one_of_eight)
{
	uint64_t slot[40];
	unsigned i, n = 0;

	for (i = 0; i < ARRAY_SIZE(slot); i++)
		write_pages(&slot[i], PAGES, text);
	spill_all();
	swap->ops->trim(swap, ring, 8 * STORE_CHUNK_PAGES);
	for (i = 0; i < 20 * PAGES; i++)
		leave(slot[i / PAGES] + i % PAGES, text);
	for (i = 0; i < 10 * PAGES; i++)
		n += leave(slot[20 + i / PAGES] + i % PAGES, text);
	ck_assert_uint_eq(n, 10 * PAGES / 8);
	ck_assert_uint_le(taken, 8 * STORE_CHUNK_PAGES);
}
END_TEST

START_TEST(noise_is_not_wanted_for_long)
{
	uint64_t slot;
	unsigned i, n = 0;

	write_pages(&slot, PAGES, noise);
	for (i = 0; i < 100 * PAGES; i++)
		n += leave(slot + i % PAGES, noise);
	ck_assert_uint_lt(n, 100 * PAGES / 16);
	ck_assert_uint_eq(stat_now().packed, 0);
}
END_TEST

/* ---- damage ---- */

START_TEST(a_damaged_item_is_a_bad_page)
{
	uint64_t slot;

	write_pages(&slot, PAGES, text);
	spoil(slot + 3);
	ck_assert_uint_eq(read_pages(slot, PAGES, text), 1);
	ck_assert_uint_eq(read_pages(slot + 3, 1, text), 1);
	ck_assert_uint_eq(stat_now().checksum_errors, 2);
	spill_all(); /* and so it is when it is on the disk */
	ck_assert_uint_eq(read_pages(slot + 3, 1, text), 1);
	ck_assert_uint_eq(read_pages(slot, PAGES, text), 1);
}
END_TEST

START_TEST(a_page_from_the_wrong_place_is_bad)
{
	struct io io;
	uint64_t slot;

	write_pages(&slot, PAGES, text);
	io = transfer_of(slot, 1, in);
	io.addr += PAGE_BYTES;
	swap->ops->read(swap, NULL, &io);
	ck_assert(io_page_bad(&io, 0));
}
END_TEST

/* ---- forks and threads ---- */

/* It has all as of the fork, whatever becomes of it in the parent. */
START_TEST(a_fork_child_reads_what_was_here)
{
	int go[2], status;
	struct hold *hold;
	uint64_t slot, other;
	char c;
	pid_t pid;

	ck_assert_int_eq(os_fork_watch(), 0);
	write_pages(&slot, PAGES, mixed);
	ck_assert_int_eq(pipe(go), 0);
	ck_assert_int_eq(swap->ops->hold(swap, &hold), 0);
	pid = fork();
	if (pid == 0) {
		swap->ops->forked(swap);
		if (read(go[0], &c, 1) != 1)
			_exit(2);
		_exit(read_pages(slot, PAGES, mixed) ? 1 : 0);
	}
	spill_all();
	swap->ops->give(swap, slot, PAGES);
	swap->ops->trim(swap, ring, PLENTY);
	write_pages(&other, PAGES, text);
	ck_assert_int_eq(write(go[1], "x", 1), 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	swap->ops->release(swap, hold);
	close(go[0]);
	close(go[1]);
}
END_TEST

#define THREADS 3

static uint64_t shared[20];
static _Atomic bool over;

static void *read_all(void *arg)
{
	static __thread char page[PAGE_BYTES] __attribute__((aligned(4096)));
	static __thread char good[PAGE_BYTES] __attribute__((aligned(8)));
	unsigned i = (unsigned)(uintptr_t)arg;

	while (!over) {
		uint64_t slot = shared[i % ARRAY_SIZE(shared)] + i % PAGES;
		struct io io = transfer_of(slot, 1, page);

		swap->ops->read(swap, NULL, &io);
		text(good, (unsigned)slot);
		if (io_page_bad(&io, 0) || memcmp(page, good, PAGE_BYTES))
			return "wrong";
		i += 7;
	}
	return NULL;
}

/* While the owner spills, moves and drops beside them. */
START_TEST(readers_beside_the_owner)
{
	pthread_t thread[THREADS];
	uint64_t slot;
	unsigned i, n;
	void *wrong;

	over = false;
	for (i = 0; i < ARRAY_SIZE(shared); i++)
		write_pages(&shared[i], PAGES, text);
	for (i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, read_all,
						(void *)(uintptr_t)(i * 100)),
				 0);
	for (i = 0; i < 60; i++) {
		write_pages(&slot, PAGES, text);
		for (n = 0; n < PAGES; n += 2)
			swap->ops->give(swap, slot + n, 1);
		swap->ops->trim(swap, ring, i < 30 ? PLENTY : 300 - i * 4);
		finish_spills();
	}
	over = true;
	for (i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(thread[i], &wrong), 0);
		ck_assert_ptr_null(wrong);
	}
}
END_TEST

START_TEST(no_memory)
{
	static const struct store_memory from = {.take = take_memory};
	struct tier *none = NULL;
	unsigned nth;

	for (nth = 1;; nth++) {
		os_inject_clear();
		os_inject(OS_map, nth, false, ENOMEM);
		if (tier_new(&none, to_swap(swap), 100, NULL, &from) == 0)
			break;
		ck_assert_ptr_null(none);
	}
	ck_assert_uint_eq(nth, 6);
	os_inject_clear();
	tier_free(none);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "tier");

	tcase_add_test(tc, what_compresses_needs_no_disk);
	tcase_add_test(tc, a_word_costs_an_entry);
	tcase_add_test(tc, noise_goes_to_the_disk);
	tcase_add_test(tc, some_of_both);
	tcase_add_test(tc, without_room_it_goes_to_the_disk);
	tcase_add_test(tc, holes_are_closed);
	tcase_add_test(tc, spilled_pages_are_read_from_the_disk);
	tcase_add_test(tc, the_oldest_go_first);
	tcase_add_test(tc, what_was_read_gets_a_second_chance);
	tcase_add_test(tc, a_slot_given_while_it_is_written_is_not_free);
	tcase_add_test(tc, a_spill_that_fails_changes_nothing);
	tcase_add_test(tc, what_was_read_comes_back_and_goes_without_a_write);
	tcase_add_test(tc, a_slot_given_meanwhile_is_left_alone);
	tcase_add_test(tc, a_page_that_comes_here_while_it_is_read_is_good);
	tcase_add_test(tc, of_two_copies_one_may_be_damaged);
	tcase_add_test(tc, a_full_memory_takes_one_of_eight);
	tcase_add_test(tc, noise_is_not_wanted_for_long);
	tcase_add_test(tc, a_damaged_item_is_a_bad_page);
	tcase_add_test(tc, a_page_from_the_wrong_place_is_bad);
	tcase_add_test(tc, a_fork_child_reads_what_was_here);
	tcase_add_test(tc, readers_beside_the_owner);
	tcase_add_test(tc, no_memory);
}

const struct test_program test_program = {
	.name = "tier",
	.missing = no_lz4,
	.setup = start,
	.teardown = stop,
	.add = add_tests,
};
