/* SPDX-License-Identifier: MIT */
/*
 * swap/backing.h - where pages live when they have no frame: an ops table.
 * Fault handling and reclaim know only this. swap/swap.c is the first backing,
 * snapshot/inherit.c the second. Regions may have a backing of their own, which
 * says what they are until they are changed: of the functions below it has read(),
 * fetch() and close(), and slot n is page n of the mapping. With write() and sync()
 * it is also the *home* of what is changed (backing_is_home()). Its transfers count
 * in the space's flight, or a stall of it is not known as one; but not those of a
 * slow one: nobody is to be patient with the program's own code.
 *
 * All functions are thread-safe unless they say otherwise.
 */
#ifndef VVM_BACKING_H
#define VVM_BACKING_H

#include <stdatomic.h>

#include "bits.h"
#include "os/os.h"
#include "os/ring.h"
#include "vvm.h"

#define IO_MAX_PAGES 256
#define IO_GAP	     UINT16_MAX
/*
 * A disk that works completes something within this time, however much is
 * queued.
 */
#define BACKING_STALL_US 1000000

/*
 * One transfer between a buffer and consecutive slots. The caller owns it and
 * leaves it alone from the start of the transfer until done() was called.
 */
struct io {
	/*
	 * result: 0, or -errno when the whole transfer failed. A read that
	 * returns 0 may have bad pages (checksum): see bad[]. So may a write
	 * to a region's own backing that failed: the others are there.
	 */
	void (*done)(struct io *io, int result);
	gaddr_t addr; /* guest address of the first page */
	/*
	 * NULL: the pages are consecutive from addr. Else page i is the one at
	 * addr + order[i] pages: victims of one block need not be neighbours to
	 * share a write. In a read IO_GAP marks a slot that is read only
	 * because its neighbours are.
	 */
	const uint16_t *order;
	struct backing *home; /* whose slots: set and used by who moves pages */
	uint64_t slot;	      /* first slot */
	uint32_t pages;	      /* 1..IO_MAX_PAGES */
	char *buf;	      /* pages * PAGE_BYTES, page aligned */
	/*
	 * Of a write: pages may be kept in memory, compressed, as far as the
	 * backing has any for that. It takes 5 us a page, and is for the thread
	 * that calls trim() only.
	 */
	bool keep;
	uint64_t bad[BITS_WORDS(
		IO_MAX_PAGES)]; /* out: bit i: page i is not good */
	/* out: bit i: page i came from memory, or went there */
	uint64_t memory[BITS_WORDS(IO_MAX_PAGES)];
	/* private to the backing: */
	struct backing *backing;
	struct ring *ring;
	uint8_t tries;
	struct ring_op op;
	/* swap/pager.c: */
	struct vvm_pager_request request;
	_Atomic uint32_t over; /* a futex: of who waits for it in place */
	int result;
};

struct backing_stat {
	uint64_t slots_used, slots_area, slots_limit;
	uint64_t slots_held;	/* of those used: kept for fork children only */
	uint64_t reads, writes; /* requests */
	uint64_t read_bytes, written_bytes;
	uint64_t read_errors, write_errors, checksum_errors, retries;
	bool direct; /* O_DIRECT is on */
	/* Transfers in flight, and when the last one ended or the first began. */
	uint64_t inflight, progress_us;
	/* Compressed pages in memory, and the pages of memory that they take. */
	uint64_t packed, packed_memory;
	/* Pages that became such so far, and that went to the disk. */
	uint64_t packed_added, spilled;
	/* Reads of such, and of them those of the oldest eighth. */
	uint64_t packed_reads, packed_old_reads;
};

struct backing;
struct hold;

struct backing_ops {
	const char *name;
	/*
	 * Start a transfer on the caller's ring; io->done runs in ring_run(),
	 * or before return when no disk is needed for it.
	 * ring NULL: transfer now, by system calls, done runs before return.
	 * Reads are retried and verified; writes store the checksums.
	 */
	void (*read)(struct backing *b, struct ring *ring, struct io *io);
	void (*write)(struct backing *b, struct ring *ring, struct io *io);
	/*
	 * A read that needs no disk, since all of its pages are in memory: as
	 * if it had succeeded, but done() is not called. False: it is to be
	 * read. Reads from the disk only when a page goes there just now.
	 */
	bool (*fetch)(struct backing *b, struct io *io);
	/*
	 * A page of that address leaves its frame as it is in its slot: is a
	 * copy in memory wanted, too? Then add() is to be called with it. The
	 * thread that calls trim(). => its block is locked.
	 */
	bool (*wants)(struct backing *b, uint64_t slot, gaddr_t addr);
	/*
	 * ... whatever has become of the page since; NULL: it is not to be had.
	 * Compresses, so => nothing locked that a fault waits for.
	 */
	void (*add)(struct backing *b, uint64_t slot, gaddr_t addr,
		    const char *page);
	/*
	 * Memory for compressed pages: at most `pages` from now on. What is
	 * above that goes to the disk, by transfers on this ring. Always the
	 * same thread; to be called again while it is above.
	 */
	void (*trim)(struct backing *b, struct ring *ring, uint64_t pages);
	/*
	 * Takes up to `want` contiguous slots. -ENOSPC: the limit or the file
	 * system is full. May make the file grow (a system call).
	 */
	int (*take)(struct backing *b, uint64_t want, uint64_t *first,
		    uint64_t *got);
	void (*give)(struct backing *b, uint64_t first, uint64_t n);
	void (*stat)(struct backing *b, struct backing_stat *st);
	/*
	 * Are transfers in flight of which none has ended for
	 * BACKING_STALL_US? Then the disk is gone for a while, as a virtual one
	 * is when its host is busy, and nobody knows whether they will succeed.
	 */
	bool (*stalled)(struct backing *b, uint64_t now_us);
	/*
	 * No slot in use now is used again before release(), whoever gives
	 * it back. -ENOMEM. => nobody takes or gives slots meanwhile.
	 */
	int (*hold)(struct backing *b, struct hold **out);
	void (*release)(struct backing *b, struct hold *h);
	/*
	 * This process is a fork child: it may only read slots that are held
	 * for it, and close. => no other thread yet.
	 */
	void (*forked)(struct backing *b);
	/*
	 * This process is a fork child that has no use for it: closes the
	 * descriptors, and nothing else. => no other thread.
	 */
	void (*shed)(struct backing *b);
	/*
	 * What was written is on the disk. -errno: perhaps not. `seen` is
	 * sync_errors as it was before that was written: an error since then is
	 * one of this call, too, whoever was told of it. Sleeps.
	 */
	int (*sync)(struct backing *b, uint32_t seen);
	/*
	 * Of a backing that discards: pages [slot, slot + n) are void, and it is
	 * told. Sleeps. => the mapping lock is held, none of them is in flight.
	 */
	void (*discard)(struct backing *b, uint64_t slot, uint64_t n);
	/*
	 * The space has lost a thread: what is in flight fails, and nothing of
	 * it is touched by others on return. Sleeps. NULL: nothing to do.
	 */
	void (*abandon)(struct backing *b);
	/* => nothing in flight, nobody uses it any more. */
	void (*close)(struct backing *b);
};

