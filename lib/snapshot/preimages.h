/* SPDX-License-Identifier: MIT */
/*
 * snapshot/preimages.h - pages that are kept for fork children: a memfd of
 * numbered pages, each with a count of who needs it. Pages are numbered from 1.
 * => all: the caller's lock is held.
 */
#ifndef VVM_PREIMAGES_H
#define VVM_PREIMAGES_H

#include "swap/slots.h"

struct preimages {
	int fd;		    /* memfd: page n at byte n * PAGE_BYTES */
	struct slots slots; /* pages of it in use */
	uint16_t *refs;	    /* by page */
	char *page;	    /* buffer */
};

/* Errors as memfd_create(2), or -ENOMEM; preimages_fini() is due even then. */
int preimages_init(struct preimages *c);
/* Frees the tables. The file stays open if keep_file is set. */
void preimages_fini(struct preimages *c, bool keep_file);

/*
 * Copies the page at `off` of another memfd to a new page *n, which nobody
 * needs yet: then preimages_get() it. -ENOSPC, -ENOMEM, or what reading says.
 */
int preimages_add(struct preimages *c, int memfd, uint64_t off, uint64_t *n);
/* One more needs page n; one less, the last of whom frees it. */
void preimages_get(struct preimages *c, uint64_t n);
void preimages_put(struct preimages *c, uint64_t n);

#endif
