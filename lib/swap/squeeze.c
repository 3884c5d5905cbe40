/* SPDX-License-Identifier: MIT */
/*
 * swap/squeeze.c - a page in less than a page, and whether it is worth trying.
 *
 * A page of one 64-bit word, again and again (zeros, a pattern that memory was
 * initialised with), is that word. Others are compressed with LZ4, which takes
 * 3 to 6 us a page and gives them back in 2 to 3. Its state is ours, so that
 * nothing is allocated, and the stack of the reclaimer stays small.
 *
 * Data that does not compress (of an archive, a picture, random numbers) lies
 * together. So blocks are remembered whose pages did not: they are left alone
 * for the next write-back, in vain again for two, then four, up to WAIT_MAX.
 * The memory is a table by a hash of the block: what collides is forgotten,
 * which costs a try. What is tried in vain costs 1 us, since LZ4 goes over
 * what has no repetitions in long steps.
 */
#include "swap/squeeze.h"

#include <errno.h>
#include <string.h>

#ifdef HAVE_LZ4
#include <lz4.h>
#endif

#include "os/os.h"

#define WAIT_MAX 32
/* Of those tried, a part that is worth the rest. */
#define WORTH 4

typedef uint64_t word_t __attribute__((may_alias));

#define PAGE_WORDS (PAGE_BYTES / sizeof(word_t))
#define STEP_WORDS 8 /* one branch for 64 bytes */

/* ---- pages ---- */

bool squeeze_word(const void *page, uint64_t *word)
{
	const word_t *w = page;
	uint64_t first = w[0], other;
	unsigned i, k;

	if (w[PAGE_WORDS / 2] != first || w[PAGE_WORDS - 1] != first)
		return false;
	for (i = 0; i < PAGE_WORDS; i += STEP_WORDS) {
		for (other = 0, k = 0; k < STEP_WORDS; k++)
			other |= w[i + k] ^ first;
		if (other)
			return false;
	}
	*word = first;
	return true;
}

void squeeze_fill(void *page, uint64_t word)
{
	word_t *w = page;
	unsigned i;

	for (i = 0; i < PAGE_WORDS; i++)
		w[i] = word;
}

#ifdef HAVE_LZ4

bool squeeze_known(void)
{
	return true;
}

bool squeeze_unpack(const void *from, unsigned bytes, void *page)
{
	return LZ4_decompress_safe(from, page, (int)bytes, PAGE_BYTES) ==
	       (int)PAGE_BYTES;
}

static uint64_t state_bytes(void)
{
	return page_ceil((uint64_t)LZ4_sizeofState());
}

unsigned squeeze_pack(struct squeeze *q, const void *page)
{
	int n = LZ4_compress_fast_extState(q->state, page, q->out, PAGE_BYTES,
					   (int)q->most, 1);

	return n > 0 ? (unsigned)n : 0;
}

#else

bool squeeze_known(void)
{
	return false;
}

bool squeeze_unpack(const void *from, unsigned bytes, void *page)
{
	(void)from, (void)bytes, (void)page;
	return false;
}

static uint64_t state_bytes(void)
{
	return 0;
}

unsigned squeeze_pack(struct squeeze *q, const void *page)
{
	(void)q, (void)page;
	return 0;
}

#endif

int squeeze_init(struct squeeze *q, unsigned most)
{
	uint64_t bytes = state_bytes();
	void *memory;

	memset(q, 0, sizeof(*q));
	if (os_map_anon(bytes + PAGE_BYTES, &memory) < 0)
		return -ENOMEM;
	q->state = memory;
	q->out = (char *)memory + bytes;
	q->most = most;
	return 0;
}

void squeeze_fini(struct squeeze *q)
{
	if (q->state)
		os_unmap((haddr_t)(uintptr_t)q->state,
			 state_bytes() + PAGE_BYTES);
	q->state = NULL;
}

/* ---- blocks ---- */

static struct squeeze_block *find(struct squeeze *q, gaddr_t block)
{
	uint32_t tag = (uint32_t)(block >> BLOCK_SHIFT) + 1;
	/* Fibonacci hashing: neighbours go to different items */
	struct squeeze_block *b =
		&q->block[tag * 0x9e3779b1u >> 22 & (SQUEEZE_BLOCKS - 1)];

	if (b->tag != tag)
		*b = (struct squeeze_block){.tag = tag};
	return b;
}

bool squeeze_try(struct squeeze *q, gaddr_t block)
{
	struct squeeze_block *b = find(q, block);

	if (!b->skip)
		return true;
	b->skip--;
	return false;
}

void squeeze_learn(struct squeeze *q, gaddr_t block, unsigned tried,
		   unsigned packed)
{
	struct squeeze_block *b = find(q, block);

	if (!tried)
		return;
	if (packed >= tried / WORTH && packed) {
		b->wait = 0;
		return;
	}
	b->wait = (uint8_t)MIN(MAX(b->wait * 2, 1), WAIT_MAX);
	b->skip = b->wait;
}