struct backing {
	const struct backing_ops *ops;
	unsigned grain_pages; /* (i) it takes memory for compressed pages so */
	/* Of a region's own: */
	unsigned users;	      /* (m) backing_use(), backing_drop() */
	struct backing *next; /* (m) of those that lost their regions */
	struct os_held held;  /* (i) what other processes must not keep open */
	bool read_only;	      /* (i) its regions are never writable */
	/*
	 * (i) It is code of the program, which may take any time: whatever it has
	 * in hand keeps nobody else from getting on. And children have not got it.
	 */
	bool slow;
	bool discards; /* (i) DONTNEED voids its pages, also changed ones */
	/* (a) of a slow one: write-backs that have begun and are not over */
	_Atomic unsigned writing;
	_Atomic uint32_t sync_errors; /* (a) sync()s that failed */
	_Atomic uint64_t rest_us;     /* (a) backing_rests() until then */
};

/* So long is a file left alone after a write to it has failed. */
#define BACKING_REST_US 50000

/* Is what is changed in the regions of b written to it? NULL is ok. */
static inline bool backing_is_home(const struct backing *b)
{
	return b && b->ops->write;
}

/*
 * A write has failed: reclaim tries no other for a while, and looks for pages
 * elsewhere.
 */
static inline void backing_rest(struct backing *b, uint64_t now_us)
{
	atomic_store(&b->rest_us, now_us + BACKING_REST_US);
}

/* Reclaim, which can have 16 in flight, begins no more to a slow one. */
#define BACKING_SLOW_WRITES 4

static inline bool backing_rests(const struct backing *b, uint64_t now_us)
{
	return atomic_load(&b->rest_us) > now_us ||
	       (b->slow && atomic_load(&b->writing) >= BACKING_SLOW_WRITES);
}

/* => both: the mapping lock is held, as in space/kept.h. NULL is ok. */
static inline void backing_use(struct backing *b)
{
	if (b)
		b->users++;
}

static inline void backing_drop(struct backing *b)
{
	if (b && !--b->users)
		b->ops->close(b);
}

static inline bool backing_stalled(struct backing *b, uint64_t now_us)
{
	return b->ops->stalled(b, now_us);
}

/* A read of pages from where they are at home. As in struct backing_ops. */
static inline void io_read(struct io *io, struct ring *ring)
{
	io->home->ops->read(io->home, ring, io);
}

static inline void io_write(struct io *io, struct ring *ring)
{
	io->home->ops->write(io->home, ring, io);
}

static inline bool io_fetch(struct io *io)
{
	return io->home->ops->fetch(io->home, io);
}

/* Transfers in flight, for stalled(): (a) all of it. */
struct flight {
	_Atomic uint32_t count;
	_Atomic uint64_t progress_us; /* when one ended, or the first began */
};

/* Who looks in between sees a stall: that costs patience only. */
static inline void flight_begin(struct flight *f)
{
	if (atomic_fetch_add(&f->count, 1) == 0)
		atomic_store(&f->progress_us, os_now_us());
}

static inline void flight_end(struct flight *f)
{
	atomic_store(&f->progress_us, os_now_us());
	atomic_fetch_sub(&f->count, 1);
}

static inline bool flight_stalled(const struct flight *f, uint64_t now_us)
{
	uint64_t since_us = atomic_load(&f->progress_us);

	return atomic_load(&f->count) && now_us > since_us + BACKING_STALL_US;
}

static inline gaddr_t io_page_addr(const struct io *io, unsigned i)
{
	return io->addr + pages_to_bytes(io->order ? io->order[i] : i);
}

static inline bool io_page_gap(const struct io *io, unsigned i)
{
	return io->order && io->order[i] == IO_GAP;
}

static inline bool io_page_memory(const struct io *io, unsigned i)
{
	return bit_get(io->memory, i);
}

static inline bool io_page_bad(const struct io *io, unsigned i)
{
	return bit_get(io->bad, i);
}

#endif
