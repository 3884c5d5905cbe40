/* SPDX-License-Identifier: MIT */
/*
 * program.c - the program: can it be paged? If so, we become it.
 *
 * Without a dynamic loader nobody puts the preload object into a program, and
 * for a program with privileges of its own (set-user-ID, capabilities) the
 * loader ignores LD_PRELOAD. Both would run, unpaged, without a word: so we
 * read the file's headers and refuse. For a script they are those of its
 * interpreter. What exec itself will refuse (permissions, unknown formats) is
 * left to exec, but for 32-bit programs, which the loader would merely warn
 * about.
 */
#include "vvmrun/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/tool.h"

/* A script's interpreter may be a script, says execve(2), four times. */
enum { SCRIPTS_MAX = 5, LINE_BYTES = 256 };

/* Is it a file that exec would take? */
static bool executable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       access(path, X_OK) == 0;
}

static bool search(const char *name, char path[PATH_MAX])
{
	const char *list = getenv("PATH"), *at;

	for (at = list ? list : "/bin:/usr/bin"; at; at = strchr(at, ':')) {
		int n;

		at += *at == ':' && at != list;
		n = (int)strcspn(at, ":");
		if (snprintf(path, PATH_MAX, "%.*s/%s", n ? n : 1, n ? at : ".",
			     name) < PATH_MAX &&
		    executable(path))
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------ */
/* Headers								*/

static bool read_at(int fd, void *to, size_t bytes, uint64_t at)
{
	return pread(fd, to, bytes, (off_t)at) == (ssize_t)bytes;
}

static bool has_interpreter(int fd, const Elf64_Ehdr *header)
{
	Elf64_Phdr p;
	unsigned i;

	for (i = 0; i < header->e_phnum; i++)
		if (read_at(fd, &p, sizeof(p),
			    header->e_phoff + i * (uint64_t)sizeof(p)) &&
		    p.p_type == PT_INTERP)
			return true;
	return false;
}

/* Of the process that asks, who may be it already. */
static bool is_privileged(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st))
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

static void check_elf(int fd, const char *path)
{
	Elf64_Ehdr header;

	if (!read_at(fd, &header, sizeof(header), 0) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG))
		return; /* exec will say what is wrong with it */
	if (header.e_ident[EI_CLASS] != ELFCLASS64)
		refuse(path, "is not a 64-bit program");
	if (!has_interpreter(fd, &header))
		refuse(path, "is statically linked: the dynamic loader does "
			     "not take part in it");
	if (is_privileged(fd, path))
		refuse(path, "has privileges of its own (set-user-ID, "
			     "set-group-ID or capabilities): the dynamic "
			     "loader ignores LD_PRELOAD");
}

/* "#! /bin/sh -e": the interpreter's path. False: no script. */
static bool interpreter(int fd, char path[PATH_MAX])
{
	char line[LINE_BYTES + 1] = "";
	ssize_t n = pread(fd, line, LINE_BYTES, 0);
	char *at = line + 2;

	if (n < 3 || strncmp(line, "#!", 2))
		return false;
	at += strspn(at, " \t");
	at[strcspn(at, " \t\n")] = '\0';
	snprintf(path, PATH_MAX, "%s", at);
	return true;
}

static void check_program(const char *program)
{
	char path[PATH_MAX];
	bool script = true;
	unsigned i;
	int fd;

	snprintf(path, sizeof(path), "%s", program);
	for (i = 0; script && i < SCRIPTS_MAX; i++) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return; /* may be executed without being readable */
		script = interpreter(fd, path);
		if (!script)
			check_elf(fd, path);
		close(fd);
	}
}

void run_find_program(struct run *r)
{
	const char *name = r->argv[0];

	if (strchr(name, '/'))
		snprintf(r->path, sizeof(r->path), "%s", name);
	else if (!search(name, r->path))
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
