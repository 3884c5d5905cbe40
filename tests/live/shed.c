/* SPDX-License-Identifier: MIT */
/*
 * live/shed.c - fork children that do not inherit a space, and live on: old
 * pointers are SIGSEGV for ever, whatever the child maps; nothing of the space
 * stays open, in memory, or locked because of it.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <stdio.h>

#include "support/access.h"
#include "support/child.h"
#include "support/expect.h"
#include "support/files.h"
#include "support/frames.h"
#include "support/process.h"
#include "support/random.h"
#include "support/test.h"
#include "support/live.h"

#define BUDGET 64
#define PAGES  4096

static char *base;
static int fds_before;

static void setup(void)
{
	fds_before = live_count_fds();
	vm = live_open(BUDGET);
	base = live_map(vm, PAGES, LIVE_RW);
	for (uint64_t i = 0; i < 2 * BUDGET; i++)
		live_fill(base + i * LIVE_PAGE, i, 1);
}

static void teardown(void)
{
	for (uint64_t i = 0; i < 2 * BUDGET; i++)
		live_equal(live_verify(base + i * LIVE_PAGE, i, 1), -1);
	live_ok(vvm_close(vm));
}

static bool dies(const char *p)
{
	uint64_t value;

	return live_try_load(p, &value) == SIGSEGV &&
	       live_signal_addr == (const void *)p;
}

/* Maps until anything would have landed in a hole of the memory's size. */
static void map_a_lot(void)
{
	char *p;

	for (int i = 0; i < 64; i++) {
		p = mmap(NULL, PAGES / 2 * LIVE_PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		child_check(p != MAP_FAILED);
		child_check(p + PAGES / 2 * LIVE_PAGE <= base ||
			    p >= base + PAGES * LIVE_PAGE);
	}
}

static int pointers_die(void *arg)
{
	(void)arg;
	live_catch();
	child_check(dies(base));
	map_a_lot();
	for (uint64_t i = 0; i < PAGES; i += 97)
		child_check(dies(base + i * LIVE_PAGE));
	child_check(vvm_unmap(vm, live_addr(base), LIVE_PAGE) == -ECHILD);
	return 0;
}

START_TEST(old_pointers_die_for_ever)
{
	live_child_ok(pointers_die, NULL);
}
END_TEST

static int with_a_child(void *arg)
{
	if (pointers_die(arg))
		return 1;
	return WEXITSTATUS(live_child(pointers_die, arg));
}

START_TEST(in_its_children_too)
{
	live_child_ok(with_a_child, NULL);
}
END_TEST

/* Regions that were cut to pieces, and what the program mapped in between. */
static int pieces_die(void *arg)
{
	char *foreign = arg;

	live_catch();
	child_check(*(volatile char *)foreign == 7);
	child_check(foreign[7 * LIVE_PAGE] == 7);
	map_a_lot();
	child_check(dies(base) && dies(foreign - LIVE_PAGE));
	child_check(dies(foreign + 8 * LIVE_PAGE));
	for (uint64_t i = 1024; i < PAGES; i += 61)
		child_check(dies(base + i * LIVE_PAGE));
	return 0;
}

START_TEST(pieces_of_regions)
{
	char *foreign = base + 512 * LIVE_PAGE;
	uint64_t i;

	live_ok(vvm_unmap(vm, live_addr(foreign) - 3 * LIVE_PAGE,
			  20 * LIVE_PAGE));
	live_check(mmap(foreign, 8 * LIVE_PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
			0) == foreign);
	memset(foreign, 7, 8 * LIVE_PAGE);
	for (i = 1024; i < PAGES; i += 2)
		live_ok(vvm_protect(vm, live_addr(base) + i * LIVE_PAGE,
				    LIVE_PAGE, VVM_READ));
	live_ok(vvm_protect(vm, live_addr(base) + 1024 * LIVE_PAGE,
			    1024 * LIVE_PAGE, LIVE_RW));
	live_child_ok(pieces_die, foreign);
	munmap(foreign, 8 * LIVE_PAGE);
}
END_TEST

/* What was unmapped is anybody's. */
static int is_free(void *arg)
{
	child_check(mmap(arg, PAGES * LIVE_PAGE, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
			 0) == arg);
	return 0;
}

START_TEST(unmapped_addresses_are_free)
{
	char *p = live_map(vm, PAGES, LIVE_RW);

	live_ok(vvm_protect(vm, live_addr(p) + LIVE_PAGE, LIVE_PAGE, 0));
	live_ok(vvm_unmap(vm, live_addr(p), PAGES * LIVE_PAGE));
	live_child_ok(is_free, p);
}
END_TEST

static int count_descriptors(void *arg)
{
	(void)arg;
	child_check(live_count_fds() == fds_before);
	child_check(live_count_memfds() == 0);
	return 0;
}

START_TEST(no_descriptor_is_left)
{
	live_child_ok(count_descriptors, NULL);
}
END_TEST

START_TEST(no_descriptor_of_many_spaces_is_left)
{
	struct vvm *many[100];
	unsigned n = live_inline() ? 50 : 100; /* more would be -EAGAIN */

	for (unsigned i = 0; i < n; i++)
		many[i] = live_open(8);
	live_child_ok(count_descriptors, NULL);
	for (unsigned i = 0; i < n; i++)
		live_ok(vvm_close(many[i]));
	live_child_ok(count_descriptors, NULL);
}
END_TEST

/* ---- a child that outlives its parent ---- */

static int ready[2], over[2];

/* The parent is gone when nobody else has this end of the pipe. */
static int outlive(void *arg)
{
	char c;

	(void)arg;
	close(over[1]);
	close(ready[0]);
	child_check(write(ready[1], "x", 1) == 1);
	return read(over[0], &c, 1) == 0 ? 0 : 1;
}

/* Ends as a daemon's first process does, with the space open. */
static int be_the_parent(void *arg)
{
	struct vvm_options o;
	struct vvm *mine;

	live_options(&o, BUDGET);
	o.swap_path = arg;
	child_expect(vvm_open(&mine, &o), 0);
	live_fill(live_map(mine, 1, LIVE_RW), 0, 1);
	live_fork(outlive, NULL);
	return 0;
}

START_TEST(a_named_swap_file_is_free_again)
{
	struct vvm_options o;
	struct vvm *other;
	char path[256], c;

	live_dir_make();
	snprintf(path, sizeof(path), "%s", live_path("swap"));
	live_equal(pipe(ready), 0);
	live_equal(pipe(over), 0);
	live_child_ok(be_the_parent, path);
	live_equal(read(ready[0], &c, 1), 1); /* its child is there */
	live_options(&o, BUDGET);
	o.swap_path = path;
	live_ok(vvm_open(&other, &o));
	live_ok(vvm_close(other));
	close(over[1]);
	close(ready[1]);
	live_equal(read(ready[0], &c, 1), 0); /* and is gone */
	live_dir_remove();
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "shed");

	tcase_add_test(tc, old_pointers_die_for_ever);
	tcase_add_test(tc, in_its_children_too);
	tcase_add_test(tc, pieces_of_regions);
	tcase_add_test(tc, unmapped_addresses_are_free);
	tcase_add_test(tc, no_descriptor_is_left);
	tcase_add_test(tc, no_descriptor_of_many_spaces_is_left);
	tcase_add_test(tc, a_named_swap_file_is_free_again);
}

const struct test_program test_program = {
	.name = "live_shed",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
	.missing = live_missing,
	.modes = true,
};
