/* SPDX-License-Identifier: MIT */
/*
 * door/bounce.c - memory of ours that stands for the program's in a call.
 *
 * Little of it is on the stack of the call, unless that is paged. For more, a
 * call takes a *chunk*: 1 MiB of anonymous memory, of which only what is used
 * costs something. Chunks without a user are in a list without a lock (the top
 * and a counter in one word, since a chunk may be taken and given back between
 * two looks at it). They are never unmapped; what no chunk can hold is mapped
 * apart, and hangs on one.
 *
 * A call may be left for good: by siglongjmp() from a handler that interrupts
 * it, by the end of its thread, in a vfork child by the exec. Nobody tells us. So
 * a chunk knows where its call keeps its *cookie*, a number that no other call
 * has: when it is not there any more, the call is over. That is looked at before
 * new chunks are mapped. So there are at most as many chunks without a call as
 * there are stale cookies on stacks: one for each place where a call was left,
 * until something else is written to that place.
 *
 * Rejected: to tell by the depth of the stack who is gone (signal handlers may
 * swap contexts, and stacks may be anywhere); a chunk for each thread, in a
 * thread-local variable (handlers interrupt calls, and make their own; blocked
 * threads would keep them as well, and dead ones for ever).
 *
 * State outside `struct vvm`: calls are the process's. In a fork child chunks of
 * the parent's other threads stay in use.
 */
#include "door/bounce.h"

#include "door/copy.h"
#include "os/os.h"
#include "space/paged.h"

/* Room to be aligned as the program's buffer is, within a page. */
#define DATA_BYTES  (BOUNCE_BYTES + PAGE_BYTES)
#define CHUNK_BYTES (PAGE_BYTES + DATA_BYTES + PAGE_BYTES)
/* So many spare ones keep what they were filled with. */
#define WARM_CHUNKS 8
/* A chunk is page aligned and below 2^48: the rest is the counter. */
#define TURN_LOW  PAGE_MASK
#define TURN_HIGH (~UINT64_C(0) << 48)

struct bounce_chunk {
	_Atomic(struct bounce_chunk *) next_spare;
	struct bounce_chunk *next; /* (i) of all */
	struct bounce_chunk *same_call;
	_Atomic uint64_t cookie;	       /* of its call; 0: spare */
	_Atomic(_Atomic uint64_t *) cookie_at; /* where that has it */
	void *extra;			       /* mapped apart; or NULL */
	size_t extra_bytes;
	bool filled;
};

static _Atomic(struct bounce_chunk *) all;
static _Atomic uint64_t spares; /* (a) the first, and the counter */
static _Atomic unsigned spare_count, count;
static _Atomic unsigned look_at =
	16;			 /* (a) so many chunks: look for lost ones */
static _Atomic uint64_t cookies; /* (a) the last one */

/* ---- the list of spare ones ---- */

static struct bounce_chunk *chunk_of(uint64_t word)
{
	return (void *)(uintptr_t)(word & ~(TURN_LOW | TURN_HIGH));
}

static uint64_t word_of(const struct bounce_chunk *c, uint64_t old)
{
	uint64_t turn = (old & TURN_LOW) + 1;
	uint64_t high = (old & TURN_HIGH) + ((turn >> PAGE_SHIFT) << 48);

	return (uintptr_t)c | (turn & TURN_LOW) | high;
}

static struct bounce_chunk *pop_spare(void)
{
	uint64_t old = atomic_load(&spares);
	struct bounce_chunk *c;

	do {
		c = chunk_of(old);
		if (!c)
			return NULL;
	} while (!atomic_compare_exchange_weak(
		&spares, &old, word_of(atomic_load(&c->next_spare), old)));
	atomic_fetch_sub(&spare_count, 1);
	return c;
}

static void push_spare(struct bounce_chunk *c)
{
	uint64_t old = atomic_load(&spares);

	do {
		atomic_store(&c->next_spare, chunk_of(old));
	} while (!atomic_compare_exchange_weak(&spares, &old, word_of(c, old)));
	atomic_fetch_add(&spare_count, 1);
}

/* ---- chunks ---- */

static char *data_of(struct bounce_chunk *c)
{
	return (char *)c + PAGE_BYTES;
}

static struct bounce_chunk *new_chunk(void)
{
	struct bounce_chunk *c;
	void *memory;

	if (os_map_anon(CHUNK_BYTES, &memory) < 0)
		return NULL;
	c = memory;
	if (os_protect((uintptr_t)data_of(c) + DATA_BYTES, PAGE_BYTES, 0) < 0) {
		os_unmap((uintptr_t)c, CHUNK_BYTES);
		return NULL;
	}
	c->next = atomic_load(&all);
	while (!atomic_compare_exchange_weak(&all, &c->next, c))
		;
	atomic_fetch_add(&count, 1);
	return c;
}

