/* SPDX-License-Identifier: MIT */
#include "space/chunks.h"

#include <stdlib.h>

static unsigned shift_for(uint64_t bytes)
{
	unsigned shift = BLOCK_SHIFT;

	while (bytes >> shift >= CHUNKS_MAX)
		shift++;
	return shift;
}

struct chunks *chunks_new(haddr_t start, uint64_t bytes)
{
	struct chunks *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	lock_init(&c->lock, LOCK_MISC);
	c->regions = 1;
	c->start = start;
	c->bytes = bytes;
	c->shift = shift_for(bytes);
	c->count = chunks_index(c, start + bytes - 1) + 1;
	return c;
}

void chunks_use(struct chunks *c)
{
	if (c)
		c->regions++;
}

void chunks_drop(struct chunks *c)
{
	if (c && !--c->regions)
		free(c);
}

void chunks_reset(struct chunks *c)
{
	unsigned i;

	lock_init(&c->lock, LOCK_MISC);
	for (i = 0; i < ARRAY_SIZE(c->word); i++)
		atomic_store(&c->word[i], 0);
}

void chunks_set_ready(struct chunks *c, unsigned i)
{
	atomic_fetch_or(&c->word[i / 64], (uint64_t)1 << i % 64);
}
