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

static const char *const file_name[2][MEMCG_FILES] = {
	{[MEMCG_LIMIT] = "memory.limit_in_bytes",
	 [MEMCG_USED] = "memory.usage_in_bytes",
	 [MEMCG_STAT] = "memory.stat"},
	{[MEMCG_LIMIT] = "memory.max",
	 [MEMCG_HIGH] = "memory.high",
	 [MEMCG_USED] = "memory.current",
	 [MEMCG_STAT] = "memory.stat"},
};

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

char *memcg_text(int fd, char text[MEMCG_TEXT])
{
	size_t used = 0;
	ssize_t n = fd < 0 ? 0 : 1;

	memset(text, 0, MEMCG_TEXT);
	while (n > 0 && used < MEMCG_TEXT - 1) {
		n = pread(fd, text + used, MEMCG_TEXT - 1 - used, (off_t)used);
		used += n > 0 ? (size_t)n : 0;
	}
	return text;
}

/* The beginning of a file; "" if it cannot be read. */
static char *read_text(const char *path, char text[MEMCG_TEXT])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	memcg_text(fd, text);
	if (fd >= 0)
		close(fd);
	return text;
}

/* The same of a file of a group. */
static char *read_file(const char *group, const char *file,
		       char text[MEMCG_TEXT])
{
	char path[MEMCG_PATH + 32];

	format_text(path, sizeof(path), "%s/%s", group, file);
	return read_text(path, text);
}

bool memcg_lists(const char *group, const char *file)
{
	char text[MEMCG_TEXT];

	return has_word(read_file(group, file, text), "memory");
}

/* "4:cpu,memory:/path", "0::/path" (version 2): our path; "" if it is not
 * there. */
static void own_path(const char *self, int version, char path[MEMCG_PATH])
{
	char text[MEMCG_TEXT], *line, *rest = NULL;

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
static uint64_t limit_in(const char *text)
{
	return isdigit((unsigned char)*text) ? strtoull(text, NULL, 10)
					     : UINT64_MAX;
}

static uint64_t limit_in_file(const char *group, const char *file)
{
	char text[MEMCG_TEXT];

	return limit_in(read_file(group, file, text));
}

/* Of version 1, by memory.stat: that of all levels. */
static uint64_t limit_above(const char *text)
{
	return memcg_number(text, "hierarchical_memory_limit");
}

static uint64_t limit_of(int version, const char *group)
{
	char text[MEMCG_TEXT];
	uint64_t one = limit_in_file(group,
				     file_name[version == 2][MEMCG_LIMIT]),
		 other = version == 1 ? limit_above(read_file(
						group, "memory.stat", text))
				      : limit_in_file(group, "memory.high");

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

uint64_t memcg_number(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (; text; text = strchr(text, '\n')) {
		text += *text == '\n';
		if (!strncmp(text, name, n) && strchr(": ", text[n])) {
			text += n;
			text += strspn(text, ": ");
			return limit_in(text);
		}
	}
	return UINT64_MAX;
}

uint64_t memcg_stall_us(const char *text)
{
	const char *end = text + strcspn(text, "\n"),
		   *at = strncmp(text, "some ", 5) ? NULL
						   : strstr(text, " total=");

	return at && at < end ? limit_in(at + 7) : UINT64_MAX;
}

static int open_file(const char *group, const char *file)
{
	char path[MEMCG_PATH + 32];

	format_text(path, sizeof(path), "%s/%s", group, file);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Version 1's "none" is a number, too. */
static bool is_limit(uint64_t bytes)
{
	return bytes <= INT64_MAX / 2;
}

static void open_level(struct memcg_level *l, int version, const char *group)
{
	for (unsigned i = 0; i < MEMCG_FILES; i++) {
		const char *name = file_name[version == 2][i];

		l->fd[i] = name ? open_file(group, name) : -1;
	}
}

void memcg_open(const struct memcg *m, struct memcg_files *f)
{
	char path[MEMCG_PATH];

	f->version = m->version;
	f->pressure = open_file(m->path, "memory.pressure");
	strcpy(path, m->path);
	for (f->levels = 0; f->levels < MEMCG_LEVELS;) {
		if (!f->levels || is_limit(limit_of(m->version, path)))
			open_level(&f->level[f->levels++], m->version, path);
		if (strlen(path) <= strlen(m->top))
			return;
		*strrchr(path, '/') = '\0';
	}
}

static void close_file(int fd)
{
	if (fd >= 0)
		close(fd);
}

void memcg_close(struct memcg_files *f)
{
	for (; f->levels; f->levels--)
		for (unsigned i = 0; i < MEMCG_FILES; i++)
			close_file(f->level[f->levels - 1].fd[i]);
	close_file(f->pressure);
	f->pressure = -1;
}

/*
 * Page cache of a group that the kernel takes back without a wait, about: all
 * that is inactive, and half of the rest. The frames are no part of it: memfds
 * are on the lists of anonymous memory.
 */
static uint64_t cache_of(int version, const char *text)
{
	const char *all = version == 1 ? "total_" : "";
	uint64_t active, inactive;
	char name[32];

	format_text(name, sizeof(name), "%sinactive_file", all);
	inactive = memcg_number(text, name);
	format_text(name, sizeof(name), "%sactive_file", all);
	active = memcg_number(text, name);
	if (inactive > INT64_MAX || active > INT64_MAX)
		return 0;
	return inactive + active / 2;
}

/* One level; what it has left if that is less than *room says. */
static void look_at_level(int version, const struct memcg_level *l,
			  struct memcg_room *room)
{
	char stat[MEMCG_TEXT], text[MEMCG_TEXT];
	uint64_t limit = limit_in(memcg_text(l->fd[MEMCG_LIMIT], text)), other,
		 used, left;

	memcg_text(l->fd[MEMCG_STAT], stat);
	other = version == 1 ? limit_above(stat)
			     : limit_in(memcg_text(l->fd[MEMCG_HIGH], text));
	limit = MIN(limit, other);
	used = limit_in(memcg_text(l->fd[MEMCG_USED], text));
	if (!is_limit(limit) || used == UINT64_MAX)
		return;
	used -= MIN(cache_of(version, stat), used);
	left = limit - MIN(used, limit);
	if (left < room->free_bytes) {
		room->free_bytes = left;
		room->limit_bytes = limit;
	}
}

void memcg_room(const struct memcg_files *f, struct memcg_room *room)
{
	char text[MEMCG_TEXT];

	room->limit_bytes = room->free_bytes = UINT64_MAX;
	room->stall_us = memcg_stall_us(memcg_text(f->pressure, text));
	for (unsigned i = 0; i < f->levels; i++)
		look_at_level(f->version, &f->level[i], room);
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
