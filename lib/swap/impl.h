/* SPDX-License-Identifier: MIT */
/*
 * swap/impl.h - inside the swap file; for lib/swap only. The theory is at the
 * head of swap/swap.c.
 */
#ifndef VVM_SWAP_IMPL_H
#define VVM_SWAP_IMPL_H

#include <stdatomic.h>

#include "swap/hold.h"
#include "util/lock.h"
#include "os/os.h"
#include "swap/slots.h"
#include "swap/swap.h"
#include "swap/tier.h"

/*
 * By how much the file grows. 64 MiB are 16,384 slots and 30 ms of writing at
 * full speed, so that the time of fallocate vanishes, and they are small beside
 * any disk.
 */
#define GROW_PAGES ((uint64_t)64 << 20 >> PAGE_SHIFT)

/* (i) set by swap_open(), (a) atomic; else under `lock`: swap (1). */
struct swap {
	struct backing backing;
	int fd;			/* (i) */
	enum os_file_type type; /* (i) */
	bool direct;		/* (i) */
	bool reserve;		/* (i) */
	struct lock lock;
	uint64_t base;		   /* (i) slots are numbered from base + 1 */
	unsigned forks;		   /* (i) os_fork_count() when it was opened */
	struct slots slots;	   /* (lock), but see swap (4) */
	struct holds holds;	   /* (lock) */
	struct tier *tier;	   /* (i) NULL: nothing is compressed */
	bool growing;		   /* (lock) */
	uint64_t retry_us;	   /* (lock) no growth before; 0: it is fine */
	struct waitq grown;	   /* waits for growing to end */
	struct backing_stat count; /* (a) the counters in it */
	_Atomic uint32_t inflight; /* transfers */
	_Atomic uint64_t progress_us; /* when one ended, or the first began */
	atomic_flag grow_logged, read_logged;
	char probe[PAGE_BYTES] __attribute__((aligned(4096))); /* open only */
};

static inline struct swap *to_swap(struct backing *b)
{
	return container_of(b, struct swap, backing);
}

/* ---- swap/file.c ---- */

struct swap_file {
	int fd;
	/* OS_FILE_DIR: new, without a name in a directory, or in memory */
	enum os_file_type type;
	uint64_t bytes;
	const char *why; /* it is refused, as one goes on after its name */
};

/*
 * Opens what path names, "": in memory. Refuses what others can look into.
 * Errors as swap_open().
 */
int swap_open_file(const char *path, struct swap_file *f);

/* ---- swap/place.c ---- */

/*
 * Opens what conf names, or another place if that is the default and will not
 * do; conf then names the one that was taken. That, and swap that is in memory,
 * is said in the log, unless quiet.
 */
int swap_open_place(struct conf *conf, bool quiet, struct swap_file *f);

/* ---- swap/alloc.c ---- */

/* Does an error mean that there is no room? */
bool swap_no_room(int error);
/*
 * Gives the file pages for the slots from+1 .. to. What os_fallocate() says;
 * -EOPNOTSUPP only with `reserve`. => lock not held; I/O.
 */
int swap_extend(struct swap *s, uint64_t from, uint64_t to);
/* As in struct backing_ops. */
int swap_take(struct backing *b, uint64_t want, uint64_t *first, uint64_t *got);
void swap_give(struct backing *b, uint64_t first, uint64_t n);
/* Of slots that nothing is known of any more, in memory or in flight. */
void swap_give_slots(struct swap *s, uint64_t first, uint64_t n);
int swap_hold(struct backing *b, struct hold **out);
void swap_release(struct backing *b, struct hold *h);

/* ---- swap/io.c: as in struct backing_ops ---- */

void swap_read(struct backing *b, struct ring *ring, struct io *io);
void swap_write(struct backing *b, struct ring *ring, struct io *io);
bool swap_fetch(struct backing *b, struct io *io);
/*
 * Writes to slots from this one, counted from 1; their checksums are the
 * caller's business: swap/tier.c.
 */
void swap_write_unpacked(struct swap *s, struct ring *ring, struct io *io,
			 uint64_t slot);
bool swap_stalled(struct backing *b, uint64_t now_us);

#endif
