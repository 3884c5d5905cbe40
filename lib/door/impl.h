/* SPDX-License-Identifier: MIT */
/* door/impl.h - one call on its way through the door; for lib/door only. */
#ifndef VVM_DOOR_IMPL_H
#define VVM_DOOR_IMPL_H

#include <errno.h>

#include "door/bounce.h"
#include "door/copy.h"
#include "door/door.h"
#include "door/table.h"

struct door {
	long nr;
	const struct call *call; /* its row; or NULL */
	uint64_t arg[6];	 /* as the program gave them */
	uint64_t use[6];	 /* as the kernel gets them */
	void *context;		 /* of the trap; or NULL */
	uint64_t mask;		 /* of the program's signals */
	struct bounced {
		char *mine; /* NULL: the kernel gets the program's own */
		char *was;  /* what is in it before the call; or NULL */
		size_t bytes;
	} bounced[6];
	char *warm; /* for all windows of a transfer; or NULL */
	struct bounce bounce;
};

/* Makes d->nr with d->use, the program's signals let through meanwhile. */
long door_make(struct door *d);
/* Is any of it paged? */
bool door_is_paged(haddr_t at, size_t bytes);
/*
 * What stands for [at, at + bytes) of the program's in *use: that itself where
 * it is not paged, or nobody may access it; memory of ours else, with what is
 * there if `in`; where only the beginning can be accessed that ends where the
 * program's does. *b gets what of ours it is, and how much. -ENOMEM.
 */
int door_bounce(struct bounce *memory, haddr_t at, size_t bytes,
		enum arg_kind kind, struct bounced *b, uint64_t *use);
/*
 * The same, of no more than `most` bytes: then that is all that can be accessed.
 * For lengths that the kernel refuses or cuts before it looks at the memory.
 */
int door_bounce_some(struct bounce *memory, haddr_t at, size_t bytes,
		     size_t most, enum arg_kind kind, struct bounced *b,
		     uint64_t *use);
/* Writes back up to `bytes` of it; of INOUT what has changed. -EFAULT. */
int door_return(const struct bounced *b, haddr_t at, size_t bytes);
/* All that has no way of its own: bounces argument i, all; returns them. */
int door_bounce_argument(struct door *d, unsigned i);
int door_bounce_arguments(struct door *d);
int door_bounce_text(struct door *d, unsigned i);
/* The result, or -EFAULT. */
long door_return_arguments(struct door *d, long result);

/* Makes the call with argument i, which is so many bytes of that kind. */
long door_make_with(struct door *d, unsigned i, enum arg_kind kind,
		    size_t bytes);
/* The same, of which the kernel looks at no more than `most`. */
long door_make_some(struct door *d, unsigned i, enum arg_kind kind,
		    size_t bytes, size_t most);
/* With a filter's text, which is behind a pointer of argument i. */
long door_make_with_program(struct door *d, unsigned i);

/* The ways of the table. */
#define X(way) long door_##way(struct door *d);
DOOR_WAYS(X)
#undef X

#endif
