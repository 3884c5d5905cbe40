/* SPDX-License-Identifier: MIT */
/*
 * unit/door.c - the parts of the door that need no space: the filter's text, run
 * for every number and argument; memory of calls that were left.
 */
#include <asm/unistd.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

#include "door/bounce.h"
#include "door/door.h"
#include "door/filter.h"
#include "door/table.h"
#include "fault/inline.h"
#include "os/os.h"
#include "support/expect.h"
#include "support/test.h"

/* ---- the filter ---- */

static struct sock_filter text[FILTER_MOST];
static unsigned length;
static bool looked; /* at an argument or an address */

static uint32_t load(const struct seccomp_data *data, uint32_t at)
{
	uint32_t word;

	ck_assert(at % 4 == 0 && at < sizeof(*data));
	looked |= at >= offsetof(struct seccomp_data, instruction_pointer);
	memcpy(&word, (const char *)data + at, sizeof(word));
	return word;
}

static bool holds(unsigned code, uint32_t a, uint32_t k)
{
	switch (BPF_OP(code)) {
	case BPF_JEQ:
		return a == k;
	case BPF_JGE:
		return a >= k;
	default:
		ck_abort_msg("jump %#x", code);
	}
}

/* As the kernel runs it. */
static uint32_t run(const struct seccomp_data *data)
{
	uint32_t a = 0;
	unsigned pc = 0;

	looked = false;
	for (;;) {
		const struct sock_filter *i = &text[pc++];

		ck_assert(pc <= length);
		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			a = load(data, i->k);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			break;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			break;
		case BPF_RET | BPF_K:
			return i->k;
		default:
			ck_assert(BPF_CLASS(i->code) == BPF_JMP);
			pc += holds(i->code, a, i->k) ? i->jt : i->jf;
		}
	}
}

#define STOP   (SECCOMP_RET_TRAP | FILTER_MARK)
#define PASS   SECCOMP_RET_ALLOW
#define ABSENT (SECCOMP_RET_ERRNO | ENOSYS)
#define DOOR   (OS_DOOR_START + 2)
#define OTHER  UINT64_C(0x7f0000000002)

static struct seccomp_data call(long nr)
{
	return (struct seccomp_data){.nr = (int)nr,
				     .arch = AUDIT_ARCH_X86_64,
				     .instruction_pointer = OTHER};
}

static void check_argument(long nr, unsigned i, uint32_t want)
{
	static const uint64_t inside[] = {OS_DOOR_START, OS_DOOR_END - 1,
					  OS_DOOR_START + 0x123456789a};
	static const uint64_t outside[] = {0, OS_DOOR_START - 1, OS_DOOR_END,
					   UINT64_MAX, OS_DOOR_START >> 32};
	struct seccomp_data d = call(nr);
	unsigned k;

	for (k = 0; k < ARRAY_SIZE(inside); k++) {
		d.args[i] = inside[k];
		ck_assert_uint_eq(run(&d), want);
	}
	d.instruction_pointer = DOOR;
	ck_assert_uint_eq(run(&d), PASS);
	d.instruction_pointer = OTHER;
	for (k = 0; k < ARRAY_SIZE(outside); k++) {
		d.args[i] = outside[k];
		ck_assert_uint_eq(run(&d), PASS);
	}
}

static void make_text(void)
{
	length = filter_text(text);
	if (length == 0)
		return;
	ck_assert_uint_le(length, FILTER_MOST);
}

START_TEST(pointers_into_the_range_are_stopped)
{
	long nr;
	unsigned i;

	make_text();
	for (nr = 0; length && nr < CALLS_END + 100; nr++) {
		const struct call *c = call_find(nr);

		if (nr == __NR_io_uring_setup || nr == __NR_io_setup)
			continue;
		for (i = 0; i < 6; i++) {
			bool pointer = c ? c->arg[i].kind != ARG_VALUE
					 : !call_is_plain(nr);

			check_argument(nr, i, pointer ? STOP : PASS);
		}
	}
}
END_TEST

/* The kernel runs no text for these, if it needs no more than the number. */
START_TEST(calls_without_pointers_are_not_looked_at)
{
	unsigned plain = 0;
	long nr;

	make_text();
	for (nr = 0; length && nr < CALLS_END; nr++) {
		struct seccomp_data d = call(nr);

		if (!call_is_plain(nr))
			continue;
		plain++;
		ck_assert_uint_eq(run(&d), PASS);
		ck_assert(!looked);
	}
	ck_assert(!length || plain > 50);
}
END_TEST

START_TEST(rings_are_the_doors)
{
	struct seccomp_data d = call(__NR_io_uring_setup);

	make_text();
	if (!length)
		return;
	ck_assert_uint_eq(run(&d), ABSENT);
	d.nr = __NR_io_setup;
	ck_assert_uint_eq(run(&d), ABSENT);
	d.instruction_pointer = DOOR;
	ck_assert_uint_eq(run(&d), PASS);
	d.nr = __NR_io_uring_setup;
	ck_assert_uint_eq(run(&d), PASS);
}
END_TEST

START_TEST(other_machines_calls_pass)
{
	struct seccomp_data d = call(__NR_write);

	make_text();
	if (!length)
		return;
	d.args[1] = OS_DOOR_START;
	ck_assert_uint_eq(run(&d), STOP);
	d.arch = AUDIT_ARCH_I386;
	ck_assert_uint_eq(run(&d), PASS);
	d = call(0x40000000 | __NR_write);
	d.args[1] = OS_DOOR_START;
	ck_assert_uint_eq(run(&d), PASS);
}
END_TEST

/* ---- the table ---- */

