/* SPDX-License-Identifier: MIT */
#include "support/nobody.h"

#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "support/expect.h"

#define NOBODY 65534

void become_nobody(void)
{
	if (geteuid() != 0)
		return;
	live_equal(setgroups(0, NULL), 0);
	live_equal(setresgid(NOBODY, NOBODY, NOBODY), 0);
	live_equal(setresuid(NOBODY, NOBODY, NOBODY), 0);
	/* or /proc/self is root's */
	live_equal(prctl(PR_SET_DUMPABLE, 1), 0);
}
