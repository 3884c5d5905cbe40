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
	struct flight flight;	   /* (a) */
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

/* ---- swap/tier.c ---- */

/* struct tier's kind[slot]; 0: it knows nothing of the slot. */
enum tier_kind {
	TIER_ITEM = 1,
	TIER_WORD = 2,
	TIER_HERE = TIER_ITEM | TIER_WORD,
	TIER_SPILLING = 4,
	TIER_GIVEN = 8,
	TIER_COMING = 16, /* tier_add() is next */
	TIER_DISK = 32,	  /* it is in its slot, too */
};

/* => store.lock held, as for all of these but tier_unpack() */
static inline void tier_set_kind(struct tier *t, uint64_t slot, unsigned kind)
{
	__atomic_store_n(&t->kind[slot], (uint8_t)kind, __ATOMIC_RELEASE);
}

static inline struct store_item *tier_item(const struct tier *t, uint64_t slot)
{
	return (struct store_item *)(uintptr_t)t->place[slot];
}

/* The page of the slot is not here any more. */
void tier_forget(struct tier *t, uint64_t slot);
/* Is it a page, which nobody is writing? */
bool tier_lives(const struct tier *t, const struct store_item *item);
/* Moves what lives to the head of the log; false: that has no room. */
bool tier_move(struct tier *t, struct store_item *item);
/* Verifies and unpacks what a pin keeps readable. */
bool tier_unpack(const struct store_item *item, gaddr_t addr, void *page);

/* ---- swap/spill.c; for the owner of the tier ---- */

/* -ENOMEM */
int spills_init(struct tier *t);
void spills_fini(struct tier *t);
/*
 * Starts to write the oldest of the tier to their slots. False: there is nothing
 * to write, or all writes are in flight. => no lock held
 */
bool spill_oldest(struct tier *t, struct ring *ring);

/* ---- swap/io.c: as in struct backing_ops ---- */

void swap_read(struct backing *b, struct ring *ring, struct io *io);
void swap_write(struct backing *b, struct ring *ring, struct io *io);
bool swap_fetch(struct backing *b, struct io *io);
/*
 * Writes to slots from this one, counted from 1; their checksums are the
 * caller's business: swap/spill.c.
 */
void swap_write_unpacked(struct swap *s, struct ring *ring, struct io *io,
			 uint64_t slot);
bool swap_stalled(struct backing *b, uint64_t now_us);

#endif
