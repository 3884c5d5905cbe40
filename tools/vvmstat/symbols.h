/* SPDX-License-Identifier: MIT */
/*
 * symbols.h - functions and source lines of an ELF file: symbols.c.
 */
#ifndef VVM_SYMBOLS_H
#define VVM_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbols;

#define SYMBOL_BYTES 256

struct symbol {
	char function[SYMBOL_BYTES]; /* "": not known */
	uint64_t offset;	     /* in the function */
	char source[SYMBOL_BYTES];   /* file; "": not known */
	unsigned line;
};

/*
 * Takes fd over. At most so many bytes are read, now: the file may change later.
 * NULL: it has none, or this build cannot read them.
 */
struct symbols *symbols_open(int fd, const char *path, size_t bytes);
void symbols_close(struct symbols *s); /* NULL: nothing */
/* What is at this offset of the file; false and all empty: nobody knows. */
bool symbols_find(struct symbols *s, uint64_t offset, struct symbol *out);
/* Can this build read symbols? */
bool symbols_known(void);

#endif
