/* SPDX-License-Identifier: MIT */
/*
 * swap/slots.c - which slots of a swap file are free.
 *
 * A write of many pages costs little more than a write of one, provided that
 * their slots are neighbours. So slots are handed out in *runs* by next fit:
 * the search goes on where the last run ended, and a burst of evictions lies
 * on the disk in the order in which it happened.
 *
 * The free slots are a bitmap, one bit a slot. Above it lies a summary, one
 * bit for each *group* of 64 words (4096 slots): set when all of them are
 * taken. A nearly full area is skipped by the summary at 262,144 slots a
 * word, so finding a free slot among 2^28 reads 8 KiB at worst.
 *
 * A long run may not exist anywhere, and finding that out would mean reading
 * the whole bitmap on every call just when swap is nearly full. So a search
 * looks at SLOTS_SEARCH_RUNS free runs and settles for the longest of them:
 * 512 runs take about 5 us, less than a tenth of the write that follows.
 *
 *	bit   0   1   2   3            area           limit
 *	      T   t   .   .  t  t  .  . |  not there yet |
 *	      ^ never handed out: slot 0 means "no slot"
 *
 * Ageing. A program that rewrites pages at random frees single slots
 * everywhere. The area is at most twice what is in use (swap/alloc.c), so the
 * free half then lies in holes: one turn of the cursor writes into what became
 * free since the last turn. The holes settle at 8 slots (tests/unit/slots.c,
 * "ageing"); holes of 64 would take an area of four times the use.
 * evict/writeback.c makes as many writes of a block's victims as it takes.
 * Sequential rewriting heals it: the holes are 64 again after two turns.
 *
 * Invariants:
 *  (1) Bit 0 and the bits of taken slots are set; no bit above `area` is.
 *  (2) used is the number of set bits less one.
 *  (3) A summary bit is set exactly when all bits of its group are set.
 *  (4) 1 <= cursor <= area + 1; area <= limit.
 *
 * Rejected: a tree of free extents (memory allocated while evicting, which
 * is when there is none), and per-size free lists (frees come as single
 * pages, and neighbours must merge).
 */
#include "swap/slots.h"

#include <errno.h>

#include "bits.h"
#include "os/os.h"

#define GROUP_WORDS 64
#define FULL_WORD   UINT64_MAX

/* One search: what it wants, what it may still look at, the best so far. */
struct search {
	uint64_t want;
	uint64_t first, length;
	unsigned runs_left;
};

static uint64_t words_for(uint64_t bits)
{
	return (bits + BITS_PER_WORD - 1) / BITS_PER_WORD;
}

static uint64_t bytes_for(uint64_t bits)
{
	return page_ceil(words_for(bits) * sizeof(uint64_t));
}

/* The part of bit's word that belongs to [bit, bit + n). */
static uint64_t word_mask(uint64_t bit, uint64_t n)
{
	uint64_t ones = n >= BITS_PER_WORD ? FULL_WORD : ((uint64_t)1 << n) - 1;

	return ones << bit % BITS_PER_WORD;
}

/* How many bits from bit on, at most n, are in its word. */
static uint64_t word_share(uint64_t bit, uint64_t n)
{
	return MIN(n, BITS_PER_WORD - bit % BITS_PER_WORD);
}

static int map_all(struct slots *s)
{
	void *bitmap, *full, *checksum;
	int err;

	err = os_map_anon(s->bitmap_bytes, &bitmap);
	if (err)
		return err;
	err = os_map_anon(s->full_bytes, &full);
	if (err)
		goto unmap_bitmap;
	err = os_map_anon(s->checksum_bytes, &checksum);
	if (err)
		goto unmap_full;
	s->bitmap = bitmap;
	s->full = full;
	s->checksum = checksum;
	return 0;

unmap_full:
	os_unmap((haddr_t)full, s->full_bytes);
unmap_bitmap:
	os_unmap((haddr_t)bitmap, s->bitmap_bytes);
	return err;
}

