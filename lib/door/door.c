/* SPDX-License-Identifier: MIT */
/*
 * door/door.c - system calls on paged memory, as the kernel would make them if
 * it could bring pages in.
 *
 * In inline mode, and without privilege in any, the kernel serves no fault of
 * its own: a call that meets an absent page, or is the first to write to one,
 * fails with EFAULT, or has lost what it was to deliver. So it does not get the
 * program's pointers. What it reads is copied to memory of ours before the call,
 * what it writes from there afterwards (door/copy.c, door/bounce.c), and what is
 * where the table says (door/table.c). The program comes here by vvm_syscall(),
 * or through a trap that it does not know of (door/trap.c).
 *
 *  (1) A call that waits holds no frame and no lock, and the program's signals
 *	are let through while it does: the kernel interrupts and restarts it as
 *	it would in the program. It may be left for good.
 *  (2) What may not be accessed is left to the kernel, with its address: it
 *	says EFAULT, or finds another error first, or nothing, as it would.
 *	Where the beginning may be, the copy ends at a page that may not.
 *  (3) What the program's memory has around what the call writes stays as it
 *	is.
 *
 * What the kernel must have the true address of (futexes, what it uses after the
 * call) is touched or pinned: door/special.c. What it has no pointers for, and
 * mapping calls, are no business of ours.
 *
 * Rejected: to pin the buffers. A read() from a terminal would hold frames for
 * days, a large write() has no budget to be pinned in, and pages that many
 * threads wait on would starve those that have work to do.
 */
#include "door/door.h"

#include <string.h>
#include <ucontext.h>

#include "door/impl.h"
#include "fault/inline.h"
#include "os/os.h"
#include "space/paged.h"

/* The kernel moves no more at a time. */
#define MOST_BYTES ((size_t)0x7ffff000)
/* PATH_MAX is the longest name; others of its texts are shorter. */
#define TEXT_BYTES 4096
/* What a header may say that follows it. */
#define TAIL_BYTES ((uint32_t)1 << 20)

bool door_is_paged(haddr_t at, size_t bytes)
{
	haddr_t end;

	return bytes && !__builtin_add_overflow(at, bytes, &end) &&
	       paged_meets(at, end);
}

long door_make(struct door *d)
{
	/* A handler may leave by siglongjmp(), or be trapped itself. */
	uint64_t caller = inline_caller(VVM_STAT_SITE_CALLS);
	long result;

	os_signals_restore(d->mask);
	result = os_call(d->nr, d->use);
	d->mask = os_signals_block(); /* it may have been to change it */
	inline_caller(caller);
	return result;
}

/* ---- a buffer ---- */

/* To know what the kernel will have written. */
static int keep_copy(struct bounce *memory, struct bounced *b)
{
	b->was = bounce_take(memory, b->bytes, 0);
	if (!b->was)
		return -ENOMEM;
	memcpy(b->was, b->mine, b->bytes);
	return 0;
}

int door_bounce_some(struct bounce *memory, haddr_t at, size_t bytes,
		     size_t most, enum arg_kind kind, struct bounced *b,
		     uint64_t *use)
{
	bool in = kind != ARG_OUT;
	size_t reach = MIN(bytes, most);

	*b = (struct bounced){0};
	*use = at;
	if (!door_is_paged(at, reach))
		return 0;
	if (!in || reach > BOUNCE_BYTES)
		reach = copy_reach(at, reach, kind != ARG_IN);
	if (!reach)
		return 0;
	b->mine = bounce_take(memory, reach, at);
	if (b->mine && in) {
		size_t got = copy_in(b->mine, at, reach);

		if (!got) {
			b->mine = NULL;
			return 0;
		}
		if (got < bytes) {
			char *edge = bounce_take_at_edge(memory, got);

			if (edge)
				memcpy(edge, b->mine, got);
			b->mine = edge;
		}
		reach = got;
	} else if (b->mine && reach < bytes) {
		b->mine = bounce_take_at_edge(memory, reach);
	}
	if (!b->mine)
		return -ENOMEM;
	b->bytes = reach;
	*use = (uintptr_t)b->mine;
	return kind == ARG_INOUT ? keep_copy(memory, b) : 0;
}

int door_bounce(struct bounce *memory, haddr_t at, size_t bytes,
		enum arg_kind kind, struct bounced *b, uint64_t *use)
{
	return door_bounce_some(memory, at, bytes, MOST_BYTES, kind, b, use);
}

