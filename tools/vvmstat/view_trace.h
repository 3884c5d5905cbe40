/* SPDX-License-Identifier: MIT */
/*
 * view_trace.h - the recent faults of a process, one on a line.
 */
#ifndef VVM_VIEW_TRACE_H
#define VVM_VIEW_TRACE_H

#include "vvmstat/trace.h"
#include "vvmstat/view.h"

/*
 * Follows t for `seconds` (0: for ever), up to `count` faults, or until
 * wake_fd is readable. Returns an exit status.
 */
int view_trace(struct view *v, struct target *t, const struct trace_filter *f,
	       double seconds, uint64_t count, int wake_fd);

#endif
