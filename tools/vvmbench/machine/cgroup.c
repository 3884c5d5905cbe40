/* SPDX-License-Identifier: MIT */
/*
 * cgroup.c - memory cgroups, of either version.
 *
 * Where is a new group made? In version 1 below the group that this process
 * is in, so that limits on it hold for us as well. In version 2 a group with
 * processes cannot hand controllers to its children, so the new group becomes
 * a sibling: the nearest ancestor that gives its children the memory
 * controller is the place. We never switch that on for others.
 *
 * A limit that is to hold for the region alone has to make room for what
 * else the kernel charges: the process's heap and stacks, page tables, the
 * index of a file's pages. What is there when the region is still untouched is
 * measured (memory.usage_in_bytes, memory.current); the caller computes what
 * will come. The sum is the *allowance*: it is added to the limit and
 * subtracted from the peak. (The kernel charges up to 64 pages for each CPU
 * in advance, so what is measured is too large by that at most, 1 MiB on
 * four CPUs: in favour of the kernel's engines.)
 *
 * Out of memory. Where the pages of a group are all in use, as with random
 * accesses to four times the limit, the kernel's reclaim now and then finds
 * nothing in its sixteen rounds and the kernel kills the group, with most of
 * the swap file free. In version 1 a group can be made to wait instead
 * (memory.oom_control), for somebody to help: cgroup_relieve() lends it
 * RELIEF_BYTES for a moment. A group that has really used up its memory is
 * seen by the limit that cannot be restored; then the kernel may kill.
 * Version 2 has nothing of the kind. A system call that meets the limit fails
 * with ENOMEM in a group that waits: only page faults can wait.
 */
#include "vvmbench/machine/cgroup.h"

#include "common/line.h"
#include "os/memcg.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Lent to a group that is out of memory; for so long it is asked back. */
#define RELIEF_BYTES ((uint64_t)1 << 20)
enum { RELIEF_TRIES = 200, RELIEF_WAIT_US = 5000 };

/* A group that was emptied may stay busy for a moment. */
enum { REMOVE_TRIES = 500, REMOVE_WAIT_US = 10000 };

/* Names of the files, by version. */
static const struct {
	const char *limit, *usage, *peak;
} files[] = {
	{NULL, NULL, NULL},
	{"memory.limit_in_bytes", "memory.usage_in_bytes",
	 "memory.max_usage_in_bytes"},
	{"memory.max", "memory.current", "memory.peak"},
};

/* Who is out of memory: killed or waiting? Version 1 only. */
static const char oom_control[] = "memory.oom_control";

/* ------------------------------------------------------------------ */
/* Finding the place							*/

/* Version 2: up to an ancestor whose children have the controller. */
static int climb(const char *top, char *path)
{
	while (strlen(path) > strlen(top)) {
		*strrchr(path, '/') = '\0';
		if (memcg_lists(path, "cgroup.subtree_control"))
			return 0;
	}
	return memcg_lists(path, "cgroup.subtree_control") ? 0 : -1;
}

int cgroup_find(struct cgroup_place *place, const char *root, const char *self,
		struct why *why)
{
	struct memcg m;

	place->version = 0;
	if (!memcg_find(&m, root, self))
		return why_not(why, "no memory cgroup controller is mounted");
	if (m.version == 2 && climb(m.top, m.path))
		return why_not(why, "no cgroup above this process gives its "
				    "children the memory controller");
	place->version = m.version;
	strcpy(place->path, m.path);
	return 0;
}

/* ------------------------------------------------------------------ */
/* A group								*/

/* "GROUP/FILE"; a name that is too long finds no file. */
struct path {
	char text[PATH_MAX + 32];
};

static struct path file_of(const char *group, const char *file)
{
	struct path path;

	snprintf(path.text, sizeof(path.text), "%s/%s", group, file);
	return path;
}

static uint64_t get(const struct cgroup *g, const char *file)
{
	return line_number(file_of(g->path, file).text);
}

static int set(const struct cgroup *g, const char *file, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return line_write(file_of(g->path, file).text, text);
}

void cgroup_name(struct cgroup *g, const struct cgroup_place *place,
		 const char *name)
{
	int n = snprintf(g->path, sizeof(g->path), "%s/%s", place->path, name);

	g->version = n < (int)sizeof(g->path) ? place->version : 0;
	g->allowance_bytes = 0;
}

/* A new group may have been told not to swap; only version 1 can say. */
static void permit_swap(const struct cgroup *g)
{
	if (g->version == 1 && !get(g, "memory.swappiness"))
		set(g, "memory.swappiness", 60);
}

/* => a kernel that knows no such thing kills, and that is that */
static void forbid_kill(const struct cgroup *g, bool forbid)
{
	if (g->version == 1)
		set(g, oom_control, forbid);
}

int cgroup_make(const struct cgroup *g, struct why *why)
{
	if (mkdir(g->path, 0755))
		return why_not(why, "cannot make the cgroup %.120s: %s",
			       g->path, strerror(errno));
	if (access(file_of(g->path, files[g->version].limit).text, W_OK)) {
		rmdir(g->path);
		return why_not(why, "cgroups made in %.120s have no limit",
			       g->path);
	}
	permit_swap(g);
	forbid_kill(g, true);
	return 0;
}

/* Whatever is in the group was started by a vvmbench that is gone. */
static void kill_members(const char *group)
{
	FILE *f = fopen(file_of(group, "cgroup.procs").text, "re");
	int pid;

	if (!f)
		return;
	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes pids only */
	while (fscanf(f, "%d", &pid) == 1)
		if (pid > 0)
			kill(pid, SIGKILL);
	fclose(f);
}

int cgroup_remove(const char *path)
{
	unsigned i;

	for (i = 0; i < REMOVE_TRIES; i++) {
		if (rmdir(path) == 0 || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			return -errno;
		kill_members(path);
		usleep(REMOVE_WAIT_US);
	}
	return -EBUSY;
}

int cgroup_enter(const struct cgroup *g)
{
	return set(g, "cgroup.procs", 0);
}

int cgroup_fence(struct cgroup *g, uint64_t bytes, uint64_t more_bytes)
{
	g->allowance_bytes = get(g, files[g->version].usage) + more_bytes;
	return set(g, files[g->version].limit, bytes + g->allowance_bytes);
}

uint64_t cgroup_peak_bytes(const struct cgroup *g)
{
	uint64_t peak = get(g, files[g->version].peak);

	return peak > g->allowance_bytes ? peak - g->allowance_bytes : 0;
}

/* => the limit has been raised. 0, or -EBUSY: there is too much to swap. */
static int lower(const struct cgroup *g, uint64_t bytes)
{
	int error, tries = RELIEF_TRIES;

	while ((error = set(g, files[1].limit, bytes)) == -EBUSY && --tries)
		usleep(RELIEF_WAIT_US);
	return error;
}

int cgroup_relieve(const struct cgroup *g)
{
	uint64_t limit;
	int error;

	if (g->version != 1 ||
	    !line_value(file_of(g->path, oom_control).text, "under_oom"))
		return 0;
	limit = get(g, files[1].limit);
	error = set(g, files[1].limit, limit + RELIEF_BYTES);
	if (!error)
		error = lower(g, limit);
	if (error)
		forbid_kill(g, false);
	return error ? error : 1;
}