int slots_init(struct slots *s, uint64_t limit_slots)
{
	/* Whole groups, so that loops over a group need no bound. */
	uint64_t groups = limit_slots / (GROUP_WORDS * BITS_PER_WORD) + 1;
	int err;

	ASSERT(limit_slots >= 1);
	s->limit = limit_slots;
	s->area = 0;
	s->used = 0;
	s->cursor = 1;
	s->bitmap_bytes = bytes_for(groups * GROUP_WORDS * BITS_PER_WORD);
	s->full_bytes = bytes_for(groups);
	s->checksum_bytes = page_ceil((limit_slots + 1) * sizeof(uint32_t));
	err = map_all(s);
	if (err)
		return err;
	s->bitmap[0] = 1; /* (1) */
	return 0;
}

void slots_fini(struct slots *s)
{
	os_unmap((haddr_t)s->checksum, s->checksum_bytes);
	os_unmap((haddr_t)s->full, s->full_bytes);
	os_unmap((haddr_t)s->bitmap, s->bitmap_bytes);
}

/* The first word at or after `word` whose group is not full, in the area. */
static uint64_t skip_full_groups(const struct slots *s, uint64_t word)
{
	uint64_t groups = s->area / (GROUP_WORDS * BITS_PER_WORD) + 1;
	uint64_t group = word / GROUP_WORDS;
	uint64_t open = ~s->full[group / BITS_PER_WORD] &
			FULL_WORD << group % BITS_PER_WORD;

	if (!bit_get(s->full, group))
		return word;
	while (!open) {
		group = (group / BITS_PER_WORD + 1) * BITS_PER_WORD;
		if (group >= groups)
			return groups * GROUP_WORDS;
		open = ~s->full[group / BITS_PER_WORD];
	}
	group = group / BITS_PER_WORD * BITS_PER_WORD + __builtin_ctzll(open);
	return group * GROUP_WORDS;
}

/* The first free slot in [from, to), or `to`; to <= area + 1. */
static uint64_t next_free(const struct slots *s, uint64_t from, uint64_t to)
{
	uint64_t word = from / BITS_PER_WORD, open;

	open = ~s->bitmap[word] & FULL_WORD << from % BITS_PER_WORD;
	while (!open) {
		word++;
		if (word % GROUP_WORDS == 0 && word * BITS_PER_WORD < to)
			word = skip_full_groups(s, word);
		if (word * BITS_PER_WORD >= to)
			return to;
		open = ~s->bitmap[word];
	}
	return MIN(to, word * BITS_PER_WORD + __builtin_ctzll(open));
}

/* The first taken slot in [from, to), or `to`. */
static uint64_t next_taken(const struct slots *s, uint64_t from, uint64_t to)
{
	uint64_t word = from / BITS_PER_WORD, taken;

	taken = s->bitmap[word] & FULL_WORD << from % BITS_PER_WORD;
	while (!taken) {
		if (++word * BITS_PER_WORD >= to)
			return to;
		taken = s->bitmap[word];
	}
	return MIN(to, word * BITS_PER_WORD + __builtin_ctzll(taken));
}

/* Looks through [from, to). True when a run of `want` was found. */
static bool search_range(const struct slots *s, struct search *h, uint64_t from,
			 uint64_t to)
{
	uint64_t end;

	while (from < to && h->runs_left > 0) {
		from = next_free(s, from, to);
		if (from == to)
			break;
		end = next_taken(s, from, MIN(to, from + h->want));
		if (end - from > h->length) {
			h->first = from;
			h->length = end - from;
		}
		if (h->length == h->want)
			return true;
		h->runs_left--;
		from = end;
	}
	return false;
}

/* From the cursor round to the cursor; a run may straddle it. */
static void search_turn(const struct slots *s, struct search *h)
{
	uint64_t end = s->area + 1;

	if (search_range(s, h, s->cursor, end))
		return;
	search_range(s, h, 1, MIN(end, s->cursor + h->want - 1));
}

