/* SPDX-License-Identifier: MIT */
/*
 * doctor_process.c - do the processes that use libvvm now get on?
 *
 * The library itself says what faults wait for that have not got on for some
 * seconds (lib/space/life.c); here is what to do about it.
 */
#include "vvmstat/doctor_process.h"

#include <stdlib.h>
#include "common/target.h"

static const char *remedy(uint64_t kind)
{
	switch (kind) {
	case VVM_STAT_STALL_frame:
		return "more swap (VVM_SWAP_LIMIT, room on its file system), "
		       "or less pinned memory";
	case VVM_STAT_STALL_read:
	case VVM_STAT_STALL_write:
	case VVM_STAT_STALL_swap:
		return "see whether the disk of the swap answers: iostat, dmesg";
	case VVM_STAT_STALL_died:
		return "restart it; a seccomp filter must let libvvm's threads "
		       "work";
	default:
		return "see where it waits: gdb -p, /proc/PID/task/TID/stack";
	}
}

/* Reports it if it stalls; false: it does not. */
static bool report(struct doctor *d, const struct target *t,
		   const struct sample *now)
{
	char text[SAMPLE_STALL_BYTES];

	if (!now->stall.kind)
		return false;
	doctor_report(d, DOCTOR_WARN, "processes", remedy(now->stall.kind),
		      "%d %s: stalled %.0f s: %s", t->pid, t->command,
		      sample_stalled_s(now), sample_stall_text(now, text));
	return true;
}

void doctor_processes(struct doctor *d, const char *dir)
{
	char reason[SEGMENT_REASON_BYTES];
	int *pids, i, n = target_list(dir, &pids);
	unsigned seen = 0, stalled = 0;
	struct sample now;
	struct target t;

	for (i = 0; i < n; i++) {
		if (target_open(&t, dir, pids[i], reason))
			continue;
		target_sample(&t, &now);
		seen++;
		stalled += report(d, &t, &now);
		target_close(&t);
	}
	free(pids);
	if (!stalled)
		doctor_report(d, DOCTOR_OK, "processes", NULL,
			      "%u that can be seen, none stalls", seen);
}
