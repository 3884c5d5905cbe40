/* SPDX-License-Identifier: MIT */
/*
 * cgroup.c - memory cgroups, of either version.
 *
 * Version 1 has a hierarchy of its own for memory; version 2 one for all
 * controllers. A machine may have both mounted, but the memory controller is
 * in one of them, which is the one to use: /proc/self/mountinfo says.
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

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
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

/* Is a word in a list with commas (or, for files of version 2, blanks)? */
static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	while (*list) {
		size_t len = strcspn(list, ", \n");

		if (len == n && !strncmp(list, word, n))
			return true;
		list += len;
		list += strspn(list, ", \n");
	}
	return false;
}

static bool gives_memory(const char *path, const char *file)
{
	char name[PATH_MAX + 32], line[256];

	snprintf(name, sizeof(name), "%s/%s", path, file);
	return line_read(name, line, sizeof(line)) == 0 &&
	       has_word(line, "memory");
}

/* One line of mountinfo. */
struct mount {
	char root[PATH_MAX], path[PATH_MAX], type[32], options[512];
};

static bool parse_mount(const char *line, struct mount *m)
{
	const char *dash = strstr(line, " - ");

	return dash &&
	       sscanf(line, "%*d %*d %*s %4095s %4095s", m->root, m->path) ==
		       2 &&
	       sscanf(dash + 3, "%31s %*s %511s", m->type, m->options) == 2;
}

static int memory_version(const struct mount *m)
{
	if (!strcmp(m->type, "cgroup") && has_word(m->options, "memory"))
		return 1;
	if (!strcmp(m->type, "cgroup2") &&
	    gives_memory(m->path, "cgroup.controllers"))
		return 2;
	return 0;
}

static int find_mount(FILE *mountinfo, struct mount *found)
{
	static const size_t most = 3 * PATH_MAX;
	char *line = malloc(most);
	int version = 0;

	while (line && !version && fgets(line, (int)most, mountinfo))
		if (parse_mount(line, found))
			version = memory_version(found);
	free(line);
	return version;
}

/* The group of this process, as /proc/self/cgroup has it; "/" by default. */
static void own_group(FILE *self, int version, char path[PATH_MAX])
{
	char line[PATH_MAX + 128];

	strcpy(path, "/");
	while (fgets(line, sizeof(line), self)) {
		char *list = strchr(line, ':');
		char *at = list ? strchr(list + 1, ':') : NULL;

		if (!at)
			continue;
		*at++ = '\0';
		at[strcspn(at, "\n")] = '\0';
		if (version == 1 ? has_word(list + 1, "memory") : !list[1])
			snprintf(path, PATH_MAX, "%s", at);
	}
}

/*
 * Where in the mounted tree a group is. What lies outside of what is mounted
 * (a container that sees only its own part) is the top of the mount.
 */
static void locate(const struct mount *m, const char *group, char *path,
		   size_t size)
{
	size_t n = strcmp(m->root, "/") ? strlen(m->root) : 0;
	const char *rest = group + n;

	if (strncmp(group, m->root, n) || (*rest && *rest != '/') ||
	    !strncmp(rest, "/..", 3) || !strcmp(rest, "/"))
		rest = "";
	if (snprintf(path, size, "%s%s", m->path, rest) >= (int)size)
		snprintf(path, size, "%s", m->path);
}

/* Version 2: up to an ancestor whose children have the controller. */
static int climb(const struct mount *m, char *path)
{
	size_t top = strlen(m->path);

	while (strlen(path) > top) {
		*strrchr(path, '/') = '\0';
		if (gives_memory(path, "cgroup.subtree_control"))
			return 0;
	}
	return gives_memory(path, "cgroup.subtree_control") ? 0 : -1;
}

int cgroup_find(struct cgroup_place *place, FILE *mountinfo, FILE *self,
		struct why *why)
{
	struct mount m;
	char own[PATH_MAX];

	place->version = find_mount(mountinfo, &m);
	if (!place->version)
		return why_not(why, "no memory cgroup controller is mounted");
	own_group(self, place->version, own);
	locate(&m, own, place->path, sizeof(place->path));
	if (place->version == 2 && climb(&m, place->path)) {
		place->version = 0;
		return why_not(why, "no cgroup above this process gives its "
				    "children the memory controller");
	}
	return 0;
}

/* ------------------------------------------------------------------ */
/* A group								*/

/* "GROUP/FILE"; a name that is too long finds no file. */
static const char *file_of(const char *group, const char *file,
			   char path[PATH_MAX + 32])
{
	snprintf(path, PATH_MAX + 32, "%s/%s", group, file);
	return path;
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
	char path[PATH_MAX + 32];

	file_of(g->path, "memory.swappiness", path);
	if (g->version == 1 && !line_number(path))
		line_write(path, "60");
}

/* => a kernel that knows no such thing kills, and that is that */
static void forbid_kill(const struct cgroup *g, bool forbid)
{
	char path[PATH_MAX + 32];

	if (g->version == 1)
		line_write(file_of(g->path, oom_control, path),
			   forbid ? "1" : "0");
}

int cgroup_make(const struct cgroup *g, struct why *why)
{
	char path[PATH_MAX + 32];

	if (mkdir(g->path, 0755))
		return why_not(why, "cannot make the cgroup %.120s: %s",
			       g->path, strerror(errno));
	if (access(file_of(g->path, files[g->version].limit, path), W_OK)) {
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
	char path[PATH_MAX + 32];
	FILE *f = fopen(file_of(group, "cgroup.procs", path), "re");
	int pid;

	if (!f)
		return;
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
	char path[PATH_MAX + 32];

	return line_write(file_of(g->path, "cgroup.procs", path), "0");
}

int cgroup_fence(struct cgroup *g, uint64_t bytes, uint64_t more_bytes)
{
	char path[PATH_MAX + 32], text[24];
	uint64_t now =
		line_number(file_of(g->path, files[g->version].usage, path));

	g->allowance_bytes = now + more_bytes;
	snprintf(text, sizeof(text), "%llu",
		 (unsigned long long)(bytes + g->allowance_bytes));
	return line_write(file_of(g->path, files[g->version].limit, path),
			  text);
}

uint64_t cgroup_peak_bytes(const struct cgroup *g)
{
	char path[PATH_MAX + 32];
	uint64_t peak =
		line_number(file_of(g->path, files[g->version].peak, path));

	return peak > g->allowance_bytes ? peak - g->allowance_bytes : 0;
}

/* => the limit has been raised. 0, or -EBUSY: there is too much to swap. */
static int lower(const char *path, uint64_t bytes)
{
	char text[24];
	int error, tries = RELIEF_TRIES;

	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	while ((error = line_write(path, text)) == -EBUSY && --tries)
		usleep(RELIEF_WAIT_US);
	return error;
}

int cgroup_relieve(const struct cgroup *g)
{
	char path[PATH_MAX + 32], text[24];
	uint64_t limit;
	int error;

	if (g->version != 1 ||
	    !line_value(file_of(g->path, oom_control, path), "under_oom"))
		return 0;
	limit = line_number(file_of(g->path, files[1].limit, path));
	snprintf(text, sizeof(text), "%llu",
		 (unsigned long long)(limit + RELIEF_BYTES));
	error = line_write(path, text);
	if (!error)
		error = lower(path, limit);
	if (error)
		forbid_kill(g, false);
	return error ? error : 1;
}
