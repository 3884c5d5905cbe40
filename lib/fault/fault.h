/* SPDX-License-Identifier: MIT */
/*
 * fault/fault.h - one fault, from the event that tells of it to the wake-up of
 * the thread that had it, as one object.
 *
 *	look up -> decide -> wait -> look again ... -> the page is usable
 *
 * Who takes faults fills in a struct fault, with a mode that says how to wait,
 * and calls fault_run(): the handler threads (fault/demand.c), the threads that
 * wait themselves (fault/inline.c). A new way of being told of a fault is a
 * mode more.
 */
#ifndef VVM_FAULT_H
#define VVM_FAULT_H

#include "space/space.h"
#include "util/awake.h"

/* What a look at the page said. */
enum fault_result {
	FAULT_DONE,    /* the page is usable */
	FAULT_JOINED,  /* on its way already: wait for whoever brings it */
	FAULT_READ,    /* claimed: read it, then fault_install() */
	FAULT_NOFRAME, /* nothing changed: look again when frames are free */
	FAULT_RETRY,   /* nothing changed: the kernel was short of memory */
	FAULT_NOMEM,   /* nothing changed: no memory for the page table */
	FAULT_GONE,    /* no region (error is set), or unmapped under us */
	FAULT_REFUSED, /* the region does not permit the access */
	FAULT_FAILED,  /* the page is poisoned */
	FAULT_CROWDED, /* nothing changed: others of the mode wait there */
};

struct ahead_job;
struct demands;
struct fault;

/* Who takes the fault. */
struct fault_mode {
	bool counts; /* it is one: counted, and its thread makes streams */
	bool guest; /* it is known by its guest address, not its host address */
	bool holds; /* DONE returns with the space lock and the block lock */
	bool keeps; /* after a RETRY of fault_install() its waiters sleep on */
	/* May no more reads of that backing begin? NULL: they may. */
	bool (*crowded)(const struct fault *f, const struct backing *home);
	/*
	 * Does what the look at the page asks for. True: look again. False:
	 * it is over, or somebody runs it again later.
	 */
	bool (*wait)(struct fault *f, enum fault_result result);
};

struct fault {
	const struct fault_mode *mode;
	struct vvm *vm;
	struct vvm_stat_actor *actor;

	/* Reported: where, what and by whom. */
	haddr_t host;	 /* page aligned */
	bool write;	 /* the page shall be DIRTY afterwards */
	pte_t need;	 /* must be permitted; 0: the MMU has seen to it */
	uint64_t thread; /* tells threads apart: whose stream */
	struct stat_fault stat; /* guest address, thread, times, flags */

	/* Found at the last look; region and block are valid under locks. */
	struct region *region;
	struct block *block;
	unsigned index; /* in the block */
	int uffd;
	enum page_state state; /* of the page before the look */
	unsigned advice;       /* of its region */
	bool trigger; /* JOINED, and the first to want a stream's trigger */
	bool told;    /* the kernel has been told, and the thread is awake */
	bool counted;
	enum fault_result last; /* what the last look said */
	int error; /* why not: 0, -VVM_E..., -ENOMEM; inline: also the read's */

	/* The read of a SWAPPED page: fault/read.c. */
	struct io io; /* buf and done are the mode's */
	uint16_t io_index;
	bool intended; /* a read that leaves the page DIRTY */
	bool standby;  /* it may be on standby; fault_from_standby(): it was */

	/* While it waits: the mode's. */
	struct list link; /* fault/demand.c: idle or pending */
	struct demands *demands;
	uint64_t since_us;    /* pending since; 0: never */
	uint64_t patience_us; /* demands.awake when it is over */
	struct awake awake;   /* fault/inline.c: since it waits */
	uint32_t ticket;      /* of the block's busy_done, before the look */
};

/*
 * Looks at the page, and has the mode wait, until it says that it is over.
 * Returns the last look's result. => nothing locked; afterwards neither, but
 * after DONE in a mode that holds.
 */
enum fault_result fault_run(struct fault *f);
/*
 * Finds the page of a guest address in r and takes its block's lock. False:
 * out of memory, and not taken. => space lock held.
 */
bool fault_find(struct fault *f, struct region *r, gaddr_t addr);
/*
 * Counts a fault that is given up, or that met no region or a refusal. One that
 * was counted before, by what it met then, is told as failed. => nothing
 * locked.
 */
void fault_count_lost(struct fault *f);
/* What the thread will want next. False: nothing. => nothing locked. */
bool fault_ahead(struct fault *f, struct ahead_job *job);

/* What an error of a userfaultfd call means to the one who waits. */
enum fault_result fault_error(int error);
/* Why perms do not allow `need`; 0 when they do. */
int fault_refusal(pte_t perms, pte_t need);

/* ---- the read of one page: fault/read.c ---- */

/*
 * Makes the page FILLING, f's own. => both locks held, the page SWAPPED, a
 * frame taken.
 */
void fault_claim(struct fault *f);
/*
 * Fetches the content from where it is on standby: no read is needed then,
 * only fault_install(). => nothing locked, io.buf set.
 */
bool fault_from_standby(struct fault *f);
/*
 * Fetches it from the backing, if no disk is needed for that. The same. => as
 * fault_from_standby(), which was asked first.
 */
bool fault_from_memory(struct fault *f);
/*
 * Installs what was read (or gives it up), wakes the waiters. FAULT_DONE,
 * FAULT_FAILED, FAULT_GONE or FAULT_RETRY. => nothing locked.
 */
enum fault_result fault_install(struct fault *f, int result);
/* Undoes the claim of a page that cannot be read now. => nothing locked. */
void fault_abandon(struct fault *f);
/* ---- telling a thread that waits in the kernel: fault/fail.c ---- */

/*
 * Gives whoever waits on f's page SIGBUS, unless the page is (being) made
 * usable by now. The page's state is unchanged. For a page that is not
 * POISONED the caller undoes it with fault_unfail() when the thread has had
 * time to see it. True when there is something to undo.
 */
bool fault_fail(struct fault *f);
/*
 * The thread is one that f's page waits for, perhaps: its access is illegal, and
 * gets SIGBUS, unless the page is there. `again`: it has come back at once, more
 * than once. False: it is not refused. *undo: by fault_unfail(), as
 * after fault_fail().
 */
bool fault_refuse(struct fault *f, bool again, bool *undo);
/* Says in the log, once for each reason, why an access gets SIGBUS. */
void fault_explain(const struct fault *f);
void fault_unfail(struct vvm *vm, haddr_t host);
/* Wakes threads that wait on a page of whatever region. */
void fault_wake(struct vvm *vm, haddr_t host);

#endif
