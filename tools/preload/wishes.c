/* SPDX-License-Identifier: MIT */
/*
 * wishes.c - what vvmrun wants of the preload object, as the text of a variable
 * of the environment: items with commas between,
 *
 *	pid=N		the process that is the program
 *	follow		children get the settings, too
 *	say		how the program is paged, in a line
 *	mmap=BYTES	from what size on anonymous mappings are paged
 *	report=NAME	abstract socket to say hello to
 *
 * vvmrun formats it, the object parses it, in a process where nothing may be
 * allocated yet: no malloc() here, nor anything of common/.
 */
#include "preload/wishes.h"

#include <stdio.h>
#include <string.h>

#include "parse.h"

void wishes_format(const struct wishes *w, char text[WISHES_BYTES])
{
	char mmap[32] = "", report[WISHES_REPORT_BYTES + 16] = "";

	if (w->mmap_min)
		snprintf(mmap, sizeof(mmap), ",mmap=%llu",
			 (unsigned long long)w->mmap_min);
	if (*w->report)
		snprintf(report, sizeof(report), ",report=%s", w->report);
	snprintf(text, WISHES_BYTES, "pid=%d%s%s%s%s", (int)w->pid,
		 w->follow ? ",follow" : "", w->say ? ",say" : "", mmap,
		 report);
}

/* Does the item "name=" begin there? Its value, or NULL. */
static const char *value_of(const char *item, const char *name)
{
	size_t n = strlen(name);

	return strncmp(item, name, n) ? NULL : item + n;
}

static bool parse_pid(struct wishes *w, const char *value)
{
	uint64_t pid;

	if (parse_number(value, &pid) || pid > INT32_MAX)
		return false;
	w->pid = (pid_t)pid;
	return true;
}

static bool parse_report(struct wishes *w, const char *value)
{
	size_t length = strlen(value);

	if (length >= sizeof(w->report))
		return false;
	memcpy(w->report, value, length + 1);
	return true;
}

static bool parse_item(struct wishes *w, const char *item)
{
	const char *value;

	if ((value = value_of(item, "pid=")))
		return parse_pid(w, value);
	if ((value = value_of(item, "mmap=")))
		return parse_number(value, &w->mmap_min) == 0;
	if ((value = value_of(item, "report=")))
		return parse_report(w, value);
	if (!strcmp(item, "follow"))
		w->follow = true;
	else if (!strcmp(item, "say"))
		w->say = true;
	else
		return false;
	return true;
}

bool wishes_parse(struct wishes *w, const char *text)
{
	char items[WISHES_BYTES], *item, *rest = items;

	memset(w, 0, sizeof(*w));
	if (!text)
		return true;
	if (snprintf(items, sizeof(items), "%s", text) >= (int)sizeof(items))
		return false;
	while ((item = strsep(&rest, ",")))
		if (!parse_item(w, item))
			return false;
	return true;
}
