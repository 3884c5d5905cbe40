/* SPDX-License-Identifier: MIT */
/*
 * doctor_memory.c - does the budget fit into the RAM that there is?
 *
 * The budget is RAM that the pages will occupy, and it counts against the
 * memory cgroup of the process, which in a container is often far smaller
 * than the machine. A budget above that limit does not fail at vvm_open() but
 * later, by the OOM killer, and nothing then points at the reason.
 */
#define _GNU_SOURCE 1
#include "vvmstat/doctor_memory.h"

#include <stdint.h>
#include <vvm.h>
#include "common/line.h"
#include "common/tool.h"
#include "os/memcg.h"

/* The library's own memory, nearly all: lib/MEASURED.md, "Memory". */
#define BESIDE_BYTES ((uint64_t)16 << 20)

/* UINT64_MAX: none. */
static uint64_t cgroup_limit(void)
{
	struct memcg m;

	return memcg_find(&m, MEMCG_ROOT, MEMCG_SELF) ? memcg_limit(&m)
						      : UINT64_MAX;
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
	if (limit < options.resident_bytes + BESIDE_BYTES)
		doctor_report(d, DOCTOR_WARN, "budget",
			      "VVM_RESIDENT=50%, which is of that limit, or a "
			      "larger limit",
			      "%s and 16 MiB beside it, but the memory cgroup "
			      "allows %s: the OOM killer will end it",
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
