/* SPDX-License-Identifier: MIT */
/*
 * restrict.c - a program that gives up what the library will need.
 *
 * What that is the library has by then, but in a child made by fork(), whose
 * space is dormant until it is used (lib/fork/child.c): there it opens swap and
 * starts threads at the first use. So that is brought about before another
 * root directory, or a limit on threads. For others it need not be: most
 * children that change their user become another program at once.
 *
 *	setuid(2)	a descriptor of /dev/userfaultfd from the start: fd.c
 *	setrlimit(2)	limits.c
 *	seccomp(2)	gate.c
 *
 * A list of groups is set in all threads: libc has each make the call, in the
 * handler of a signal, the library's own, too, which would wait for themselves if
 * a page of it was absent. So the list is not paged.
 */
#include "preload/restrict.h"

#include "preload/libc.h"
#include "preload/part.h"
#include "preload/state.h"
#include "preload/thread.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

void before_restriction(void)
{
	struct vvm_region any;
	int saved = errno;

	if (!preload.vm || !preload.paging || getpid() != preload.pid)
		return;
	preload_enter();
	vvm_query(preload.vm, 0, &any); /* rouses it */
	preload_leave();
	preload_threads_keep();
	errno = saved;
}

int chroot(const char *path)
{
	static int (*real)(const char *);

	if (!real)
		real = (int (*)(const char *))libc_function("chroot");
	before_restriction();
	return real(path);
}

int setgroups(size_t count, const gid_t *list)
{
	size_t bytes = count * sizeof(*list);
	gid_t *copy = NULL;
	int rc, saved;

	if (count <= NGROUPS_MAX && is_paged(list, bytes) &&
	    readable(list, bytes)) {
		copy = libc_malloc(bytes);
		if (!copy)
			return -1;
		list = memcpy(copy, list, bytes);
	}
	rc = LIBC(setgroups)(count, list);
	saved = errno;
	libc_free(copy);
	errno = saved;
	return rc;
}

/* It allocates the list. */
int initgroups(const char *user, gid_t group)
{
	int rc;

	preload_enter();
	rc = LIBC(initgroups)(user, group);
	preload_leave();
	return rc;
}
