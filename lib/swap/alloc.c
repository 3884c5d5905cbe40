/* SPDX-License-Identifier: MIT */
/*
 * swap/alloc.c - handing out the slots of a swap file, and its growth.
 *
 * The area grows in chunks towards the limit, by fallocate: room is claimed
 * while somebody can still be told that there is none, not when a dirty page
 * is on its way out. File systems that cannot are truncated longer instead;
 * there a write may meet ENOSPC.
 *
 * When to grow: if no run of the wanted length is met and at least half of
 * the area is in use. Long runs make writes cheap, so the file may be twice
 * what is swapped, plus a chunk; but without that bound a fragmented file
 * would eat the disk for the sake of contiguity.
 *
 * The first write to what fallocate gave is slower than later ones, because it
 * changes the extent in the journal. That is paid once for each slot. Rejected:
 * to zero a chunk first, which is a whole write of it (MEASURED.md, "The
 * disk").
 */
#include "swap/impl.h"

#include <errno.h>

#include "util/log.h"

/* Near the end of the disk chunks are halved down to this, one write's. */
#define GROW_MIN_PAGES IO_MAX_PAGES
/* A full file system is asked again after this long. */
#define GROW_RETRY_US 1000000

/* ---- growth ---- */

bool swap_no_room(int error)
{
	return error == -ENOSPC || error == -EDQUOT || error == -EFBIG;
}

int swap_extend(struct swap *s, uint64_t from, uint64_t to)
{
	int err = os_fallocate(s->fd, pages_to_bytes(from + 1),
			       pages_to_bytes(to - from));

	if ((err != -EOPNOTSUPP && err != -ENOSYS) || s->reserve)
		return err;
	return os_truncate(s->fd, pages_to_bytes(to + 1));
}

/* swap_extend() by a chunk, or what there is room for. *to: the new area. */
static int extend_by_chunk(struct swap *s, uint64_t from, uint64_t *to)
{
	uint64_t chunk = MIN(GROW_PAGES, s->slots.limit - from);
	int err = swap_extend(s, from, from + chunk);

	while (swap_no_room(err) && chunk / 2 >= GROW_MIN_PAGES) {
		chunk /= 2;
		err = swap_extend(s, from, from + chunk);
	}
	*to = from + chunk;
	return err;
}

/* => `growing` was set by us: swap (2), lock not held. */
static void grow(struct swap *s)
{
	/* The area is read without the lock: only we may change it. */
	uint64_t to, from = s->slots.area;
	int err = extend_by_chunk(s, from, &to);

	lock_take(&s->lock);
	if (!err)
		slots_grow(&s->slots, to);
	s->retry_us = err ? os_now_us() + GROW_RETRY_US : 0;
	s->growing = false;
	lock_drop(&s->lock);
	waitq_wake(&s->grown);
	if (err)
		log_warn_once(&s->grow_logged,
			      "swap cannot grow beyond %llu MiB (error %d): "
			      "make room where it is, or set VVM_SWAP to "
			      "another place",
			      (unsigned long long)(from >> (20 - PAGE_SHIFT)),
			      -err);
}

/* Growth failed a moment ago. */
static bool growth_rests(const struct swap *s)
{
	DEBUG_ASSERT(lock_held(&s->lock));
	return s->retry_us && os_now_us() < s->retry_us;
}

/* Take what there is rather than grow? */
static bool must_make_do(const struct swap *s)
{
	DEBUG_ASSERT(lock_held(&s->lock));
	return s->growing || s->slots.used < s->slots.area / 2 ||
	       growth_rests(s);
}

/*
 * No slot was taken. Grows the area or waits for who does; -ENOSPC: no use, or
 * it takes too long. => lock held on entry, dropped on return.
 */
static int make_room(struct swap *s)
{
	uint32_t ticket;

	DEBUG_ASSERT(lock_held(&s->lock));
	if (s->growing) {
		ticket = waitq_ticket(&s->grown);
		lock_drop(&s->lock);
		return waitq_wait(&s->grown, ticket, BACKING_STALL_US) < 0
			       ? -ENOSPC
			       : 0;
	}
	if (growth_rests(s)) {
		lock_drop(&s->lock);
		return -ENOSPC;
	}
	s->growing = true;
	lock_drop(&s->lock);
	grow(s);
	return 0;
}

/* ---- slots ---- */

int swap_take(struct backing *b, uint64_t want, uint64_t *first, uint64_t *got)
{
	struct swap *s = to_swap(b);
	int err;

	do {
		lock_take(&s->lock);
		err = slots_take(&s->slots, want, must_make_do(s), first, got);
		if (err != -EAGAIN) {
			lock_drop(&s->lock);
			*first += s->base;
			return err;
		}
		err = make_room(s);
	} while (!err);
	return err;
}

void swap_give_slots(struct swap *s, uint64_t first, uint64_t n)
{
	lock_take(&s->lock);
	holds_give(&s->holds, &s->slots, first, n);
	lock_drop(&s->lock);
}

void swap_give(struct backing *b, uint64_t first, uint64_t n)
{
	struct swap *s = to_swap(b);
	uint64_t slot = first - s->base;

	if (!s->tier) {
		swap_give_slots(s, slot, n);
		return;
	}
	for (; n; n--, slot++)
		if (tier_give(s->tier, slot))
			swap_give_slots(s, slot, 1);
}

int swap_hold(struct backing *b, struct hold **out)
{
	struct swap *s = to_swap(b);
	bool begun;
	int err = hold_new(&s->holds, &s->slots, out);

	if (err)
		return err;
	lock_take(&s->lock);
	begun = hold_begin(&s->holds, &s->slots, *out);
	lock_drop(&s->lock);
	if (begun)
		return 0;
	hold_free(*out);
	*out = NULL;
	return -ENOMEM;
}

void swap_release(struct backing *b, struct hold *h)
{
	struct swap *s = to_swap(b);

	lock_take(&s->lock);
	hold_end(&s->holds, &s->slots, h);
	lock_drop(&s->lock);
	hold_free(h);
}
