/* SPDX-License-Identifier: MIT */
/*
 * door/filter.c - which system calls are stopped.
 *
 * Those with a pointer into [OS_DOOR_START, OS_DOOR_END), unless they come from
 * the door's own instruction. The text is
 *
 *	another machine's calls		pass
 *	a search for the number, by halves of ranges of numbers alike
 *	an end for each set of arguments that may be pointers:
 *		compare their upper halves one by one
 *	stop, unless it is the door
 *
 * Numbers that have no pointers come to an end before an argument is looked at:
 * the kernel finds that out when it gets the filter, and runs no text for them.
 * What is no call of the table's nor known to have no pointers has six.
 *
 * io_uring_setup(2) and io_setup(2) fail as in a kernel without them. By what
 * they make the kernel would use memory of the program's after the call, and
 * without one: there is nothing that could be trapped.
 *
 * A filter stays when a program is executed, and fits the next one, if that has
 * its memory paged in the same way. One that has not has nothing in that range.
 *
 * Rejected for that reason: to stop each sigaltstack(2), whose stack may be paged
 * where the structure that tells of it is not (Go's runtime calls it by an
 * instruction of its own). A program without a handler would die of it.
 */
#include "door/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#include <asm/unistd.h>

#include "door/table.h"
#include "os/os.h"

#define ALL_ARGUMENTS 0x3fu
#define ABSENT	      0x40u /* a set of its own: it fails */

/* Which arguments of a call the filter looks at; a bit for each. */
static unsigned arguments(long nr)
{
	const struct call *call = call_find(nr);
	unsigned i, set = 0;

	if (!call)
		return call_is_plain(nr) ? 0 : ALL_ARGUMENTS;
	for (i = 0; i < 6; i++)
		if (call->arg[i].kind != ARG_VALUE)
			set |= 1u << i;
	return set;
}

#if defined(__x86_64__)

#define X32_BIT 0x40000000
/* More than there are in the table. */
#define SETS_MOST 64
/* Of the door's `syscall`, two bytes. */
#define DOOR_PC (OS_DOOR_START + 2)

#define FIELD(f) ((uint32_t)offsetof(struct seccomp_data, f))
#define HIGH	 4u

static unsigned set_of(long nr)
{
	if (nr == __NR_io_uring_setup || nr == __NR_io_setup)
		return ABSENT;
	return arguments(nr);
}

/*
 * The text is written from its end to its beginning, so that the place of what
 * a jump leads to is known. `at` counts from the end.
 */
struct text {
	struct sock_filter *end; /* behind the last one */
	unsigned at;
	unsigned sets;
	struct {
		unsigned set, at;
	} set[SETS_MOST];
};

static unsigned put(struct text *t, unsigned code, uint32_t k, unsigned yes,
		    unsigned no)
{
	t->at++;
	*(t->end - t->at) = (struct sock_filter)BPF_JUMP(
		(uint16_t)code, k, (uint8_t)yes, (uint8_t)no);
	return t->at;
}

static unsigned finish(struct text *t, uint32_t result)
{
	return put(t, BPF_RET | BPF_K, result, 0, 0);
}

/* Goes to one of two places, however far they are. */
static unsigned test(struct text *t, unsigned how, uint32_t k, unsigned yes,
		     unsigned no)
{
	if (t->at - no > UINT8_MAX - 2)
		no = put(t, BPF_JMP | BPF_JA, t->at - no, 0, 0);
	if (t->at - yes > UINT8_MAX)
		yes = put(t, BPF_JMP | BPF_JA, t->at - yes, 0, 0);
	return put(t, BPF_JMP | how | BPF_K, k, t->at - yes, t->at - no);
}

static unsigned load(struct text *t, uint32_t field)
{
	return put(t, BPF_LD | BPF_W | BPF_ABS, field, 0, 0);
}

/* From the door's instruction it passes, from elsewhere not. */
static unsigned unless_door(struct text *t, unsigned pass, unsigned stop)
{
	unsigned high;

	test(t, BPF_JEQ, (uint32_t)DOOR_PC, pass, stop);
	load(t, FIELD(instruction_pointer));
	high = t->at;
	test(t, BPF_JEQ, DOOR_PC >> 32, high, stop);
	return load(t, FIELD(instruction_pointer) + HIGH);
}

static unsigned look_at(struct text *t, unsigned set, unsigned pass,
			unsigned stop)
{
	unsigned i, next = pass;

	for (i = 6; i-- > 0;) {
		if (!(set & 1u << i))
			continue;
		test(t, BPF_JEQ, OS_DOOR_START >> 32, stop, next);
		put(t, BPF_ALU | BPF_AND | BPF_K, OS_DOOR_MASK, 0, 0);
		next = load(t, FIELD(args[i]) + HIGH);
	}
	return next;
}

/* Where the set is dealt with. => put_sets() */
static unsigned place_of(const struct text *t, long nr)
{
	unsigned i, set = set_of(nr);

	for (i = 0; i < t->sets && t->set[i].set != set; i++)
		;
	return t->set[i].at;
}

static void put_sets(struct text *t)
{
	unsigned stop = finish(t, SECCOMP_RET_TRAP | FILTER_MARK);
	unsigned absent = finish(t, SECCOMP_RET_ERRNO | ENOSYS);
	unsigned pass = finish(t, SECCOMP_RET_ALLOW), trap;
	long nr;

	absent = unless_door(t, pass, absent);
	trap = unless_door(t, pass, stop);
	t->set[t->sets].set = 0;
	t->set[t->sets++].at = pass;
	t->set[t->sets].set = ABSENT;
	t->set[t->sets++].at = absent;
	for (nr = 0; nr <= CALLS_END; nr++) { /* the last one is a new one */
		unsigned i, set = set_of(nr);

		for (i = 0; i < t->sets && t->set[i].set != set; i++)
			;
		if (i < t->sets)
			continue;
		ASSERT(t->sets < SETS_MOST);
		t->set[t->sets].set = set;
		t->set[t->sets++].at = look_at(t, set, pass, trap);
	}
}

/* Ranges of numbers that lead to the same place. */
struct range {
	unsigned from, place;
};

static unsigned find_ranges(const struct text *t, struct range *range)
{
	unsigned nr, n = 0;

	for (nr = 0; nr <= CALLS_END; nr++) {
		unsigned place = place_of(t, nr);

		if (!n || range[n - 1].place != place)
			range[n++] = (struct range){nr, place};
	}
	return n;
}

static unsigned put_search(struct text *t, const struct range *range,
			   unsigned n)
{
	unsigned half = n / 2, low, high;

	if (n == 1)
		return range->place;
	high = put_search(t, range + half, n - half);
	low = put_search(t, range, half);
	return test(t, BPF_JGE, range[half].from, high, low);
}

unsigned filter_text(struct sock_filter text[FILTER_MOST])
{
	struct text t = {.end = text + FILTER_MOST};
	struct range range[CALLS_END + 1] = {{0}};
	unsigned pass, search, i;

	put_sets(&t);
	pass = t.set[0].at;
	search = put_search(&t, range, find_ranges(&t, range));
	test(&t, BPF_JGE, X32_BIT, pass, search);
	load(&t, FIELD(nr));
	test(&t, BPF_JEQ, AUDIT_ARCH_X86_64, t.at, pass);
	load(&t, FIELD(arch));
	for (i = 0; i < t.at; i++)
		text[i] = *(t.end - t.at + i);
	return t.at;
}

#else

unsigned filter_text(struct sock_filter text[FILTER_MOST])
{
	(void)text;
	return 0;
}

#endif
