/* SPDX-License-Identifier: MIT */
/* loader.h - which programs the dynamic loader puts our object into. */
#ifndef VVM_PRELOAD_LOADER_H
#define VVM_PRELOAD_LOADER_H

#include <limits.h>
#include <stdbool.h>

/* What is wrong with a program, worst last. */
enum loader_verdict {
	LOADER_FITS,	/* or exec will say what is wrong */
	LOADER_NONE,	/* statically linked, or a loader itself */
	LOADER_FOREIGN, /* one that chokes on our object */
};

/*
 * Looks at a file, for a script at its interpreter, whose path replaces the
 * script's. *why, unless it fits: the end of a sentence that begins with the
 * path. Allocates nothing, changes no errno.
 */
enum loader_verdict loader_check(char path[PATH_MAX], const char **why);
/* As execvp(3) finds name, which has no slash; it may be any file, then. */
bool loader_search(const char *name, char path[PATH_MAX]);

#endif
