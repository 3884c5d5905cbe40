/* SPDX-License-Identifier: MIT */
/*
 * swap/hold.c - slots that may not be used again yet.
 *
 * A fork child reads the pages that were in swap at the fork from its
 * parent's slots. The parent may dirty or unmap such a page, which gives the
 * slot up, and it must not be handed out again as long as the child may read
 * it. So a *hold* is a copy of the slots' bitmap at the moment of the fork:
 * one bit for each slot in use, 32 KiB for 1 GiB of swap. A slot that is given
 * back while a hold names it is *kept*: still taken in the bitmap, and marked
 * in `kept`. When a hold ends, the kept slots that it names, and that no
 * other hold names, are free.
 *
 * Invariants:
 *  (1) A kept slot is taken, and named by at least one hold.
 *  (2) A hold names no slot that was kept when it began: no page had it.
 *
 * Rejected: to keep for each slot the number of the last fork before it was
 * taken (4 bytes more for each slot, always, for a thing that is rare); to mark
 * kept slots with the youngest fork and wait until all older ones are gone (a
 * child that lives long would keep every slot that any later, short-lived child
 * had kept).
 */
#include "swap/hold.h"

#include <errno.h>
#include <string.h>

#include "bits.h"
#include "os/os.h"

static bool names(const struct hold *h, uint64_t slot)
{
	return slot / BITS_PER_WORD < h->words && bit_get(h->bits, slot);
}

static bool held(const struct holds *hs, uint64_t slot)
{
	const struct hold *h;

	for (h = hs->first; h; h = h->next)
		if (names(h, slot))
			return true;
	return false;
}

void hold_free(struct hold *h)
{
	os_unmap((haddr_t)(uintptr_t)h, h->bytes);
}

void holds_fini(struct holds *hs, const struct slots *s)
{
	struct hold *h, *next;

	for (h = hs->first; h; h = next) {
		next = h->next;
		hold_free(h);
	}
	if (hs->kept)
		os_unmap((haddr_t)(uintptr_t)hs->kept, s->bitmap_bytes);
	memset(hs, 0, sizeof(*hs));
}

int hold_new(struct holds *hs, const struct slots *s, struct hold **out)
{
	uint64_t words = s->area / BITS_PER_WORD + 1;
	uint64_t bytes = page_ceil(sizeof(struct hold) + words * 8);
	void *memory;

	if (!hs->kept) {
		if (os_map_anon(s->bitmap_bytes, &memory) < 0)
			return -ENOMEM;
		hs->kept = memory;
	}
	if (os_map_anon(bytes, &memory) < 0)
		return -ENOMEM;
	*out = memory;
	(*out)->bytes = bytes;
	(*out)->words = words;
	return 0;
}

bool hold_begin(struct holds *hs, const struct slots *s, struct hold *h)
{
	uint64_t i;

	if (s->area / BITS_PER_WORD + 1 > h->words)
		return false;
	for (i = 0; i < h->words; i++)
		h->bits[i] = s->bitmap[i] & ~hs->kept[i]; /* (2) */
	h->next = hs->first;
	hs->first = h;
	return true;
}

/* The slots of one word of a hold that has just ended. */
static void release_word(struct holds *hs, struct slots *s, uint64_t word,
			 uint64_t bits)
{
	for (bits &= hs->kept[word]; bits; bits &= bits - 1) {
		uint64_t slot =
			word * BITS_PER_WORD + (uint64_t)__builtin_ctzll(bits);

		if (held(hs, slot))
			continue;
		bit_clear(hs->kept, slot);
		hs->kept_count--;
		slots_give(s, slot, 1);
	}
}

void hold_end(struct holds *hs, struct slots *s, struct hold *h)
{
	struct hold **link = &hs->first;
	uint64_t i;

	while (*link != h)
		link = &(*link)->next;
	*link = h->next;
	for (i = 0; i < h->words && hs->kept_count; i++)
		release_word(hs, s, i, h->bits[i]);
}

void holds_give(struct holds *hs, struct slots *s, uint64_t first, uint64_t n)
{
	uint64_t slot;

	if (!hs->first) {
		slots_give(s, first, n);
		return;
	}
	for (slot = first; slot < first + n; slot++) {
		if (!held(hs, slot)) {
			slots_give(s, slot, 1);
			continue;
		}
		ASSERT(!bit_get(hs->kept, slot)); /* given back twice */
		bit_set(hs->kept, slot);
		hs->kept_count++;
	}
}
