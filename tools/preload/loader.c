/* SPDX-License-Identifier: MIT */
/*
 * loader.c - which programs the dynamic loader puts our object into.
 *
 * Not all have a loader, and not every loader is ours: that of another C
 * library or machine cannot load the object, and ends the program or warns. So
 * we read the file's headers. For a script they are those of its interpreter.
 * What the file's loader is called must be what ours is called; it may lie
 * elsewhere (containers, other prefixes).
 *
 * vvmrun asks before it becomes the program, the object before the program
 * becomes another one: perhaps in a child of vfork(), or in a signal handler.
 * So no malloc() here, and the descriptor is a bare system call's (fd.c would
 * take it for the library's).
 */
#include "preload/loader.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A script's interpreter may be a script, says execve(2), four times. */
enum { SCRIPTS_MAX = 5, LINE_BYTES = 256 };

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* ------------------------------------------------------------------ */
/* This process								*/

/* The loader's path, as this program's file has it; NULL: there is none. */
static const char *own_loader(void)
{
	const ElfW(Phdr) *p = (const ElfW(Phdr) *)getauxval(AT_PHDR);
	unsigned long i, n = getauxval(AT_PHNUM);
	const char *path = NULL;
	uintptr_t bias = 0;

	for (i = 0; p && i < n; i++)
		if (p[i].p_type == PT_PHDR)
			bias = (uintptr_t)p - p[i].p_vaddr;
	for (i = 0; p && i < n; i++)
		if (p[i].p_type == PT_INTERP)
			path = (const char *)(bias + p[i].p_vaddr);
	return path;
}

/* Of this very code. */
static unsigned own_machine(void)
{
	const ElfW(Ehdr) *header =
		(const ElfW(Ehdr) *)getauxval(AT_SYSINFO_EHDR);

	return header ? header->e_machine : EM_NONE;
}

/* ------------------------------------------------------------------ */
/* Files								*/

static bool read_at(int fd, void *to, size_t bytes, uint64_t at)
{
	return pread(fd, to, bytes, (off_t)at) == (ssize_t)bytes;
}

/* The loader that a program asks for. False: none. */
static bool wanted_loader(int fd, const Elf64_Ehdr *header, char path[PATH_MAX])
{
	Elf64_Phdr p;
	unsigned i;
	ssize_t n;

	for (i = 0; i < header->e_phnum; i++) {
		if (!read_at(fd, &p, sizeof(p),
			     header->e_phoff + i * (uint64_t)sizeof(p)) ||
		    p.p_type != PT_INTERP)
			continue;
		n = pread(fd, path, PATH_MAX - 1, (off_t)p.p_offset);
		path[n > 0 ? n : 0] = '\0'; /* it ends in one anyway */
		return true;
	}
	return false;
}

static bool is_own_loader(int fd)
{
	const char *path = own_loader();
	struct stat file, loader;

	return path && fstat(fd, &file) == 0 && stat(path, &loader) == 0 &&
	       file.st_dev == loader.st_dev && file.st_ino == loader.st_ino;
}

static enum loader_verdict judge_dynamic(int fd, const Elf64_Ehdr *header,
					 const char *path, const char **why)
{
	const char *own = own_loader();
	char wanted[PATH_MAX];

	if (wanted_loader(fd, header, wanted)) {
		*why = "is of another C library, whose dynamic loader cannot "
		       "load libvvm";
		return !own || !strcmp(base_name(wanted), base_name(own))
			       ? LOADER_FITS
			       : LOADER_FOREIGN;
	}
	*why = "is a dynamic loader (name the program that it is to load)";
	if (is_own_loader(fd))
		return LOADER_NONE;
	if (!strncmp(base_name(path), "ld-", 3))
		return LOADER_FOREIGN;
	*why = "is statically linked: the dynamic loader does not take part "
	       "in it";
	return LOADER_NONE;
}

static enum loader_verdict judge_file(int fd, const char *path,
				      const char **why)
{
	Elf64_Ehdr header; /* in files of 32 bits the beginning is the same */

	if (!read_at(fd, &header, sizeof(header), 0) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG))
		return LOADER_FITS; /* exec will say what is wrong with it */
	*why = "is not a 64-bit program";
	if (header.e_ident[EI_CLASS] != ELFCLASS64)
		return LOADER_FOREIGN;
	*why = "is a program for another machine";
	if (own_machine() != EM_NONE && header.e_machine != own_machine())
		return LOADER_FOREIGN;
	return judge_dynamic(fd, &header, path, why);
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

/* A pipe of that name would make us wait. */
static int open_file(const char *path)
{
	struct stat st;

	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return -1;
	return (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
}

enum loader_verdict loader_check(char path[PATH_MAX], const char **why)
{
	enum loader_verdict verdict = LOADER_FITS;
	bool script = true;
	int fd, saved = errno;
	unsigned i;

	for (i = 0; script && i < SCRIPTS_MAX; i++) {
		fd = open_file(path);
		if (fd < 0)
			break; /* may be executed without being readable */
		script = interpreter(fd, path);
		if (!script)
			verdict = judge_file(fd, path, why);
		syscall(SYS_close, fd);
	}
	errno = saved;
	return verdict;
}

/* ------------------------------------------------------------------ */
/* PATH									*/

/* Is it a file that exec would take? */
static bool executable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       access(path, X_OK) == 0;
}

bool loader_search(const char *name, char path[PATH_MAX])
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
