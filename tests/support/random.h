/* SPDX-License-Identifier: MIT */
/*
 * support/random.h - random numbers from a seed (splitmix64), and pages that
 * tell by each of their words whose they are.
 */
#ifndef VVM_RANDOM_H
#define VVM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

uint64_t live_mix(uint64_t x);
uint64_t live_random(uint64_t *state);
uint64_t live_below(uint64_t *state, uint64_t n);
/* Never 0, and different for each (key, version): what a page is stamped. */
uint64_t live_stamp(uint64_t key, uint64_t version);

/* Fills and verifies a whole page; -1 or the first wrong word. */
void live_fill(void *page, uint64_t key, uint64_t version);

int live_verify(const void *page, uint64_t key, uint64_t version);
bool live_is_zero(const void *page);

#endif
