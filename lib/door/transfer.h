/* SPDX-License-Identifier: MIT */
/*
 * door/transfer.h - moving data between a vector of the program's and a file:
 * door/transfer.c; for lib/door only.
 */
#ifndef VVM_DOOR_TRANSFER_H
#define VVM_DOOR_TRANSFER_H

#include <sys/uio.h>

#include "door/impl.h"

struct vector {
	struct iovec *iov; /* ours, of the program's buffers */
	unsigned count;
	uint64_t total; /* bytes, no more than the kernel moves */
	int file;	/* that it is for; -1: none */
	bool whole;	/* in one call, whatever the file is */
	bool all; /* goes on until it is full, also when reading streams */
	void *arg;
	/* Makes the call one on these. */
	void (*aim)(struct door *d, const struct vector *v, struct iovec *iov,
		    unsigned count);
};

/*
 * Copies the program's vector. -EFAULT: it is not there; -EINVAL: the kernel
 * would not take it; -ENOMEM.
 */
int vector_take(struct bounce *memory, haddr_t at, uint64_t count,
		struct vector *v);
/* Makes the call d, as often as it takes. => v->total is not 0. */
long transfer(struct door *d, const struct vector *v);

#endif
