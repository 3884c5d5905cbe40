/* SPDX-License-Identifier: MIT */
/*
 * fill/fill.h - pages on their way from the backing into the memfd.
 */
#ifndef VVM_FILL_H
#define VVM_FILL_H

#include "space/space.h"

/* What became of a fault, or of the demanded page of a fill. */
enum fault_result {
	FAULT_DONE,    /* resolved; the thread was woken */
	FAULT_JOINED,  /* on its way already; that install wakes the thread */
	FAULT_READ,    /* claimed: read fill->io, then fill_install() */
	FAULT_NOFRAME, /* nothing changed: try again when frames are free */
	FAULT_RETRY,   /* nothing changed: the kernel was short of memory */
	FAULT_GONE,    /* no region any more; the thread was woken */
	FAULT_FAILED,  /* the page is poisoned; the thread gets SIGBUS */
};

/* Pages in flight: of one block, in a run of slots with few gaps. */
struct fill {
	struct io io;	 /* io.buf is the owner's */
	uint16_t *index; /* the owner's: of page i of io in the block, or IO_GAP */
	unsigned room;	 /* pages that buf and index can hold */
	struct vvm *vm;
	struct block *block;
	haddr_t host;	 /* of the block's first page, mapped or not */
	int uffd;
	unsigned demand; /* index of the page that somebody waits for */
	bool has_demand; /* false: all of it is readahead */
	bool write;	 /* the demanded page shall be DIRTY */
	bool intended;	 /* so shall the others: they will likely be written */
	bool parked;	 /* a copy of the demanded page may be parked */
	bool map;	 /* readahead shall be mapped at once */
	bool gave_up;	 /* pages that somebody may have to ask for again */
	unsigned advice; /* of the demanded page's region */
	unsigned at;	 /* of io.pages: installed or given up so far */
	uint64_t start_ns; /* the owner began to read it, ... */
	uint64_t done_ns;  /* ... and had it, when fill_arrived() was called */
};

static inline haddr_t fill_host(const struct fill *fill, unsigned index)
{
	return fill->host + pages_to_bytes(index);
}

/*
 * Sets up a fill of one page that somebody waits for; its entry is FILLING
 * from now on. => block lock held, the page SWAPPED, a frame taken,
 * fill->io.buf, index and room set.
 */
void fill_claim(struct fill *fill, struct vvm *vm, struct vvm_stat_actor *actor,
		struct region *r, struct block *b, gaddr_t addr, bool write);
/*
 * Fetches the demanded page's content from where it is parked: no read is
 * needed then, only fill_install(). => nothing locked.
 */
bool fill_unpark(struct fill *fill);
/*
 * Installs what the read brought (or gives it up), wakes the waiters.
 * FAULT_DONE, FAULT_FAILED, FAULT_GONE or FAULT_RETRY for the demanded page.
 * => nothing locked, fill->start_ns set; the fill is over on return.
 */
enum fault_result fill_install(struct fill *fill, struct vvm_stat_actor *actor,
			       int result);
/*
 * The same in parts, of a fill without demand: fill_arrived() once, then
 * fill_install_some(), of about `most` pages, until it returns true.
 */
void fill_arrived(struct fill *fill, struct vvm_stat_actor *actor, int result);
bool fill_install_some(struct fill *fill, struct vvm_stat_actor *actor,
		       unsigned most);
/* Undoes the claim of a demanded page that cannot be read now. */
void fill_abandon(struct fill *fill, struct vvm_stat_actor *actor);

/*
 * Puts n pages into the memfd, maps them and wakes their waiters. Returns how
 * many; *error is why not all. from NULL: zeros. => block lock held.
 */
unsigned fill_put(struct vvm *vm, int uffd, haddr_t host, const char *from,
		  unsigned n, bool protect, int *error);
/* What an error of fill_put() means to the one who waits. */
enum fault_result fill_error(int error);
/*
 * Shall pages of r that are filled for reading be DIRTY, since they will
 * likely be written (policy/intent.c)? => both: space lock held.
 */
bool fill_intends(struct region *r);
/* n pages are filled for reading, with the answer of fill_intends(). */
void fill_note_intent(struct vvm_stat_actor *actor, struct region *r,
		      bool intended, unsigned n);
/* A page has just become resident: its age. => block lock held. */
void fill_admit(struct vvm *vm, struct block *b, unsigned i, bool prefetched);

#endif
