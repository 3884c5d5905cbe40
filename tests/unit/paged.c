/* SPDX-License-Identifier: MIT */
/*
 * unit/paged.c - the table of all paged addresses, and what runs on a stack of
 * the library's because its caller's is paged.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "os/os.h"
#include "space/paged.h"
#include "space/stack.h"
#include "support/expect.h"
#include "support/test.h"

/* Of nobody: above what mmap() gives, below what the kernel has. */
#define NOWHERE ((haddr_t)1 << 50)
#define MANY	2500 /* more than two chunks hold */

START_TEST(exactly_what_was_added)
{
	struct paged_range *r;

	live_check(!paged_at(NOWHERE));
	r = paged_add(NOWHERE, NOWHERE + 4 * PAGE_BYTES);
	live_check(r != NULL);
	live_check(!paged_at(NOWHERE - 1));
	live_check(paged_at(NOWHERE));
	live_check(paged_at(NOWHERE + 4 * PAGE_BYTES - 1));
	live_check(!paged_at(NOWHERE + 4 * PAGE_BYTES));
	live_check(paged_meets(NOWHERE - 1, NOWHERE + 1));
	live_check(!paged_meets(NOWHERE - 9, NOWHERE));
	paged_drop(r);
	live_check(!paged_at(NOWHERE));
	live_check(!paged_meets(0, UINT64_MAX));
}
END_TEST

static haddr_t nth(unsigned i)
{
	return NOWHERE + i * 3 * PAGE_BYTES;
}

START_TEST(many_ranges)
{
	static struct paged_range *r[MANY];
	unsigned i, turn;

	for (turn = 0; turn < 2; turn++) {
		for (i = 0; i < MANY; i++)
			live_check(
				r[i] = paged_add(nth(i), nth(i) + PAGE_BYTES));
		for (i = 0; i < MANY; i++) {
			live_check(paged_at(nth(i)));
			live_check(!paged_at(nth(i) + PAGE_BYTES));
		}
		for (i = 0; i < MANY; i += 2)
			paged_drop(r[i]);
		for (i = 0; i < MANY; i++)
			live_equal(paged_at(nth(i)), i % 2);
		for (i = 1; i < MANY; i += 2)
			paged_drop(r[i]);
	}
	live_check(!paged_meets(NOWHERE, UINT64_MAX));
}
END_TEST

/* What a thread remembers of a part does not outlive what is added to it. */
START_TEST(a_part_that_was_clear)
{
	struct paged_range *low = paged_add(NOWHERE, NOWHERE + PAGE_BYTES);
	haddr_t high = NOWHERE + ((haddr_t)1 << 30), at = NOWHERE + (1 << 20);
	struct paged_range *r, *top = paged_add(high, high + PAGE_BYTES);

	live_check(!paged_at(at));
	live_check(!paged_at(at));
	r = paged_add(at, at + PAGE_BYTES);
	live_check(paged_at(at));
	paged_drop(r);
	live_check(!paged_at(at));
	paged_drop(low);
	paged_drop(top);
}
END_TEST

START_TEST(no_memory)
{
	static struct paged_range *r[MANY];
	unsigned i, n = 0;

	os_inject(OS_map, 1, true, 12);
	for (i = 0; i < MANY; i++) {
		r[n] = paged_add(nth(i), nth(i) + PAGE_BYTES);
		n += r[n] != NULL;
	}
	os_inject_clear();
	live_check(n < MANY);
	while (n)
		paged_drop(r[--n]);
}
END_TEST

/* ---- stacks ---- */

static int sum(int a, uint64_t b, char *c, unsigned d, long e)
{
	*c = 'x';
	return a + (int)b + (int)d + (int)e;
}

static haddr_t where(void)
{
	return (haddr_t)(uintptr_t)__builtin_frame_address(0);
}

static bool usr1_blocked(void)
{
	sigset_t mask;

	live_ok(pthread_sigmask(SIG_SETMASK, NULL, &mask));
	return sigismember(&mask, SIGUSR1);
}

static int blocked(void)
{
	return usr1_blocked();
}

static int overflow(void)
{
	volatile char *down = __builtin_frame_address(0);

	for (int n = 0; n < 1 << 20; n++) {
		*down = 1;
		down -= 1024;
	}
	return 0;
}

START_TEST(arguments_and_result)
{
	char c = 0;
	int got = (int)STACK_CALL(sum, -10, (uint64_t)20, &c, 3u, 4l);

	live_equal(got, 17);
	live_equal(c, 'x');
}
END_TEST

START_TEST(it_is_another_stack)
{
	uintptr_t none[STACK_ARGS] = {0};
	haddr_t here = where(), there;

	there = stack_call((void (*)(void))where, none, STACK_ARGS);
	live_check(there < here - (1 << 20) || there > here + (1 << 20));
	/* the same one again */
	live_check(stack_call((void (*)(void))where, none, STACK_ARGS) ==
		   there);
	live_check(stack_call((void (*)(void))blocked, none, STACK_ARGS));
	live_check(!usr1_blocked());
}
END_TEST

START_TEST(it_ends_at_a_wall)
{
	uintptr_t none[STACK_ARGS] = {0};

	signal(SIGSEGV, SIG_DFL);
	stack_call((void (*)(void))overflow, none, STACK_ARGS);
}
END_TEST

/* Without memory for one it runs where it is. */
START_TEST(no_memory_for_a_stack)
{
	uintptr_t none[STACK_ARGS] = {0};
	enum os_point point = _i ? OS_protect : OS_map;
	haddr_t here = where(), there;

	os_inject(point, 1, true, 12);
	there = stack_call((void (*)(void))where, none, STACK_ARGS);
	os_inject_clear();
	live_check(there < here && here - there < (1 << 20));
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "paged");

	tcase_add_test(tc, exactly_what_was_added);
	tcase_add_test(tc, many_ranges);
	tcase_add_test(tc, a_part_that_was_clear);
	tcase_add_test(tc, no_memory);
	tc = test_case(s, "stack");
	tcase_add_test(tc, arguments_and_result);
	tcase_add_test(tc, it_is_another_stack);
	tcase_add_test_raise_signal(tc, it_ends_at_a_wall, SIGSEGV);
	tcase_add_loop_test(tc, no_memory_for_a_stack, 0, 2);
}

const struct test_program test_program = {
	.name = "paged",
	.add = add_tests,
};