START_TEST(no_call_is_in_both_lists)
{
	long nr;

	for (nr = 0; nr < CALLS_END; nr++)
		ck_assert(!call_find(nr) || !call_is_plain(nr));
}
END_TEST

START_TEST(lengths_are_of_arguments_that_are_there)
{
	unsigned i;
	long nr;

	for (nr = 0; nr < CALLS_END; nr++) {
		const struct call *c = call_find(nr);

		for (i = 0; c && i < 6; i++) {
			const struct call_arg *a = &c->arg[i];
			bool value = a->length == LENGTH_TIMES ||
				     a->length == LENGTH_RESULT ||
				     a->length == LENGTH_BITS ||
				     a->length == LENGTH_PAGES ||
				     a->length == LENGTH_MESSAGE;

			ck_assert_msg(!value || c->arg[a->of].kind == ARG_VALUE,
				      "%s, argument %u", c->name, i);
			ck_assert_msg(a->length != LENGTH_POINTED ||
					      c->arg[a->of].kind == ARG_INOUT,
				      "%s, argument %u", c->name, i);
		}
	}
}
END_TEST

/* ---- memory of calls ---- */

/* A call that takes a chunk, and is left before it can give it back. */
static void leave(jmp_buf out)
{
	struct bounce b;
	char *p;

	bounce_begin(&b);
	p = bounce_take(&b, BOUNCE_BYTES, 0);
	ck_assert(p != NULL);
	p[0] = p[BOUNCE_BYTES - 1] = 1;
	ck_assert(bounce_take_at_edge(&b, 5000) != NULL);
	longjmp(out, 1);
}

START_TEST(memory_of_calls_that_were_left_comes_back)
{
	unsigned spare;
	volatile int i;
	jmp_buf out;

	for (i = 0; i < 2000; i++)
		if (setjmp(out) == 0)
			leave(out);
	ck_assert_uint_le(bounce_chunks(&spare), 64);
}
END_TEST

START_TEST(memory_of_calls_in_progress_stays)
{
	struct bounce kept[40];
	char *p[40];
	volatile int i;
	jmp_buf out;

	for (i = 0; i < 40; i++) {
		bounce_begin(&kept[i]);
		p[i] = bounce_take(&kept[i], BOUNCE_BYTES, 0);
		ck_assert(p[i] != NULL);
		memset(p[i], i, BOUNCE_BYTES);
	}
	for (i = 0; i < 500; i++)
		if (setjmp(out) == 0)
			leave(out);
	for (i = 0; i < 40; i++) {
		ck_assert_int_eq(p[i][0], i);
		ck_assert_int_eq(p[i][BOUNCE_BYTES - 1], i);
		bounce_end(&kept[i]);
	}
}
END_TEST

START_TEST(memory_is_aligned_as_the_programs)
{
	static const haddr_t like[] = {0, 16, 512, 4095, 0x123456};
	struct bounce b;
	unsigned i, n = 0;
	size_t bytes;

	bounce_begin(&b);
	for (bytes = 1; bytes < 4 * BOUNCE_BYTES; bytes = bytes * 3 + 1, n++)
		for (i = 0; i < ARRAY_SIZE(like); i++) {
			char *p = bounce_take(&b, bytes, like[i]);
			uint64_t mask = bytes < 512 ? 15 : PAGE_MASK;

			ck_assert(p != NULL);
			ck_assert(((uintptr_t)p & mask) == (like[i] & mask));
			memset(p, (int)n, bytes);
		}
	bounce_end(&b);
}
END_TEST

/* ---- whose call it is ---- */

static sigjmp_buf gone;
static uint64_t seen = 1;

static void look_at_caller(int sig)
{
	(void)sig;
	seen = inline_caller(0x402000); /* as a trapped call of its own */
	inline_caller(VVM_STAT_SITE_CALLS);
}

static void jump_out(int sig)
{
	(void)sig;
	siglongjmp(gone, 1);
}

static void interrupted_by(void (*handler)(int))
{
	const uint64_t arg[6] = {0};
	uint64_t mask;

	signal(SIGUSR1, handler);
	inline_caller(0x401000);
	mask = os_signals_block();
	raise(SIGUSR1);
	door_syscall(__NR_getpid, arg, NULL, &mask);
	os_signals_restore(mask);
}

START_TEST(a_call_that_was_left_has_no_caller)
{
	interrupted_by(look_at_caller);
	ck_assert_uint_eq(seen, VVM_STAT_SITE_CALLS);
	ck_assert_uint_eq(inline_caller(VVM_STAT_SITE_CALLS), 0x401000);
	if (!sigsetjmp(gone, 1)) {
		interrupted_by(jump_out);
		ck_abort_msg("no signal");
	}
	ck_assert_uint_eq(inline_caller(VVM_STAT_SITE_CALLS),
			  VVM_STAT_SITE_CALLS);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "filter");

	tcase_add_test(tc, pointers_into_the_range_are_stopped);
	tcase_add_test(tc, calls_without_pointers_are_not_looked_at);
	tcase_add_test(tc, rings_are_the_doors);
	tcase_add_test(tc, other_machines_calls_pass);
	tc = test_case(s, "table");
	tcase_add_test(tc, no_call_is_in_both_lists);
	tcase_add_test(tc, lengths_are_of_arguments_that_are_there);
	tc = test_case(s, "memory of calls");
	tcase_add_test(tc, memory_of_calls_that_were_left_comes_back);
	tcase_add_test(tc, memory_of_calls_in_progress_stays);
	tcase_add_test(tc, memory_is_aligned_as_the_programs);
	tc = test_case(s, "callers");
	tcase_add_test(tc, a_call_that_was_left_has_no_caller);
}

const struct test_program test_program = {
	.name = "unit_door",
	.add = add_tests,
};
