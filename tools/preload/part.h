/* SPDX-License-Identifier: MIT */
/*
 * part.h - calls on ranges of which parts are paged: see mmap.c for the theory.
 */
#ifndef VVM_PRELOAD_PART_H
#define VVM_PRELOAD_PART_H

#include "preload/state.h"

#include <sys/types.h>

#define PAGE  ((uint64_t)VVM_PAGE_SIZE)
#define UP(n) (((uint64_t)(n) + PAGE - 1) & -PAGE)

/*
 * A call on a range: what it means for a paged part (0 or an error of libvvm),
 * and for another (as a system call: 0, or -1 and errno).
 */
struct call {
	int (*paged)(uint64_t start, uint64_t len, int arg);
	int (*plain)(uint64_t start, uint64_t len, int arg);
	int arg;
	bool past_holes; /* ENOMEM of a part does not keep it from the others */
};

/* Sets errno; -1. */
int part_fail(int error);
/* What libvvm has returned, as a system call would. */
int part_result(int rc);
/* The next paged part of a range, cut to it. False: none is left. */
bool part_next(uint64_t start, uint64_t end, struct vvm_region *part);
/* Is there anything paged in the range at all? Quick when there is not. */
bool part_paged(const void *addr, size_t len);
/* The same of memory of the program's, which does not begin outside of it. */
bool is_paged(const void *addr, size_t len);
/*
 * Can they be read? Where the kernel says EFAULT nobody is to look first. For
 * structures; of what is long only the first byte on each page counts.
 */
bool readable(const void *p, size_t bytes);
/* What has been found to be, in the course of one call; {0}: nothing. */
struct looked {
	uint64_t from, to;
};
/* The same, without asking again. */
bool readable_as(struct looked *known, const void *p, size_t bytes);
/*
 * Is all of it paged, and may the program write there? Then it is for us to do:
 * the kernel might find it absent. Elsewhere it says itself what it thinks.
 */
bool paged_writable(const void *p, size_t bytes);
/* A thread of the program's begins here. */
void part_born(void);
/* Some paged memory is about to get another protection than it had. */
void part_uneven(void);
/* => part_paged(). Ends with the first error. As a system call. */
int part_each(const struct call *call, void *addr, size_t len);

/* ---- mmap.c ---- */

/* Nobody's opinion but the kernel's. */
void *plain_map(void *addr, size_t len, int prot, int flags, int fd,
		off_t offset);
/*
 * New paged memory, at addr, or anywhere if that is NULL. An error of libvvm,
 * -EEXIST if addr is not free.
 */
int paged_map(void *addr, uint64_t len, unsigned prot, void **out);
unsigned paged_prot(int prot);
/* The paged parts of a range, locked or not. 0 or an error of libvvm. */
int drop_paged(uint64_t start, uint64_t len);
/* As munmap(2), of parts that are paged and of others. */
int unmap_parts(uint64_t start, uint64_t len);
/* A block of malloc(). */
bool in_heap(uint64_t addr);
/* Takes all locks of the pages. */
void unlock_all(uint64_t start, uint64_t len);

/* ---- ground.c ---- */

/*
 * Nothing of the range is paged any more, and nobody else can map there: what was
 * paged is reserved, without access. As a system call; -1: nothing has changed.
 */
int vacate(uint64_t start, uint64_t len);
/* New paged memory over what is at addr; if that fails, inaccessible. As vacate() */
int paged_map_over(void *addr, uint64_t len, unsigned prot);

#endif
