/* SPDX-License-Identifier: MIT */
/*
 * support/engine_count.h - all counters of support/engine.h's space against
 * those named; the others must not have moved.
 */
#ifndef VVM_ENGINE_COUNT_H
#define VVM_ENGINE_COUNT_H

#include "stat/stat.h"

/* From here on counters are counted. */
void engine_remember(void);
/* By how much they moved since the last time. */
void engine_compare(const int64_t *want, int line);

#define C(name) [VVM_STAT_##name]
/* engine_expect(C(faults) = 1, C(faults_zero) = 1): these, and no others. */
#define engine_expect(...)                                                   \
	engine_compare((const int64_t[VVM_STAT_COUNTER_COUNT]){__VA_ARGS__}, \
		       __LINE__)
#define engine_expect_nothing() engine_expect([0] = 0)

#endif
