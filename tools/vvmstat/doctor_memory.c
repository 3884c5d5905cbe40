/* SPDX-License-Identifier: MIT */
/*
 * doctor_memory.c - does the budget fit into the RAM that there is?
 *
 * The budget is RAM that the pages will occupy, and it counts against the
 * memory cgroup of the process, which in a container is often far smaller
 * than the machine. A budget above that limit does not fail at vvm_open() but
 * later, by the OOM killer, and nothing then points at the reason.
 *
 * A process may be several cgroups deep, and each level may have a limit: we
 * walk from its own up to the top of what is mounted and take the smallest.
 */
#define _GNU_SOURCE 1
#include "vvmstat/doctor_memory.h"

#include <ctype.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vvm.h>
#include "common/line.h"
#include "common/memcg.h"
#include "common/tool.h"

/* A limit in a file: "max" and v1's huge number are none. */
static uint64_t limit_in(const char *directory, const char *file)
{
	char path[PATH_MAX + 64], line[32];

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	if (line_read(path, line, sizeof(line)) || !isdigit(*line))
		return UINT64_MAX;
	return strtoull(line, NULL, 10);
}

/* The smallest limit of our cgroup and those above it; UINT64_MAX: none. */
static uint64_t cgroup_limit(void)
{
	uint64_t least = UINT64_MAX, here;
	struct memcg m;

	if (!memcg_find(&m, MEMCG_ROOT, MEMCG_SELF))
		return least;
	for (;;) {
		here = limit_in(m.path, m.version == 1 ? "memory.limit_in_bytes"
						       : "memory.max");
		if (here < least)
			least = here;
		if (strlen(m.path) <= strlen(m.top))
			return least;
		*strrchr(m.path, '/') = '\0';
	}
}

void doctor_memory(struct doctor *d)
{
	struct vvm_options options;
	uint64_t limit = cgroup_limit(),
		 available = line_value("/proc/meminfo", "MemAvailable") << 10;
	char budget[8], most[8];

	if (vvm_options_init(&options))
		return; /* doctor_swap() says so */
	tool_human(budget, options.resident_bytes);
	if (limit <= options.resident_bytes)
		doctor_report(d, DOCTOR_WARN, "budget",
			      "a smaller VVM_RESIDENT, or a larger limit",
			      "%s, but the memory cgroup allows %s: the OOM "
			      "killer will end it",
			      budget, tool_human(most, limit));
	else if (available && available < options.resident_bytes)
		doctor_report(d, DOCTOR_WARN, "budget",
			      "a smaller VVM_RESIDENT",
			      "%s, but only %s of RAM are available", budget,
			      tool_human(most, available));
	else
		doctor_report(d, DOCTOR_OK, "budget", NULL,
			      "%s of %s RAM available", budget,
			      tool_human(most, limit < available ? limit
								 : available));
}
