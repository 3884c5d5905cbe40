/* SPDX-License-Identifier: MIT */
/*
 * space/park.h - copies of pages that were read ahead and are not resident: the
 * triggers of streams (policy/prefetch.h). See space/park.c for when a copy is good.
 */
#ifndef VVM_PARK_H
#define VVM_PARK_H

#include "util/lock.h"

#define PARK_PAGES_MAX 32

struct park_place {
	haddr_t host; /* of the page; 0: empty */
	uint64_t used; /* turn when it was put here */
};

struct park {
	struct lock lock; /* rank LOCK_MISC; of all below */
	struct park_place place[PARK_PAGES_MAX];
	unsigned count; /* (i) places in use at most; 0: nothing is kept */
	uint64_t turn;
	char *pages; /* (i) count of them */
};

/* -ENOMEM. pages: how many, at most PARK_PAGES_MAX; 0 is fine. */
int park_init(struct park *p, unsigned pages);
void park_fini(struct park *p);
/*
 * Keeps a copy of the page, in place of an older one of it, or of the oldest.
 * False: it is not kept. *lost: another page's copy was lost for it.
 */
bool park_put(struct park *p, haddr_t host, const char *page, bool *lost);
/* Is there a copy? It may be lost a moment later. */
bool park_has(struct park *p, haddr_t host);
/* Moves the copy into buf; false: there is none (any more). */
bool park_take(struct park *p, haddr_t host, char *buf);

#endif
