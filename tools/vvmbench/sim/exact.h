/* SPDX-License-Identifier: MIT */
/* exact.h - exact algorithms, for comparison. */
#ifndef VVM_BENCH_EXACT_H
#define VVM_BENCH_EXACT_H

#include "vvmbench/sim/replay.h"

/* Each returns false when out of memory. */
bool sim_clock(const struct sim_setup *setup, struct sim_score *score);
bool sim_lru(const struct sim_setup *setup, struct sim_score *score);
/* Belady: evicts what is needed last; no pager can do better. */
bool sim_opt(const struct sim_setup *setup, struct sim_score *score);

#endif
