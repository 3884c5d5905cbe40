/* SPDX-License-Identifier: MIT */
/*
 * map/place.c - where in the process's address space regions go.
 *
 * Usually the kernel chooses. A space whose system calls are trapped has its
 * regions where the filter looks for them (os/os.h), and there the kernel does
 * not choose: it takes a hint that it likes, or goes elsewhere. So the places
 * are given out one behind the other, from the beginning again after the last,
 * past what is in use: what is paged is known (space/paged.c), and what somebody
 * else has mapped there the kernel says.
 *
 * State outside `struct vvm`: the range is the process's.
 */
#include "map/place.h"

#include <errno.h>

#include "space/paged.h"

/* The door's page, and one that is never mapped. */
#define FIRST (OS_DOOR_START + BLOCK_BYTES)
/* Below that are the addresses that a NULL pointer with an offset has. */
#define LOWEST ((haddr_t)1 << 32)
/* Mappings of somebody else's that are stepped over. */
#define TRIES 1024

static _Atomic haddr_t next_place = FIRST; /* (a) */

static haddr_t align_up(haddr_t at, uint64_t align, uint64_t congruent)
{
	return at + ((congruent - at) & (align - 1));
}

/* The first place from `at` on where nothing is paged; 0: none. */
static haddr_t unpaged(haddr_t at, uint64_t bytes, uint64_t align,
		       uint64_t congruent)
{
	haddr_t end;

	for (;;) {
		at = align_up(at, align, congruent);
		if (at > OS_DOOR_END || bytes > OS_DOOR_END - at)
			return 0;
		end = paged_end(at, at + bytes);
		if (!end)
			return at;
		at = end;
	}
}

static int reserve_from(haddr_t at, uint64_t bytes, uint64_t align,
			uint64_t congruent, haddr_t *host)
{
	unsigned tries;
	int rc;

	for (tries = 0; tries < TRIES; tries++) {
		at = unpaged(at, bytes, align, congruent);
		if (!at)
			return -ENOMEM;
		rc = os_reserve(bytes, PAGE_BYTES, 0, at, host);
		if (rc != -EEXIST)
			return rc;
		at += MAX(bytes, align);
	}
	return -ENOMEM;
}

int place_reserve(struct vvm *vm, uint64_t bytes, uint64_t align,
		  uint64_t congruent, haddr_t *host)
{
	int rc;

	if (vm->conf.syscalls != VVM_SYSCALLS_TRAP)
		return os_reserve(bytes, align, congruent, 0, host);
	if (bytes > OS_DOOR_END - FIRST)
		return -ENOMEM;
	rc = reserve_from(atomic_load(&next_place), bytes, align, congruent,
			  host);
	if (rc == -ENOMEM)
		rc = reserve_from(FIRST, bytes, align, congruent, host);
	if (rc == 0)
		atomic_store(&next_place, *host + bytes);
	return rc;
}

haddr_t place_floor(const struct vvm *vm)
{
	return vm->conf.syscalls == VVM_SYSCALLS_TRAP ? FIRST : LOWEST;
}