static void give(struct bounce_chunk *c)
{
	if (c->extra)
		os_unmap((uintptr_t)c->extra, c->extra_bytes);
	c->extra = NULL;
	if (c->filled && atomic_load(&spare_count) >= WARM_CHUNKS) {
		os_advise((uintptr_t)data_of(c), DATA_BYTES, OS_ADV_DONTNEED);
		c->filled = false;
	}
	atomic_store(&c->cookie, 0);
	push_spare(c);
}

/* Has the call with this cookie been left? */
static bool lost(const struct bounce_chunk *c, uint64_t cookie)
{
	_Atomic uint64_t *at = atomic_load(&c->cookie_at);
	uint64_t there;

	return copy_in(&there, (uintptr_t)at, sizeof(there)) < sizeof(there) ||
	       there != cookie;
}

/* Of several that look one claims it; a call that has it now is another one. */
static void find_lost(void)
{
	struct bounce_chunk *c;

	for (c = atomic_load(&all); c; c = c->next) {
		uint64_t cookie = atomic_load(&c->cookie);

		if (cookie && lost(c, cookie) &&
		    atomic_compare_exchange_strong(&c->cookie, &cookie, 0))
			give(c);
	}
	atomic_store(&look_at,
		     2 * (atomic_load(&count) - atomic_load(&spare_count)) +
			     16);
}

static struct bounce_chunk *take_chunk(struct bounce *b)
{
	struct bounce_chunk *c = pop_spare();

	if (!c && atomic_load(&count) >= atomic_load(&look_at)) {
		find_lost();
		c = pop_spare();
	}
	if (!c)
		c = new_chunk();
	if (!c)
		return NULL;
	c->same_call = b->chunks;
	b->chunks = c;
	atomic_store(&c->cookie_at, &b->cookie);
	atomic_store(&c->cookie, atomic_load(&b->cookie));
	return c;
}

/* ---- of a call ---- */

void bounce_begin(struct bounce *b)
{
	bool paged = paged_meets((uintptr_t)b, (uintptr_t)(b + 1));

	atomic_store(&b->cookie, atomic_fetch_add(&cookies, 1) + 1);
	b->chunks = NULL;
	b->at = b->small;
	b->end = paged ? b->at : b->at + BOUNCE_SMALL;
}

void bounce_end(struct bounce *b)
{
	struct bounce_chunk *c = b->chunks, *next;

	/* what follows is ours alone: the cookie is there until its end */
	for (; c; c = next) {
		next = c->same_call;
		give(c);
	}
	atomic_store(&b->cookie, 0);
}

/* The first address from `at` on that is aligned as `like` is. */
static char *align_like(char *at, size_t bytes, haddr_t like)
{
	uint64_t mask = bytes >= 512 ? PAGE_MASK : 15;

	return at + ((like - (uintptr_t)at) & mask);
}

static void *take_apart(struct bounce *b, size_t bytes, size_t room)
{
	struct bounce_chunk *c = take_chunk(b);
	void *memory;

	if (!c || bytes > SIZE_MAX - room ||
	    os_map_anon(page_ceil(bytes + room), &memory) < 0)
		return NULL;
	c->extra = memory;
	c->extra_bytes = page_ceil(bytes + room);
	return memory;
}

void *bounce_take(struct bounce *b, size_t bytes, haddr_t like)
{
	struct bounce_chunk *c;
	char *at = align_like(b->at, bytes, like), *apart;

	if (at <= b->end && bytes <= (size_t)(b->end - at)) {
		b->at = at + bytes;
		return at;
	}
	if (bytes > BOUNCE_BYTES) {
		apart = take_apart(b, bytes, PAGE_BYTES);
		return apart ? align_like(apart, bytes, like) : NULL;
	}
	c = take_chunk(b);
	if (!c)
		return NULL;
	c->filled |= bytes > PAGE_BYTES;
	b->end = data_of(c) + DATA_BYTES;
	at = align_like(data_of(c), bytes, like);
	b->at = at + bytes;
	return at;
}

void bounce_lend(struct bounce *b, void *memory, size_t bytes)
{
	b->at = memory;
	b->end = b->at + bytes;
}

void *bounce_take_at_edge(struct bounce *b, size_t bytes)
{
	uint64_t all_bytes = page_ceil(bytes);
	char *at = take_apart(b, all_bytes, PAGE_BYTES);

	if (!at || os_protect((uintptr_t)at + all_bytes, PAGE_BYTES, 0) < 0)
		return NULL;
	return at + all_bytes - bytes;
}

unsigned bounce_chunks(unsigned *spare)
{
	*spare = atomic_load(&spare_count);
	return atomic_load(&count);
}
