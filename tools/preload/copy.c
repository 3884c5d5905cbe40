/* SPDX-License-Identifier: MIT */
/*
 * copy.c - what another program is started with, in memory that is not paged.
 *
 * System calls cannot bring pages in where the library sees to them itself
 * (vvm_syscall(3)): it sees the call's arguments, not the strings behind an
 * array that is elsewhere. And libc starts programs (posix_spawn(3)) in a child
 * that has no handlers and blocks all signals: there it does not see them at
 * all. So what is paged is copied before, and nothing if nothing is.
 */
#include "preload/copy.h"

#include "preload/part.h"

#include <string.h>

static bool string_is_paged(const char *text)
{
	return text && is_paged(text, 1);
}

/* ---- what can be read ---- */

/* Up to its end; *page: the last one that can be, of this text or another. */
static bool text_readable(const char *text, uint64_t *page)
{
	for (;;) {
		uint64_t next = ((uint64_t)text & -PAGE) + PAGE;

		if (next != *page && !readable(text, 1))
			return false;
		*page = next;
		if (memchr(text, '\0', next - (uint64_t)text))
			return true;
		text = (const char *)next;
	}
}

/* An entry on each page of the list, then what it leads to, if anybody looks. */
static bool list_readable(char *const *list, bool all, uint64_t *page)
{
	for (; list; list++) {
		uint64_t next = ((uint64_t)list & -PAGE) + PAGE;

		if (next != *page && !readable(list, sizeof(*list)))
			return false;
		*page = next;
		if (!*list)
			break;
		if ((all || string_is_paged(*list)) &&
		    !text_readable(*list, page))
			return false;
	}
	return true;
}

bool start_readable(const struct start *start)
{
	uint64_t page = 1; /* none begins there */

	return text_readable(start->path, &page) &&
	       list_readable(start->argv, false, &page) &&
	       list_readable(start->env, true, &page);
}

/* ---- copies ---- */

/* All lists end with NULL. */
static size_t list_bytes(char *const *list)
{
	size_t bytes = 0, n;
	bool any;

	if (!list)
		return 0;
	any = is_paged(list, 1);
	for (n = 0; list[n]; n++)
		if (string_is_paged(list[n])) {
			bytes += strlen(list[n]) + 1;
			any = true;
		}
	return any ? bytes + (n + 1) * sizeof(*list) : 0;
}

static size_t string_bytes(const char *text)
{
	return string_is_paged(text) ? strlen(text) + 1 : 0;
}

size_t copy_bytes(const struct start *start)
{
	return list_bytes(start->argv) + list_bytes(start->env) +
	       string_bytes(start->path);
}

/* Lists first, for the sake of alignment. */
static char **take_list(char **room, char *const *list)
{
	char **copy = *(char ***)room;
	size_t n;

	for (n = 0; list[n]; n++)
		copy[n] = list[n];
	copy[n] = NULL;
	*room = (char *)(copy + n + 1);
	return copy;
}

static char *take_string(char **room, const char *text)
{
	size_t bytes = strlen(text) + 1;
	char *copy = memcpy(*room, text, bytes);

	*room += bytes;
	return copy;
}

static void take_strings(char **room, char **list)
{
	for (; list && *list; list++)
		if (string_is_paged(*list))
			*list = take_string(room, *list);
}

void copy_paged(struct start *start, void *room)
{
	char **argv = NULL, **env = NULL, *at = room;

	if (list_bytes(start->argv))
		start->argv = argv = take_list(&at, start->argv);
	if (list_bytes(start->env))
		start->env = env = take_list(&at, start->env);
	take_strings(&at, argv);
	take_strings(&at, env);
	if (string_is_paged(start->path))
		start->path = take_string(&at, start->path);
}
