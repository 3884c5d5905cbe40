/* SPDX-License-Identifier: MIT */
/*
 * space/standby.h - copies of pages that were read ahead and are not resident:
 * the triggers of streams (policy/prefetch.h). space/standby.c says when a copy
 * is good.
 */
#ifndef VVM_STANDBY_H
#define VVM_STANDBY_H

#include "util/lock.h"

#define STANDBY_PAGES_MAX 32

struct standby_place {
	haddr_t host;  /* of the page; 0: empty */
	uint64_t used; /* turn when it was put here */
};

struct standby {
	struct lock lock; /* rank LOCK_MISC; of all below */
	struct standby_place place[STANDBY_PAGES_MAX];
	unsigned count; /* (i) places in use at most; 0: nothing is kept */
	uint64_t turn;
	char *pages; /* (i) count of them */
};

/* -ENOMEM. pages: how many, at most STANDBY_PAGES_MAX; 0 is fine. */
int standby_init(struct standby *p, unsigned pages);
void standby_fini(struct standby *p);
/*
 * Keeps a copy of the page, in place of an older one of it, or of the oldest.
 * False: it is not kept. *lost: another page's copy was lost for it.
 */
bool standby_put(struct standby *p, haddr_t host, const char *page, bool *lost);
/* Is there a copy? It may be lost a moment later. */
bool standby_has(struct standby *p, haddr_t host);
/* Moves the copy into buf; false: there is none (any more). */
bool standby_take(struct standby *p, haddr_t host, char *buf);

#endif
