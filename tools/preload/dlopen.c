/* SPDX-License-Identifier: MIT */
/*
 * dlopen.c - plugins.
 *
 * A plugin that is opened with RTLD_DEEPBIND looks for malloc() and free() in
 * its own libraries first, libc among them, and so gives blocks of ours, such
 * as the results of strdup(), to libc's free(): "invalid pointer". The same
 * holds for munmap(), close() and whatever else is ours to answer. So the flag
 * is not passed on: the plugin sees the program's symbols before its own, as
 * without the flag.
 *
 * The dynamic loader looks who calls dlopen() and searches the libraries' paths
 * of that object (DT_RUNPATH, $ORIGIN): the program's, not ours. Hence the call
 * of the real one must be the last thing we do, a jump, which leaves the
 * program's return address on the stack.
 */
#include "preload/state.h"
#include "preload/tail.h"

#include <dlfcn.h>

typedef void *opener(const char *, int);

static opener *next_dlopen(void)
{
	static opener *next;

	if (!next) {
		preload_enter();
		next = (opener *)dlsym(RTLD_NEXT, "dlopen");
		preload_leave();
	}
	return next;
}

JUMPS void *dlopen(const char *file, int mode)
{
	opener *next = next_dlopen();

	if (!next)
		return NULL;
	TAIL_CALL return next(file, mode & ~RTLD_DEEPBIND);
}
