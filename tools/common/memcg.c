/* SPDX-License-Identifier: MIT */
/*
 * memcg.c - the memory cgroup that this process is in.
 *
 * Version 1 has a hierarchy of its own for memory; version 2 one for all
 * controllers. A machine may have both mounted, but the memory controller is
 * in one of them. They are where everybody mounts them, as cgroups(7) has it.
 *
 * In a container the path in /proc/self/cgroup may be one of the host that is
 * not mounted here; then the top of what is mounted is the container's own.
 */
#include "common/memcg.h"

#include "common/line.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

bool memcg_lists(const char *group, const char *file)
{
	char path[PATH_MAX + 32], line[256];

	snprintf(path, sizeof(path), "%s/%s", group, file);
	return line_read(path, line, sizeof(line)) == 0 &&
	       has_word(line, "memory");
}

/* "4:cpu,memory:/path", "0::/path" (version 2): our path; "" if it is not
 * there. */
static void own_path(const char *self, int version, char path[PATH_MAX])
{
	char line[PATH_MAX + 128];
	FILE *f = fopen(self, "re");

	*path = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		char *list = strchr(line, ':');
		char *at = list ? strchr(list + 1, ':') : NULL;

		if (!at)
			continue;
		*at++ = '\0';
		at[strcspn(at, "\n")] = '\0';
		if (version == 1 ? has_word(list + 1, "memory") : !list[1])
			snprintf(path, PATH_MAX, "%s", at);
	}
	if (f)
		fclose(f);
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool memcg_find(struct memcg *m, const char *root, const char *self)
{
	char own[PATH_MAX];
	int n;

	m->version = memcg_lists(root, "cgroup.controllers") ? 2 : 1;
	snprintf(m->top, sizeof(m->top), "%s%s", root,
		 m->version == 1 ? "/memory" : "");
	if (m->version == 1 && !is_directory(m->top))
		return false;
	own_path(self, m->version, own);
	n = snprintf(m->path, sizeof(m->path), "%s%s", m->top,
		     strcmp(own, "/") ? own : "");
	if (n >= (int)sizeof(m->path) || !strncmp(own, "/..", 3) ||
	    !is_directory(m->path))
		strcpy(m->path, m->top);
	return true;
}
