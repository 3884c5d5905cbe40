/* SPDX-License-Identifier: MIT */
/*
 * util/buffer.h - memory that the disk reads into and writes from.
 *
 * A disk takes 4 KiB pages that do not adjoin in physical memory as segments
 * of their own, and many segments halve its speed (MEASURED.md, "The disk"). So
 * buffers that fill huge pages lie in huge pages, where the kernel gives any.
 */
#ifndef VVM_BUFFER_H
#define VVM_BUFFER_H

#include "base.h"

struct buffer {
	char *start;	/* zeroed when new; aligned to pages */
	void *mapping;	/* private */
	uint64_t bytes; /* private */
};

/*
 * huge: the owner can bear that 2 MiB are resident as soon as one page of them
 * is touched. -ENOMEM; the buffer is then as after buffer_fini().
 */
int buffer_init(struct buffer *b, uint64_t bytes, bool huge);
/* Twice does no harm, nor does a zeroed buffer. */
void buffer_fini(struct buffer *b);

#endif
