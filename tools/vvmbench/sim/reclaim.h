/* SPDX-License-Identifier: MIT */
/* reclaim.h - the pager's own policies, in a model of its reclaim. */
#ifndef VVM_BENCH_RECLAIM_H
#define VVM_BENCH_RECLAIM_H

#include "vvmbench/sim/replay.h"

struct policy_ops;

/* False: out of memory. */
bool sim_policy(const struct policy_ops *ops, const struct sim_setup *setup,
		struct sim_score *score);

#endif
