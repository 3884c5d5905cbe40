/* SPDX-License-Identifier: MIT */
/* kernel.h - counters of the engines that the kernel itself pages. */
#ifndef VVM_BENCH_KERNEL_H
#define VVM_BENCH_KERNEL_H

#include "vvmbench/engine/engine.h"

/* All but written_bytes, which is not counted in one way for all. */
void kernel_counts(const struct engine *e, struct engine_counts *c);

#endif
