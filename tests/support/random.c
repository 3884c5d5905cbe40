/* SPDX-License-Identifier: MIT */
#include "support/random.h"

#include <vvm.h>

uint64_t live_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

uint64_t live_random(uint64_t *state)
{
	return live_mix(*state += 0x9e3779b97f4a7c15ull);
}

uint64_t live_below(uint64_t *state, uint64_t n)
{
	return live_random(state) % n;
}

uint64_t live_stamp(uint64_t key, uint64_t version)
{
	return live_mix(key * 0x100000001b3ull + version + 1) | 1;
}

void live_fill(void *page, uint64_t key, uint64_t version)
{
	volatile uint64_t *w = page;

	for (unsigned i = 0; i < VVM_PAGE_SIZE / 8; i++)
		w[i] = live_stamp(key * 512 + i, version);
}

int live_verify(const void *page, uint64_t key, uint64_t version)
{
	const volatile uint64_t *w = page;

	for (unsigned i = 0; i < VVM_PAGE_SIZE / 8; i++)
		if (w[i] != live_stamp(key * 512 + i, version))
			return (int)i;
	return -1;
}

bool live_is_zero(const void *page)
{
	const volatile uint64_t *w = page;

	for (unsigned i = 0; i < VVM_PAGE_SIZE / 8; i++)
		if (w[i])
			return false;
	return true;
}
