/* SPDX-License-Identifier: MIT */
/*
 * module.h - what code of a process is where: module.c.
 */
#ifndef VVM_MODULE_H
#define VVM_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct symbols;

/* A file that code of the process comes from. */
struct module {
	struct module *next;
	char *path; /* as the process sees it; printable */
	uint64_t inode;
	struct symbols *symbols; /* NULL: none to be had */
};

/* Where an address of code is. */
struct place {
	bool known;
	struct module *module; /* NULL: no file */
	uint64_t offset;       /* in the file */
	const char *kind;      /* without a file: "[anon]", "[vdso]", "[?]" */
};

struct module_range {
	uint64_t start, end, offset, inode;
	char *path; /* "": none */
};

struct modules {
	int pid;
	struct module_range *range; /* of the last good look, ascending */
	size_t ranges;
	struct module *files;
	size_t read; /* bytes of files */
	bool denied; /* the process may not be looked into */
};

void modules_init(struct modules *m, int pid);
void modules_fini(struct modules *m);
/*
 * Takes over text in the form of /proc/PID/maps. False, and all stays as it was:
 * there is no code in it, or no memory.
 */
bool modules_parse(struct modules *m, const char *text);
/* Reads /proc/PID/maps. The text, the caller's; NULL: it could not be read. */
char *modules_text(struct modules *m);
/* Where ip is; ->known stays false if nothing is there (yet). */
void module_resolve(struct modules *m, uint64_t ip, struct place *place);

#endif
