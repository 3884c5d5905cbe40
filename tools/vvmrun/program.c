/* SPDX-License-Identifier: MIT */
/*
 * program.c - the program: can it be paged? If so, we become it.
 *
 * Without a dynamic loader nobody puts the preload object into a program, that
 * of another C library cannot (preload/loader.c), and for a program with
 * privileges of its own (set-user-ID, capabilities) the loader ignores
 * LD_PRELOAD. They would run unpaged, or not, without a clear word: so we
 * refuse. What exec itself will refuse (permissions, unknown formats) is left
 * to exec.
 */
#include "vvmrun/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/tool.h"
#include "preload/loader.h"

/* Of the process that asks, who may be it already. */
static bool is_privileged(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return false;
	return (st.st_mode & S_ISUID && st.st_uid != geteuid()) ||
	       (st.st_mode & S_ISGID && st.st_mode & S_IXGRP &&
		st.st_gid != getegid()) ||
	       (geteuid() != 0 &&
		getxattr(path, "security.capability", NULL, 0) > 0);
}

_Noreturn static void refuse(const char *path, const char *why)
{
	tool_die(RUN_NOT_RUN, "%s %s, so its memory cannot be paged", path,
		 why);
}

static void check_program(const char *program)
{
	char path[PATH_MAX];
	const char *why;

	snprintf(path, sizeof(path), "%s", program);
	if (loader_check(path, &why) != LOADER_FITS)
		refuse(path, why);
	if (is_privileged(path))
		refuse(path, "has privileges of its own (set-user-ID, "
			     "set-group-ID or capabilities): the dynamic "
			     "loader ignores LD_PRELOAD");
}

void run_find_program(struct run *r)
{
	const char *name = r->argv[0];

	if (strchr(name, '/'))
		snprintf(r->path, sizeof(r->path), "%s", name);
	else if (!loader_search(name, r->path))
		tool_die(RUN_NOT_FOUND, "%s: command not found", name);
	if (access(r->path, F_OK))
		tool_die(errno == ENOENT || errno == ENOTDIR ? RUN_NOT_FOUND
							     : RUN_NOT_RUN,
			 "%s: %s", name, strerror(errno));
	check_program(r->path);
}

/* ------------------------------------------------------------------ */

static void set_wishes(const struct run *r)
{
	struct wishes wishes = r->wishes;
	char text[WISHES_BYTES];

	wishes.pid = getpid();
	wishes_format(&wishes, text);
	if (setenv(WISHES_VARIABLE, text, 1))
		tool_die(RUN_FAILED, "out of memory");
}

_Noreturn void run_exec(const struct run *r)
{
	set_wishes(r);
	execvp(r->path, r->argv); /* a file without "#!" is a shell's */
	tool_die(errno == ENOENT ? RUN_NOT_FOUND : RUN_NOT_RUN, "%s: %s",
		 r->path, strerror(errno));
}
