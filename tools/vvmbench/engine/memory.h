/* SPDX-License-Identifier: MIT */
/* memory.h - fill, drive and sweep of every engine that has memory. */
#ifndef VVM_BENCH_MEMORY_H
#define VVM_BENCH_MEMORY_H

#include "vvmbench/engine/work.h"

/* See struct engine_ops. => engine->base is set. */
void memory_fill(struct worker *w, uint64_t first, uint64_t end);
void memory_drive(struct worker *w);
void memory_sweep(struct worker *w, uint64_t first, uint64_t end);
unsigned memory_workers(const struct engine *e);

#endif
