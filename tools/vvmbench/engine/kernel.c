/* SPDX-License-Identifier: MIT */
/*
 * kernel.c - counters of the engines that the kernel itself pages.
 *
 * A miss is a major fault, one that waited for a read. A minor fault found its
 * page in the swap cache or page cache, which is a hit for a program that asks
 * whether it has to wait for the disk; minor faults are told apart. Bytes read
 * are those of the process.
 */
#include "vvmbench/engine/kernel.h"

#include "common/line.h"
#include "vvmbench/machine/cgroup.h"

#include <sys/resource.h>

void kernel_counts(const struct engine *e, struct engine_counts *c)
{
	const struct cgroup *group = e->plan->group;
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	c->faults = c->misses = (uint64_t)u.ru_majflt;
	c->minor_faults = (uint64_t)u.ru_minflt;
	c->read_bytes = line_value("/proc/self/io", "read_bytes");
	c->resident_peak_bytes =
		group ? cgroup_peak_bytes(group) : (uint64_t)u.ru_maxrss * 1024;
}
