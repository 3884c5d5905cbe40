/* SPDX-License-Identifier: MIT */
/* space.h - a vvm space for a sub-command, and its statistics. */
#ifndef VVM_BENCH_SPACE_H
#define VVM_BENCH_SPACE_H

#include "common/json.h"
#include "common/tool.h"

#include <vvm.h>

/* Words of --faults, in the order of enum vvm_faults; ends with NULL. */
extern const char *const bench_fault_words[];

/*
 * The defaults and what the environment says. Exits TOOL_USAGE when a VVM_*
 * variable holds nonsense.
 */
void bench_space_options(struct vvm_options *options);
/*
 * Opens a space. When that fails, says why and what can be done about it and
 * exits TOOL_FAILED. An access that libvvm has to fail (lost page, no frame)
 * ends the process with TOOL_FAILED and a message instead of a bare SIGBUS.
 */
struct vvm *bench_space_open(const struct vvm_options *options);
/* Maps a readable and writable region of len bytes, or exits TOOL_FAILED. */
char *bench_space_map(struct vvm *vm, uint64_t len, const char *name);
/* vvm_advise() on memory of a region; a failure is reported, not fatal. */
void bench_space_advise(struct vvm *vm, const void *start, uint64_t len,
			enum vvm_advice advice);
/* vvm_stats(), which cannot fail here. */
void bench_space_stats(struct vvm *vm, struct vvm_stats *stats);
/* Every counter and value of vvm_stat.h by its name. */
void bench_space_json(struct tool_json *j, const struct vvm_stats *stats);
#endif