/* Other threads may have written to the rest meanwhile. */
static int return_changes(const struct bounced *b, haddr_t at, size_t bytes)
{
	size_t i, n;

	for (i = 0; i < bytes; i += n) {
		for (n = 0; i + n < bytes && b->mine[i + n] != b->was[i + n];)
			n++;
		if (n && copy_out(at + i, b->mine + i, n) < n)
			return -EFAULT;
		n = MAX(n, (size_t)1);
	}
	return 0;
}

int door_return(const struct bounced *b, haddr_t at, size_t bytes)
{
	bytes = MIN(bytes, b->bytes);
	if (b->was)
		return return_changes(b, at, bytes);
	if (!b->mine || copy_out(at, b->mine, bytes) == bytes)
		return 0;
	return -EFAULT;
}

int door_bounce_text(struct door *d, unsigned i)
{
	haddr_t at = d->arg[i];
	char *mine;

	if (!at || !door_is_paged(at, 1))
		return 0;
	mine = bounce_take(&d->bounce, TEXT_BYTES, 0);
	if (!mine)
		return -ENOMEM;
	if (copy_text(mine, at, TEXT_BYTES))
		d->use[i] = (uintptr_t)mine;
	else /* perhaps it is too long: let the kernel see as much as it reads */
		return door_bounce(&d->bounce, at, TEXT_BYTES + 1, ARG_IN,
				   &d->bounced[i], &d->use[i]);
	return 0;
}

/* ---- an argument ---- */

static uint32_t word_at(haddr_t at)
{
	uint32_t word = 0;

	return copy_in(&word, at, sizeof(word)) == sizeof(word) ? word : 0;
}

static size_t headed(uint32_t tail, const struct call_arg *a)
{
	return tail || a->size ? a->size + (size_t)MIN(tail, TAIL_BYTES)
			       : 48; /* of sched_setattr(2) */
}

/*
 * Counts other than of bytes are ints to the kernel. *word: the length, if that
 * is in memory.
 */
static size_t length_of(const struct door *d, unsigned i, uint32_t *word)
{
	const struct call_arg *a = &d->call->arg[i];
	uint64_t n = a->length == LENGTH_HEADED ? 0 : d->arg[a->of];

	*word = a->length == LENGTH_HEADED    ? word_at(d->arg[i] + a->of)
		: a->length == LENGTH_POINTED ? word_at(n)
					      : 0;
	switch ((enum arg_length)a->length) {
	case LENGTH_FIXED:
		return a->size;
	case LENGTH_TIMES:
	case LENGTH_RESULT:
		return a->size == 1 ? n : (size_t)(uint32_t)n * a->size;
	case LENGTH_MESSAGE:
		return MIN(n, MOST_BYTES) + sizeof(long);
	case LENGTH_POINTED:
		return *word > INT32_MAX ? 0 : *word;
	case LENGTH_BITS:
		return n > INT32_MAX ? 0 : (n + 63) / 64 * 8;
	case LENGTH_PAGES:
		return bytes_to_pages(n);
	case LENGTH_HEADED: /* the word itself is read in any case */
		return MAX(headed(*word, a), a->of + sizeof(*word));
	}
	return 0;
}

/* How much the kernel has written. */
static size_t written(const struct door *d, unsigned i, long result)
{
	const struct call_arg *a = &d->call->arg[i];
	size_t all = d->bounced[i].bytes;

	if (a->kind == ARG_INOUT)
		return all;
	if (result < 0)
		return 0;
	if (a->length == LENGTH_RESULT)
		return MIN(all, (size_t)result * a->size);
	if (a->length == LENGTH_MESSAGE)
		return MIN(all, (size_t)result + sizeof(long));
	return all;
}

/*
 * The kernel is to find the length that the memory was made for, whatever
 * other threads write there.
 */
static int fix_length(struct door *d, unsigned i, uint32_t word)
{
	const struct call_arg *a = &d->call->arg[i];
	struct bounced *b = &d->bounced[i];
	size_t at = 0;

	if (!b->mine)
		return 0;
	if (a->length == LENGTH_HEADED) {
		at = a->of;
	} else {
		b = &d->bounced[a->of];
		*b = (struct bounced){.bytes = sizeof(word)};
		b->mine = bounce_take(&d->bounce, sizeof(word), 0);
		b->was = bounce_take(&d->bounce, sizeof(word), 0);
		if (!b->mine || !b->was)
			return -ENOMEM;
		d->use[a->of] = (uintptr_t)b->mine;
	}
	if (b->bytes < at + sizeof(word))
		return 0;
	memcpy(b->mine + at, &word, sizeof(word));
	if (b->was)
		memcpy(b->was + at, &word, sizeof(word));
	return 0;
}

