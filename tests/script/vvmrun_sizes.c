/* SPDX-License-Identifier: MIT */
/*
 * script/vvmrun_sizes.c - blocks that grow from small to large, and what libc
 * allocates for its callers, where more than one allocator is about. It is built
 * by tests/script/vvmrun.sh.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int grow(void)
{
	char *p = malloc(100000);
	size_t i, n;

	memset(p, 7, 100000);
	n = malloc_usable_size(p);
	if (n < 100000 || n > 200000)
		return 1;
	p = realloc(p, 1000000);
	for (i = 0; i < 100000; i++)
		if (p[i] != 7)
			return 2;
	free(p);
	return 0;
}

int main(void)
{
	char *line = NULL;
	int i, rc = 0;

	for (i = 0; i < 20 && !rc; i++)
		rc = grow();
	if (rc)
		return rc;
	if (asprintf(&line, "%0600d", 5) != 600) /* libc's own size */
		return 3;
	if (malloc_usable_size(line) < 601 || malloc_usable_size(line) > 5000)
		return 4;
	line = realloc(line, 200000);
	if (strlen(line) != 600)
		return 5;
	free(line);
	return 0;
}
