/* SPDX-License-Identifier: MIT */
/*
 * symbols.c - functions and source lines, by elfutils' libdw; the only file
 * that knows it.
 *
 * Each file is a Dwfl of its own, with the file as its one module at no
 * particular address: what is looked up is an offset in the file. Who truncates a
 * file that libelf has mapped would have us die by SIGBUS. So it gets a copy that
 * nobody can change.
 *
 * Debugging information that is in a file apart is looked for in /usr/lib/debug,
 * by build id or .gnu_debuglink: not beside the file, where others may have put
 * it, and not in the network (DEBUGINFOD_URLS), which takes its time.
 *
 * Names of C++ are made readable by libstdc++, if there is one: it is opened when
 * the first such name comes.
 */
#define _GNU_SOURCE 1
#include "vvmstat/symbols.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_LIBDW

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <elfutils/libdwfl.h>
#include <gelf.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

struct symbols {
	Dwfl *dwfl;
	Dwfl_Module *module;
	Elf *elf;
	GElf_Addr bias; /* of the module's addresses to the file's */
};

bool symbols_known(void)
{
	return true;
}

/* ---- text ---- */

static char *demangle(const char *name)
{
	static char *(*real)(const char *, char *, size_t *, int *);
	static bool tried;
	void *library;
	int status;

	if (!tried) {
		tried = true;
		library = dlopen("libstdc++.so.6", RTLD_LAZY);
		if (library)
			*(void **)&real = dlsym(library, "__cxa_demangle");
	}
	return real ? real(name, NULL, NULL, &status) : NULL;
}

static void take_text(char to[SYMBOL_BYTES], const char *from)
{
	size_t i;

	for (i = 0; i + 1 < SYMBOL_BYTES && from[i]; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
	to[i] = '\0';
}

static void take_function(struct symbol *out, const char *name)
{
	char *plain = !strncmp(name, "_Z", 2) ? demangle(name) : NULL;

	take_text(out->function, plain ? plain : name);
	free(plain);
}

/* ---- lookup ---- */

static bool to_address(struct symbols *s, uint64_t offset, Dwarf_Addr *address)
{
	size_t i, n = 0;
	GElf_Phdr p;

	if (elf_getphdrnum(s->elf, &n))
		return false;
	for (i = 0; i < n; i++) {
		if (!gelf_getphdr(s->elf, (int)i, &p) || p.p_type != PT_LOAD ||
		    offset < p.p_offset || offset - p.p_offset >= p.p_filesz)
			continue;
		*address = offset - p.p_offset + p.p_vaddr + s->bias;
		return true;
	}
	return false;
}

/* Without a table of all units' addresses: clang writes none. */
static const char *line_of_unit(Dwfl_Module *module, Dwarf_Addr address,
				int *number)
{
	Dwarf_Die *unit = NULL;
	Dwarf_Line *line = NULL;
	Dwarf_Addr bias;

	while (!line && (unit = dwfl_module_nextcu(module, unit, &bias)))
		if (dwarf_haspc(unit, address - bias) == 1)
			line = dwarf_getsrc_die(unit, address - bias);
	if (!line || dwarf_lineno(line, number))
		return NULL;
	return dwarf_linesrc(line, NULL, NULL);
}

static void find_line(struct symbols *s, Dwarf_Addr address, struct symbol *out)
{
	Dwfl_Line *line = dwfl_module_getsrc(s->module, address);
	const char *file;
	int number = 0;

	file = line ? dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL)
		    : line_of_unit(s->module, address, &number);
	if (!file)
		return;
	take_text(out->source, file);
	out->line = number > 0 ? (unsigned)number : 0;
}

bool symbols_find(struct symbols *s, uint64_t offset, struct symbol *out)
{
	Dwarf_Addr address;
	const char *name;
	GElf_Off in = 0;
	GElf_Sym sym;

	*out = (struct symbol){.line = 0};
	if (!s || !to_address(s, offset, &address))
		return false;
	name = dwfl_module_addrinfo(s->module, address, &in, &sym, NULL, NULL,
				    NULL);
	if (name && name[0]) {
		take_function(out, name);
		out->offset = in;
	}
	find_line(s, address, out);
	return out->function[0] || out->source[0];
}

/* ---- files ---- */

static int find_no_elf(Dwfl_Module *module, void **user, const char *name,
		       Dwarf_Addr base, char **path, Elf **elf)
{
	(void)module;
	(void)user;
	(void)name;
	(void)base;
	(void)path;
	(void)elf;
	return -1;
}

static char debug_files[] = "/usr/lib/debug";
static char *debug_path = debug_files;

static const Dwfl_Callbacks callbacks = {
	.debuginfo_path = &debug_path,
	.find_elf = find_no_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
};

/* A copy of the first bytes of the file, which is closed. -1: it cannot be. */
static int copy_of(int fd, size_t bytes)
{
	int copy = memfd_create("symbols", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	size_t done = 0;
	ssize_t n = 1;

	if (copy < 0 && errno == EINVAL) /* before 6.3 */
		copy = memfd_create("symbols", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	while (copy >= 0 && done < bytes && n > 0) {
		n = sendfile(copy, fd, NULL, bytes - done);
		done += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	if (copy < 0 ||
	    (n >= 0 && !fcntl(copy, F_ADD_SEALS,
			      F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)))
		return copy;
	close(copy);
	return -1;
}

static bool report(struct symbols *s, int fd, const char *path)
{
	dwfl_report_begin(s->dwfl);
	/* It closes fd when it ends, unless it fails. */
	s->module = dwfl_report_elf(s->dwfl, path, path, fd, 0, true);
	if (!s->module)
		close(fd);
	if (dwfl_report_end(s->dwfl, NULL, NULL) || !s->module)
		return false;
	s->elf = dwfl_module_getelf(s->module, &s->bias);
	return s->elf != NULL;
}

struct symbols *symbols_open(int fd, const char *path, size_t bytes)
{
	struct symbols *s = calloc(1, sizeof(*s));

	unsetenv("DEBUGINFOD_URLS");
	fd = copy_of(fd, bytes);
	if (fd < 0) {
		free(s);
		return NULL;
	}
	if (s)
		s->dwfl = dwfl_begin(&callbacks);
	if (!s || !s->dwfl) {
		close(fd);
		free(s);
		return NULL;
	}
	if (report(s, fd, path))
		return s;
	symbols_close(s);
	return NULL;
}

void symbols_close(struct symbols *s)
{
	if (s)
		dwfl_end(s->dwfl);
	free(s);
}

#else /* without libdw */

bool symbols_known(void)
{
	return false;
}

struct symbols *symbols_open(int fd, const char *path, size_t bytes)
{
	(void)path;
	(void)bytes;
	close(fd);
	return NULL;
}

void symbols_close(struct symbols *s)
{
	(void)s;
}

bool symbols_find(struct symbols *s, uint64_t offset, struct symbol *out)
{
	(void)s;
	(void)offset;
	*out = (struct symbol){.line = 0};
	return false;
}

#endif
