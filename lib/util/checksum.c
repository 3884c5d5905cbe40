/* SPDX-License-Identifier: MIT */
/*
 * util/checksum.c - what is done to the bytes of a page on the way to its slot.
 *
 * Two questions are asked about every page that leaves. "Is it all zero?":
 * then it needs no slot and no I/O, ever. And "what is its checksum?": a
 * disk, a file system or a bug of ours may hand back other bytes than were
 * written, and paging must not turn that into silently wrong data.
 *
 * Zero detection. Most pages are not zero, and most of those say so in one
 * of a few words: the first, the middle one and the last are looked at
 * before the rest (arrays and stacks often begin with zeros). That takes
 * 1.4 ns; only pages that pass are read through, in vectors, which takes 40.
 *
 * Checksum. XXH3 with the guest address as its seed, so that a right page in
 * a wrong place is caught as well; 225 ns a page, with a seed or without.
 * 32 bits miss one corruption in 4 billion, on top of what the disk's own
 * check misses, and cost 4 bytes of RAM for each slot. CRC32C was rejected:
 * no faster without assembler of our own, and weaker.
 */
#include "util/checksum.h"

#include <xxhash.h>

/* 8-byte aligned memory of whatever type. */
typedef uint64_t word __attribute__((may_alias));
typedef uint64_t vec __attribute__((vector_size(16), aligned(8), may_alias));

#define PAGE_WORDS (PAGE_BYTES / sizeof(word))
#define PAGE_VECS  (PAGE_BYTES / sizeof(vec))
#define STEP_VECS  8 /* one branch for 128 bytes */

static bool step_is_zero(const vec *v)
{
	vec any = v[0] | v[1] | v[2] | v[3] | v[4] | v[5] | v[6] | v[7];

	return (any[0] | any[1]) == 0;
}

bool page_is_zero(const void *page)
{
	const word *w = page;
	const vec *v = page;
	size_t i;

	if (w[0] | w[PAGE_WORDS / 2] | w[PAGE_WORDS - 1])
		return false;
	for (i = 0; i < PAGE_VECS; i += STEP_VECS)
		if (!step_is_zero(v + i))
			return false;
	return true;
}

uint32_t checksum_bytes(const void *bytes, size_t n, gaddr_t addr)
{
	return (uint32_t)XXH3_64bits_withSeed(bytes, n, addr);
}

uint32_t checksum_page(const void *page, gaddr_t addr)
{
	return checksum_bytes(page, PAGE_BYTES, addr);
}

struct digest digest_page(const void *page, uint64_t seed)
{
	XXH128_hash_t h = XXH3_128bits_withSeed(page, PAGE_BYTES, seed);

	return (struct digest){.low = h.low64, .high = h.high64};
}