static bool group_is_full(const struct slots *s, uint64_t group)
{
	const uint64_t *word = s->bitmap + group * GROUP_WORDS;
	unsigned i;

	for (i = 0; i < GROUP_WORDS; i++)
		if (word[i] != FULL_WORD)
			return false;
	return true;
}

static void mark_taken(struct slots *s, uint64_t slot, uint64_t n)
{
	uint64_t *word = s->bitmap + slot / BITS_PER_WORD;
	uint64_t group = slot / BITS_PER_WORD / GROUP_WORDS;

	DEBUG_ASSERT((*word & word_mask(slot, n)) == 0);
	*word |= word_mask(slot, n);
	if (*word == FULL_WORD && group_is_full(s, group))
		s->full[group / BITS_PER_WORD] |= (uint64_t)1
						  << group % BITS_PER_WORD;
}

static void mark_free(struct slots *s, uint64_t slot, uint64_t n)
{
	uint64_t *word = s->bitmap + slot / BITS_PER_WORD;
	uint64_t group = slot / BITS_PER_WORD / GROUP_WORDS;

	/* A slot given back twice would be handed to two pages. */
	ASSERT((*word & word_mask(slot, n)) == word_mask(slot, n));
	*word &= ~word_mask(slot, n);
	s->full[group / BITS_PER_WORD] &=
		~((uint64_t)1 << group % BITS_PER_WORD);
}

/* mark() for each word's share of the run. */
static void mark_run(struct slots *s, uint64_t first, uint64_t n,
		     void (*mark)(struct slots *, uint64_t, uint64_t))
{
	uint64_t share;

	for (; n > 0; first += share, n -= share) {
		share = word_share(first, n);
		mark(s, first, share);
	}
}

int slots_take(struct slots *s, uint64_t want, bool force, uint64_t *first,
	       uint64_t *got)
{
	struct search h = {.want = want, .runs_left = SLOTS_SEARCH_RUNS};
	bool growable = s->area < s->limit;

	ASSERT(want >= 1);
	if (s->used == s->area)
		return growable ? -EAGAIN : -ENOSPC;
	search_turn(s, &h);
	ASSERT(h.length > 0); /* (2) */
	if (h.length < want && growable && !force)
		return -EAGAIN;
	mark_run(s, h.first, h.length, mark_taken);
	s->used += h.length;
	s->cursor = h.first + h.length;
	*first = h.first;
	*got = h.length;
	return 0;
}

void slots_give(struct slots *s, uint64_t first, uint64_t n)
{
	ASSERT(first >= 1 && n <= s->area && first <= s->area + 1 - n);
	mark_run(s, first, n, mark_free);
	s->used -= n;
}

void slots_grow(struct slots *s, uint64_t area)
{
	ASSERT(area >= s->area && area <= s->limit);
	/* The search that asked for it found nothing below. */
	s->cursor = s->area + 1;
	s->area = area;
}

void slots_check(const struct slots *s)
{
	uint64_t words = s->bitmap_bytes / sizeof(uint64_t);
	uint64_t set = 0, last = 0, i;

	for (i = 0; i < words; i++) {
		if (!s->bitmap[i])
			continue;
		set += (uint64_t)__builtin_popcountll(s->bitmap[i]);
		last = i * BITS_PER_WORD + BITS_PER_WORD - 1 -
		       __builtin_clzll(s->bitmap[i]);
	}
	ASSERT(s->bitmap[0] & 1);		  /* (1) */
	ASSERT(last <= s->area);		  /* (1) */
	ASSERT(set == s->used + 1);		  /* (2) */
	for (i = 0; i < words / GROUP_WORDS; i++) /* (3) */
		ASSERT(bit_get(s->full, i) == group_is_full(s, i));
	ASSERT(s->cursor >= 1 && s->cursor <= s->area + 1); /* (4) */
	ASSERT(s->area <= s->limit);			    /* (4) */
}
