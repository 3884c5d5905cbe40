/* SPDX-License-Identifier: MIT */
/*
 * snapshot/copies.h - pages that are kept for fork children: a memfd of numbered
 * pages, each with a count of who needs it. Pages are numbered from 1.
 * => all: the caller's lock is held.
 */
#ifndef VVM_COPIES_H
#define VVM_COPIES_H

#include "swap/slots.h"

struct copies {
	int fd;		    /* memfd: page n at byte n * PAGE_BYTES */
	struct slots slots; /* pages of it in use */
	uint16_t *refs;	    /* by page */
	char *page;	    /* buffer */
};

/* Errors as memfd_create(2), or -ENOMEM; then copies_fini() is due as well. */
int copies_init(struct copies *c);
/* Frees the tables. The file stays open if keep_file is set. */
void copies_fini(struct copies *c, bool keep_file);

/*
 * Copies the page at `off` of another memfd to a new page *n, which nobody
 * needs yet: then copies_get() it. -ENOSPC, -ENOMEM, or what reading says.
 */
int copies_add(struct copies *c, int memfd, uint64_t off, uint64_t *n);
/* One more needs page n; one less, the last of whom frees it. */
void copies_get(struct copies *c, uint64_t n);
void copies_put(struct copies *c, uint64_t n);

#endif
