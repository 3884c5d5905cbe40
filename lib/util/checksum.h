/* SPDX-License-Identifier: MIT */
/*
 * util/checksum.h - what is done to the bytes of a page on their way to and
 * from a slot: zero detection and the checksum (XXH3 by libxxhash). Pure; no
 * state. Compression: swap/squeeze.h.
 */
#ifndef VVM_CHECKSUM_H
#define VVM_CHECKSUM_H

#include "base.h"

/* Is every byte of the page zero? page is 8-byte aligned. */
bool page_is_zero(const void *page);
/*
 * Checksum of a page that belongs at guest address addr: the address is the
 * seed, so that a right page read into the wrong place is caught as well.
 */
uint32_t checksum_page(const void *page, gaddr_t addr);
/* The same of any bytes. */
uint32_t checksum_bytes(const void *bytes, size_t n, gaddr_t addr);

/* Two pages with the same digest are the same: space/verify.c. */
struct digest {
	uint64_t low, high;
};
struct digest digest_page(const void *page, uint64_t seed);

#endif
