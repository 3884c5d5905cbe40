/* SPDX-License-Identifier: MIT */
/*
 * support/confined.c - runs a command with less rights than the tests have:
 *
 *	confined nobody|container COMMAND [ARGUMENT ...]
 *
 * nobody	as user and group 65534, in no other group, with no capability
 *		and no way to any: not in the bounding set, not by inheritance
 * container	the same, and without the system calls that are refused in a
 *		container by default: support/container.c
 *
 * As root. It exits 77 where it may not do that or where nobody cannot get at
 * the command's directory, and as env(1) where the command does not start.
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/container.h"

enum { NOBODY = 65534, SKIP = 77, FAILED = 125, NOT_RUN = 126 };

static void fail(int status, const char *what)
{
	fprintf(stderr, "confined: %s: %s\n", what, strerror(errno));
	exit(status);
}

/* Both halves of each set. */
static int capabilities_clear(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	return (int)syscall(SYS_capset, &head, none);
}

static int capabilities_left(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct now[2];

	if (syscall(SYS_capget, &head, now))
		return 1;
	return (now[0].effective | now[0].permitted | now[0].inheritable |
		now[1].effective | now[1].permitted | now[1].inheritable) != 0;
}

/* It may still be dropped where it is there already. EINVAL: there is none. */
static void drop_bounding_set(void)
{
	unsigned long cap;

	for (cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (prctl(PR_CAPBSET_READ, cap) > 0 &&
		    prctl(PR_CAPBSET_DROP, cap))
			fail(SKIP, "the bounding set cannot be emptied");
}

static void become_nobody(void)
{
	drop_bounding_set();
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0L, 0L, 0L) &&
	    errno != EINVAL)
		fail(FAILED, "the ambient set cannot be emptied");
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		fail(SKIP, "it cannot become nobody");
	if (capabilities_clear() || capabilities_left())
		fail(FAILED, "there are capabilities left");
	if (setuid(0) == 0)
		fail(FAILED, "it can become root again");
}

static void nobody(void)
{
	become_nobody();
	if (access(".", R_OK | X_OK))
		fail(SKIP, "nobody cannot read the working directory");
}

static void container(void)
{
	const char *why;

	nobody();
	why = container_filter();
	if (!why)
		return;
	fprintf(stderr, "confined: no container: %s\n", why);
	exit(SKIP);
}

static const struct way {
	const char *name;
	void (*confine)(void);
} ways[] = {
	{"nobody", nobody},
	{"container", container},
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

int main(int argc, char **argv)
{
	unsigned i;

	for (i = 0; argc > 2 && i < WAYS; i++) {
		if (strcmp(argv[1], ways[i].name) != 0)
			continue;
		ways[i].confine();
		execvp(argv[2], argv + 2);
		fail(errno == ENOENT ? NOT_RUN + 1 : NOT_RUN, argv[2]);
	}
	fputs("usage: confined nobody|container COMMAND [ARGUMENT ...]\n",
	      stderr);
	return FAILED;
}
