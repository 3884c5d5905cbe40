/* SPDX-License-Identifier: MIT */
/*
 * view_sites.h - which code waits for pages (--sites).
 */
#ifndef VVM_VIEW_SITES_H
#define VVM_VIEW_SITES_H

#include "vvmstat/view.h"

/*
 * Shows the code of t that waited, once (seconds 0) or each so many seconds,
 * `count` times. `launched`: once means, when the program has ended. Returns an
 * exit status.
 */
int view_sites(struct view *v, struct target *t, double seconds, uint64_t count,
	       bool launched, int wake_fd);

#endif
