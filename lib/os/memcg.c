/* SPDX-License-Identifier: MIT */
/*
 * os/memcg.c - the memory cgroup that this process is in, and its limit.
 *
 * Version 1 has a hierarchy of its own for memory; version 2 one for all
 * controllers. A machine may have both mounted, but the memory controller is
 * in one of them. They are where everybody mounts them, as cgroups(7) has it.
 *
 * In a container the path in /proc/self/cgroup may be one of the host that is
 * not mounted here; then the top of what is mounted is the container's own.
 *
 * A process may be several groups deep, and each level may have a limit; the
 * least one holds. Version 1 says what that is, also of levels that cannot be
 * seen from a container. Of version 2's memory.high, where the kernel begins to
 * slow the group down, the same is true as of its limit.
 *
 * It is compiled into libvvmbase, which needs nothing of the library: the
 * tools' percentages are to be the library's. No malloc, no stdio.
 */
#include "os/memcg.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"
#include "format.h"

/* Of a file: of /proc/self/cgroup all, of memory.stat what is looked for. */
enum { TEXT_BYTES = 4096 };

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

/* The beginning of a file; "" if it cannot be read. */
static char *read_text(const char *path, char text[TEXT_BYTES])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n = fd < 0 ? 0 : 1;

	while (n > 0 && used < TEXT_BYTES - 1) {
		n = read(fd, text + used, TEXT_BYTES - 1 - used);
		used += n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0)
		close(fd);
	text[used] = '\0';
	return text;
}

/* The same of a file of a group. */
static char *read_file(const char *group, const char *file,
		       char text[TEXT_BYTES])
{
	char path[MEMCG_PATH + 32];

	format_text(path, sizeof(path), "%s/%s", group, file);
	return read_text(path, text);
}

bool memcg_lists(const char *group, const char *file)
{
	char text[TEXT_BYTES];

	return has_word(read_file(group, file, text), "memory");
}

/* "4:cpu,memory:/path", "0::/path" (version 2): our path; "" if it is not
 * there. */