static int bounce_memory(struct door *d, unsigned i)
{
	const struct call_arg *a = &d->call->arg[i];
	uint32_t word;
	size_t bytes;
	int rc;

	if (!d->arg[i] || d->bounced[i].mine)
		return 0;
	bytes = length_of(d, i, &word);
	rc = door_bounce_some(&d->bounce, d->arg[i], bytes,
			      a->most ? a->most : MOST_BYTES, a->kind,
			      &d->bounced[i], &d->use[i]);
	if (rc == 0 &&
	    (a->length == LENGTH_HEADED || a->length == LENGTH_POINTED))
		rc = fix_length(d, i, word);
	return rc;
}

int door_bounce_argument(struct door *d, unsigned i)
{
	const struct call_arg *a = &d->call->arg[i];

	switch ((enum arg_kind)a->kind) {
	case ARG_VALUE:
	case ARG_SPECIAL:
		return 0;
	case ARG_TEXT:
		return door_bounce_text(d, i);
	default:
		return bounce_memory(d, i);
	}
}

int door_bounce_arguments(struct door *d)
{
	int rc = 0;
	unsigned i;

	for (i = 0; i < 6 && rc == 0; i++)
		rc = door_bounce_argument(d, i);
	return rc;
}

long door_return_arguments(struct door *d, long result)
{
	unsigned i;

	for (i = 0; i < 6; i++) {
		enum arg_kind kind = d->call->arg[i].kind;

		if (kind != ARG_OUT && kind != ARG_INOUT)
			continue;
		if (door_return(&d->bounced[i], d->arg[i],
				written(d, i, result)) < 0)
			result = -EFAULT;
	}
	return result;
}

long door_copy(struct door *d)
{
	int rc = door_bounce_arguments(d);

	return rc < 0 ? rc : door_return_arguments(d, door_make(d));
}

long door_make_some(struct door *d, unsigned i, enum arg_kind kind,
		    size_t bytes, size_t most)
{
	long result;
	int rc;

	if (!d->arg[i])
		return door_make(d);
	rc = door_bounce_some(&d->bounce, d->arg[i], bytes, most, kind,
			      &d->bounced[i], &d->use[i]);
	if (rc < 0)
		return rc;
	result = door_make(d);
	if (kind == ARG_IN || (kind == ARG_OUT && result < 0))
		return result;
	if (door_return(&d->bounced[i], d->arg[i], bytes) < 0)
		result = -EFAULT;
	return result;
}

long door_make_with(struct door *d, unsigned i, enum arg_kind kind,
		    size_t bytes)
{
	return door_make_some(d, i, kind, bytes, MOST_BYTES);
}

/* ---- all ---- */

static long (*const ways[])(struct door *) = {
#define X(way) door_##way,
	DOOR_WAYS(X)
#undef X
};

long door_syscall(long nr, const uint64_t arg[6], void *context, uint64_t *mask)
{
	struct door d;
	long result;

	d.nr = nr;
	d.call = call_find(nr);
	d.context = context;
	d.mask = *mask;
	d.warm = NULL;
	memcpy(d.arg, arg, sizeof(d.arg));
	memcpy(d.use, arg, sizeof(d.use));
	memset(d.bounced, 0, sizeof(d.bounced));
	bounce_begin(&d.bounce);
	if (d.call)
		result = ways[d.call->way](&d);
	else
		result = call_is_plain(nr) ? door_make(&d) : door_pin(&d);
	bounce_end(&d.bounce);
	*mask = d.mask;
	return result;
}

/* Has it a pointer that is to be looked at? Structures may have some inside. */
static bool concerns_us(long nr, const uint64_t arg[6])
{
	const struct call *call = call_find(nr);
	unsigned i;

	if (!call)
		return !call_is_plain(nr);
	if (call->way != WAY_copy && call->way != WAY_single)
		return true;
	for (i = 0; i < 6; i++)
		if (call->arg[i].kind != ARG_VALUE && arg[i])
			return true;
	return false;
}

long door_call(long nr, const uint64_t arg[6])
{
	int saved = errno;
	uint64_t mask;
	long result;

	if (!concerns_us(nr, arg))
		return os_call(nr, arg);
	mask = os_signals_block();
	result = door_syscall(nr, arg, NULL, &mask);
	os_signals_restore(mask);
	errno = saved;
	return result;
}
