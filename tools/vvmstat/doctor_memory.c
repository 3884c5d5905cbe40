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
 * walk from its own up to the root and take the smallest. In a container the
 * path of /proc/self/cgroup may be one of the host that is not mounted here;
 * the levels that cannot be read are passed over, and the root of the mount
 * is then the container's own.
 */
#define _GNU_SOURCE 1
#include "vvmstat/doctor_memory.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vvm.h>
#include "common/tool.h"

/* A limit in a file: "max" and v1's huge number are none. */
static uint64_t limit_in(const char *directory, const char *file)
{
	char path[PATH_MAX + 64];
	unsigned long long limit;
	FILE *f;
	int got;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	f = fopen(path, "re");
	if (!f)
		return UINT64_MAX;
	got = fscanf(f, "%llu", &limit);
	fclose(f);
	return got == 1 ? limit : UINT64_MAX;
}

/* The smallest limit of a cgroup and those above it. */
static uint64_t limit_above(const char *mount, const char *group,
			    const char *file)
{
	char path[PATH_MAX];
	uint64_t least = UINT64_MAX, here;
	char *slash;

	snprintf(path, sizeof(path), "%s%s", mount, group);
	for (;;) {
		here = limit_in(path, file);
		if (here < least)
			least = here;
		slash = strrchr(path, '/');
		if (!slash || strlen(path) <= strlen(mount))
			return least;
		*slash = '\0';
	}
}

/* Of version 2 ("0::/path") or 1 ("4:memory:/path"); UINT64_MAX: none. */
static uint64_t cgroup_limit(void)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	uint64_t least = UINT64_MAX, here;
	char line[PATH_MAX];

	while (f && fgets(line, sizeof(line), f)) {
		char *group = strchr(line, '/');

		if (!group)
			continue;
		group[strcspn(group, "\n")] = '\0';
		if (!strncmp(line, "0::", 3))
			here = limit_above("/sys/fs/cgroup", group,
					   "memory.max");
		else if (strstr(line, ":memory:"))
			here = limit_above("/sys/fs/cgroup/memory", group,
					   "memory.limit_in_bytes");
		else
			continue;
		if (here < least)
			least = here;
	}
	if (f)
		fclose(f);
	return least;
}

static uint64_t available_bytes(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return (uint64_t)kib << 10;
}

void doctor_memory(struct doctor *d)
{
	struct vvm_options options;
	uint64_t limit = cgroup_limit(), available = available_bytes();
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
