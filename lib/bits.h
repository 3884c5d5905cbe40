/* SPDX-License-Identifier: MIT */
/*
 * bits.h - sets of small numbers: number i is bit i % 64 of word i / 64.
 */
#ifndef VVM_BITS_H
#define VVM_BITS_H

#include "base.h"

#define BITS_PER_WORD 64u
/* Words of a set of the numbers below n; a constant where n is one. */
#define BITS_WORDS(n) (((n) + BITS_PER_WORD - 1) / BITS_PER_WORD)

static inline bool bit_get(const uint64_t *bits, uint64_t i)
{
	return bits[i / BITS_PER_WORD] >> (i % BITS_PER_WORD) & 1;
}

static inline void bit_set(uint64_t *bits, uint64_t i)
{
	bits[i / BITS_PER_WORD] |= (uint64_t)1 << (i % BITS_PER_WORD);
}

static inline void bit_clear(uint64_t *bits, uint64_t i)
{
	bits[i / BITS_PER_WORD] &= ~((uint64_t)1 << (i % BITS_PER_WORD));
}

#endif