static void own_path(const char *self, int version, char path[MEMCG_PATH])
{
	char text[TEXT_BYTES], *line, *rest = NULL;

	*path = '\0';
	for (line = strtok_r(read_text(self, text), "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		char *list = strchr(line, ':');
		char *at = list ? strchr(list + 1, ':') : NULL;

		if (!at)
			continue;
		*at++ = '\0';
		if (version == 1 ? has_word(list + 1, "memory") : !list[1])
			format_text(path, MEMCG_PATH, "%s", at);
	}
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool memcg_find(struct memcg *m, const char *root, const char *self)
{
	char own[MEMCG_PATH];
	size_t n;

	m->version = memcg_lists(root, "cgroup.controllers") ? 2 : 1;
	format_text(m->top, sizeof(m->top), "%s%s", root,
		    m->version == 1 ? "/memory" : "");
	if (m->version == 1 && !is_directory(m->top))
		return false;
	own_path(self, m->version, own);
	n = format_text(m->path, sizeof(m->path), "%s%s", m->top,
			strcmp(own, "/") ? own : "");
	if (n >= sizeof(m->path) - 1 || !strncmp(own, "/..", 3) ||
	    !is_directory(m->path))
		strcpy(m->path, m->top);
	return true;
}

/* ------------------------------------------------------------------ */
/* Limits								*/

/* "max" is none, and so is what is not there. */
static uint64_t limit_in(const char *group, const char *file)
{
	char text[TEXT_BYTES];

	return isdigit((unsigned char)*read_file(group, file, text))
		       ? strtoull(text, NULL, 10)
		       : UINT64_MAX;
}

/* Of version 1: that of all levels. */
static uint64_t limit_above(const char *group)
{
	static const char name[] = "hierarchical_memory_limit ";
	char text[TEXT_BYTES];
	const char *at = strstr(read_file(group, "memory.stat", text), name);

	return at ? strtoull(at + strlen(name), NULL, 10) : UINT64_MAX;
}

static uint64_t limit_of(int version, const char *group)
{
	uint64_t one = limit_in(group, version == 1 ? "memory.limit_in_bytes"
						    : "memory.max"),
		 other = version == 1 ? limit_above(group)
				      : limit_in(group, "memory.high");

	return MIN(one, other);
}

uint64_t memcg_limit(const struct memcg *m)
{
	uint64_t least = UINT64_MAX;
	char path[MEMCG_PATH];

	strcpy(path, m->path);
	for (;;) {
		uint64_t here = limit_of(m->version, path);

		least = MIN(least, here);
		if (strlen(path) <= strlen(m->top))
			return least;
		*strrchr(path, '/') = '\0';
	}
}

/* ------------------------------------------------------------------ */
/* What is left								*/

/* Behind a name at the begin of a line; UINT64_MAX: it is not there. */
static uint64_t number_of(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (; text; text = strchr(text, '\n')) {
		text += *text == '\n';
		if (!strncmp(text, name, n) && strchr(": ", text[n])) {
			text += n;
			text += strspn(text, ": ");
			return isdigit((unsigned char)*text)
				       ? strtoull(text, NULL, 10)
				       : UINT64_MAX;
		}
	}
	return UINT64_MAX;
}

uint64_t memcg_field(const char *path, const char *name)
{
	char text[TEXT_BYTES];

	return number_of(read_text(path, text), name);
}

uint64_t memcg_stall_us(const char *path)
{
	char text[TEXT_BYTES], *line = read_text(path, text), *at;

	line[strcspn(line, "\n")] = '\0';
	at = strncmp(line, "some ", 5) ? NULL : strstr(line, " total=");
	return at ? strtoull(at + 7, NULL, 10) : UINT64_MAX;
}

/*
 * Page cache of a group that the kernel takes back without a wait, about: all
 * that is inactive, and half of the rest. The frames are no part of it: memfds
 * are on the lists of anonymous memory.
 */
static uint64_t cache_of(int version, const char *group)
{
	char text[TEXT_BYTES];
	const char *all = version == 1 ? "total_" : "";
	uint64_t active, inactive;
	char name[32];

	read_file(group, "memory.stat", text);
	format_text(name, sizeof(name), "%sinactive_file", all);
	inactive = number_of(text, name);
	format_text(name, sizeof(name), "%sactive_file", all);
	active = number_of(text, name);
	if (inactive > INT64_MAX || active > INT64_MAX)
		return 0;
	return inactive + active / 2;
}

/* One level; what it has left if that is less than *room says. */
static void look_at_level(int version, const char *group,
			  struct memcg_room *room)
{
	uint64_t limit = limit_of(version, group), used, left;

	if (limit > INT64_MAX / 2) /* version 1's "none" is there, too */
		return;
	used = limit_in(group, version == 1 ? "memory.usage_in_bytes"
					    : "memory.current");
	if (used == UINT64_MAX)
		return;
	used -= MIN(cache_of(version, group), used);
	left = limit - MIN(used, limit);
	if (left < room->free_bytes) {
		room->free_bytes = left;
		room->limit_bytes = limit;
	}
}

void memcg_room(const struct memcg *m, struct memcg_room *room)
{
	char path[MEMCG_PATH + 32];

	room->limit_bytes = room->free_bytes = UINT64_MAX;
	format_text(path, sizeof(path), "%s/memory.pressure", m->path);
	room->stall_us = memcg_stall_us(path);
	strcpy(path, m->path);
	for (;;) {
		look_at_level(m->version, path, room);
		if (strlen(path) <= strlen(m->top))
			return;
		*strrchr(path, '/') = '\0';
	}
}

uint64_t memcg_ram_bytes(void)
{
	uint64_t ram = (uint64_t)sysconf(_SC_PHYS_PAGES) *
		       (uint64_t)sysconf(_SC_PAGESIZE),
		 limit = UINT64_MAX;
	struct memcg m;

	if (memcg_find(&m, MEMCG_ROOT, MEMCG_SELF))
		limit = memcg_limit(&m);
	return MIN(ram, limit);
}
