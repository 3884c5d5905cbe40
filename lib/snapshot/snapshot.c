/* SPDX-License-Identifier: MIT */
/*
 * snapshot/snapshot.c - what fork children may still read of their parent's
 * space.
 *
 * A child sees the memory as of the fork. What was in swap then it reads from
 * its parent's slots, which are held (swap/hold.c). What was dirty then has no
 * slot, only a frame, and that one may change at any time. So at the fork the
 * dirty pages are *frozen*: write-protected, state FROZEN. Nothing is copied
 * and nothing written, so a child that only executes a program costs next to
 * nothing. The child reads frozen pages from its parent's memfd. Before the
 * parent changes or evicts one it copies it to the *preimages*, another memfd
 * that the children have open, and says so in the word of the page in `where`,
 * memory that is shared with the child. snapshot/freeze.c says which pages are
 * frozen, and how.
 *
 *	   parent's frame ------ where[page] = FRAME ----> the child reads it
 *		| write event, eviction, unmap
 *		v
 *	   preimages, page n --- where[page] = COPY + n -> the child reads it
 *
 * No lock is shared, and none is needed. The parent copies, then stores the
 * word, then lifts the protection. The child reads the frame, then the word:
 * if that is still FRAME, the frame had not been changed while it was read;
 * else it reads the copy, which never changes. The parent may be killed at
 * any point in between.
 *
 * One copy serves all snapshots that need the page: snapshot/preimages.c counts
 * them.
 *
 * A snapshot ends when nobody has the writing end of its pipe any more. That
 * end is close-on-exec; the child's children inherit it along with what they
 * may read; and the kernel closes it for a process that is killed. The reading
 * ends are all in one epoll descriptor, which the reclaimer watches with its
 * ring. When no snapshot is left, all FROZEN pages are made DIRTY again at once.
 *
 * Invariants:
 *  (1) While a page is FROZEN, and a snapshot wants it, its frame is as it was
 *	when it became so. (Pages also become FROZEN because the kernel would
 *	not lift their protection, or may not have: evict/writeback.c. So each
 *	fork protects them again.)
 *  (2) where[page] of a live snapshot is FRAME only if the page has been
 *	FROZEN since that fork.
 *  (3) Page n of the preimages is needed by as many as there are live snapshots
 *	with n in their list `taken`.
 *
 * Memory: preimages are not part of the budget. They are at most the pages that
 * were resident and dirty at the fork, and only those that the parent writes
 * to, or evicts, while the child lives.
 *
 * Rejected: writing all dirty pages to swap before the fork (100 ms for 256
 * MiB on a fast disk, and impossible when swap is full), copying them all
 * (as long, and twice the memory, for a child that mostly executes); giving
 * the child its copy in its own memfd (the copy could land on a page that the
 * child has read, and changed, just before).
 */
#include "snapshot/snapshot.h"

#include <errno.h>
#include <stdlib.h>

#include "snapshot/impl.h"
#include "snapshot/preimages.h"
#include "space/verify.h"
#include "util/log.h"

#define COPY_TRIES 3

struct snapshot {
	struct list link;  /* live */
	int alive, gone;   /* the pipe: the child's end, ours */
	struct hold *hold; /* on the slots of vm->swap */
	haddr_t base;	   /* of where[0] */
	uint64_t pages;
	_Atomic uint32_t *where; /* (i) pointer; words: (a) */
	uint32_t *taken;	 /* (lock) preimages that it has, ... */
	uint64_t taken_count;	 /* (lock) ... at most ... */
	uint64_t frozen;	 /* (i) ... so many */
};

/* Locks: (i) set by snapshots_new(), (s) space lock, (lock) its own. */
struct snapshots {
	struct lock lock;      /* rank LOCK_SNAPSHOT */
	struct list live;      /* (lock) */
	struct snapshot *next; /* (s) taken, the fork is not through */
	_Atomic bool frozen;   /* pages may be FROZEN */
	int epoll;	       /* (i) */
	void *frames;	       /* (s) VERIFY_PAGES pages, in a guarded space */
	struct preimages preimages; /* (lock) */
};

/* ---- construction ---- */

int snapshots_new(struct vvm *vm)
{
	struct snapshots *ss = calloc(1, sizeof(*ss));
	int rc;

	if (!ss)
		return -ENOMEM;
	vm->snapshots = ss;
	ss->epoll = ss->preimages.fd = -1;
	lock_init(&ss->lock, LOCK_SNAPSHOT);
	list_init(&ss->live);
	rc = os_epoll(&ss->epoll);
	if (rc == 0 && space_is_guarded(vm))
		rc = os_map_anon(pages_to_bytes(VERIFY_PAGES), &ss->frames);
	if (rc == 0)
		rc = preimages_init(&ss->preimages);
	if (rc < 0)
		snapshots_free(vm);
	return rc;
}

static void free_snapshot(struct snapshot *s)
{
	if (s->where)
		os_unmap((haddr_t)(uintptr_t)s->where,
			 s->pages * sizeof(*s->where));
	if (s->taken)
		os_unmap((haddr_t)(uintptr_t)s->taken,
			 page_ceil(s->frozen * sizeof(*s->taken)));
	if (s->alive >= 0)
		os_close(s->alive);
	if (s->gone >= 0)
		os_close(s->gone);
	free(s);
}

static void free_all(struct snapshots *ss, bool keep_file)
{
	struct list *node;

	while ((node = list_pop(&ss->live)))
		free_snapshot(list_entry(node, struct snapshot, link));
	if (ss->next)
		free_snapshot(ss->next);
	preimages_fini(&ss->preimages, keep_file);
	if (ss->epoll >= 0)
		os_close(ss->epoll);
	if (ss->frames)
		os_unmap((haddr_t)(uintptr_t)ss->frames,
			 pages_to_bytes(VERIFY_PAGES));
	free(ss);
}

void snapshots_free(struct vvm *vm)
{
	struct snapshots *ss = vm->snapshots;

	if (!ss)
		return;
	vm->snapshots = NULL;
	ss->next = NULL; /* of a fork that was overdue; it is live, too */
	free_all(ss, false);
}

/*
 * ss->next was made by the thread that forked; the other snapshots may be half
 * there, and all they have is pipes that nobody waits for in vain.
 */
void snapshots_shed(struct vvm *vm)
{
	struct snapshots *ss = vm->snapshots;

	if (!ss)
		return;
	vm->snapshots = NULL;
	if (ss->next && ss->next->alive >= 0)
		os_close(ss->next->alive);
	if (ss->next && ss->next->gone >= 0)
		os_close(ss->next->gone);
	os_close(ss->preimages.fd);
	os_close(ss->epoll);
}

/* ---- copying ---- */

static _Atomic uint32_t *word_of(const struct snapshot *s, haddr_t host)
{
	if (host < s->base || host - s->base >= pages_to_bytes(s->pages))
		return NULL;
	return &s->where[(host - s->base) >> PAGE_SHIFT];
}

/* The word of a page that s may still read from its frame, or NULL. */
static _Atomic uint32_t *wanting(const struct snapshot *s, haddr_t host)
{
	_Atomic uint32_t *word = word_of(s, host);

	return word && atomic_load(word) == WHERE_FRAME ? word : NULL;
}

/* Copies a frame to a new page of the preimages. => our lock held. */
static int copy_frame(struct vvm *vm, haddr_t host, uint64_t *n)
{
	int rc = preimages_add(&vm->snapshots->preimages, vm->memfd, host, n);

	if (rc == 0)
		stat_add(vm->api, VVM_STAT_fork_copied_pages, 1);
	return rc;
}

/* s has page n of the preimages for this word now. => our lock held. */
static void point_to_copy(struct snapshots *ss, struct snapshot *s,
			  _Atomic uint32_t *word, uint64_t n)
{
	ASSERT(s->taken_count < s->frozen);
	s->taken[s->taken_count++] = (uint32_t)n;
	preimages_get(&ss->preimages, n);
	atomic_store(word, (uint32_t)n + WHERE_COPY);
}

/* Copies the frame for all that want it. => our lock held. */
static int copy_for_all(struct vvm *vm, haddr_t host)
{
	struct snapshots *ss = vm->snapshots;
	_Atomic uint32_t *word;
	uint64_t n = 0;
	struct list *node;
	int rc;

	list_for_each (node, &ss->live) {
		struct snapshot *s = list_entry(node, struct snapshot, link);

		word = wanting(s, host);
		if (!word)
			continue;
		if (!n) {
			rc = copy_frame(vm, host, &n);
			if (rc < 0)
				return rc;
		}
		point_to_copy(ss, s, word, n);
	}
	return 0;
}

int snapshot_copy(struct vvm *vm, haddr_t host)
{
	struct snapshots *ss = vm->snapshots;
	int rc;

	if (!ss) /* FROZEN for another reason: evict/writeback.c */
		return 0;
	lock_take(&ss->lock);
	rc = copy_for_all(vm, host);
	lock_drop(&ss->lock);
	return rc;
}

/* The frame is about to go: a moment's lack of memory does not matter. */
static int copy_last(struct vvm *vm, haddr_t host)
{
	unsigned tries = 0;
	int rc;

	while ((rc = snapshot_copy(vm, host)) < 0 && ++tries < COPY_TRIES)
		os_yield();
	return rc;
}

/* Tells whoever wants the frame that it is gone. */
static void lose(struct vvm *vm, haddr_t host)
{
	static atomic_flag once = ATOMIC_FLAG_INIT;
	struct snapshots *ss = vm->snapshots;
	_Atomic uint32_t *word;
	struct list *node;

	log_warn_once(&once, "no memory for what a fork child has inherited: "
			     "it will get SIGBUS where it touches that");
	lock_take(&ss->lock);
	list_for_each (node, &ss->live) {
		word = wanting(list_entry(node, struct snapshot, link), host);
		if (word)
			atomic_store(word, WHERE_LOST);
	}
	lock_drop(&ss->lock);
}

void snapshot_give_up(struct vvm *vm, struct block *b, unsigned first,
		      unsigned last, haddr_t host)
{
	unsigned i;

	if (!vm->snapshots || !atomic_load(&vm->snapshots->frozen))
		return;
	for (i = first; i <= last; i++, host += PAGE_BYTES)
		if (pte_state(b->pte[i]) == PAGE_FROZEN &&
		    copy_last(vm, host) < 0)
			lose(vm, host);
}

/* ---- taking one ---- */

int snapshot_copy_now(struct vvm *vm, haddr_t host)
{
	struct snapshots *ss = vm->snapshots;
	uint64_t n;
	int rc;

	lock_take(&ss->lock);
	rc = copy_frame(vm, host, &n);
	if (rc == 0)
		point_to_copy(ss, ss->next, word_of(ss->next, host), n);
	lock_drop(&ss->lock);
	return rc;
}

void snapshot_point_to_frame(struct vvm *vm, haddr_t host)
{
	atomic_store(word_of(vm->snapshots->next, host), WHERE_FRAME);
}

void *snapshot_frames(const struct vvm *vm)
{
	return vm->snapshots->frames;
}

/* Counts the pages that may be dirty, and finds the host addresses of all regions. */
static void measure(struct vvm *vm, struct snapshot *s)
{
	haddr_t low = UINT64_MAX, high = 0;
	struct region *r;
	struct block *b;

	for (r = regions_next_guest(&vm->regions, 0); r;
	     r = regions_next_guest(&vm->regions, r->end)) {
		low = MIN(low, r->host);
		high = MAX(high, region_host_end(r));
	}
	pt_for_each_block (&vm->pt, b, 0, GUEST_END)
		s->frozen += space_is_guarded(vm) ? b->resident : b->dirty;
	s->base = high ? low : 0;
	s->pages = MAX((high - s->base) >> PAGE_SHIFT, 1u);
	s->pages = page_ceil(s->pages * sizeof(*s->where)) / sizeof(*s->where);
}

static int allocate(struct vvm *vm, struct snapshot *s)
{
	int ends[2] = {-1, -1};
	void *memory = NULL;
	int rc;

	measure(vm, s);
	rc = os_pipe(ends);
	s->gone = ends[0];
	s->alive = ends[1];
	if (rc == 0)
		rc = os_map_shared(s->pages * sizeof(*s->where), &memory);
	if (rc < 0)
		return rc;
	s->where = memory;
	if (!s->frozen)
		return 0;
	rc = os_map_anon(page_ceil(s->frozen * sizeof(*s->taken)), &memory);
	if (rc == 0)
		s->taken = memory;
	return rc;
}

/* Gives up a snapshot that no child got, or whose readers are gone. */
static void end(struct vvm *vm, struct snapshot *s)
{
	struct snapshots *ss = vm->snapshots;
	uint64_t i;

	lock_take(&ss->lock);
	for (i = 0; i < s->taken_count; i++)
		preimages_put(&ss->preimages, s->taken[i]);
	lock_drop(&ss->lock);
	if (s->hold)
		vm->swap->ops->release(vm->swap, s->hold);
	free_snapshot(s);
}

int snapshot_take(struct vvm *vm)
{
	struct snapshots *ss = vm->snapshots;
	struct snapshot *s = calloc(1, sizeof(*s));
	int rc;

	ASSERT(!ss->next);
	if (!s)
		return -ENOMEM;
	s->alive = s->gone = -1;
	list_init(&s->link);
	ss->next = s;
	rc = allocate(vm, s);
	if (rc == 0)
		rc = vm->swap->ops->hold(vm->swap, &s->hold);
	if (rc == 0)
		rc = os_epoll_add(ss->epoll, s->gone);
	if (rc == 0) {
		atomic_store(&ss->frozen, true);
		rc = freeze_pages(vm);
	}
	if (rc == 0)
		rc = freeze_tell(vm);
	if (rc < 0) {
		ss->next = NULL;
		end(vm, s);
		return rc;
	}
	lock_take(&ss->lock);
	list_insert(&ss->live, &s->link);
	lock_drop(&ss->lock);
	stat_add(vm->api, VVM_STAT_fork_snapshots, 1);
	return 0;
}

void snapshot_forked(struct vvm *vm)
{
	struct snapshot *s = vm->snapshots->next;

	vm->snapshots->next = NULL;
	if (!s)
		return;
	os_advise((haddr_t)(uintptr_t)s->where, s->pages * sizeof(*s->where),
		  OS_ADV_DONTFORK);
	os_close(s->alive);
	s->alive = -1;
}

void snapshot_inherit(struct vvm *vm, struct origin *origin)
{
	struct snapshots *ss = vm->snapshots;
	struct snapshot *s = ss->next;
	struct list *node;

	list_remove(&s->link);
	*origin = (struct origin){
		.frames = -1,
		.preimages = ss->preimages.fd,
		.alive = s->alive,
		.base = s->base,
		.pages = s->pages,
		.where = s->where,
	};
	s->alive = -1;
	s->where = NULL;
	/* What older children share with the parent was not inherited. */
	list_for_each (node, &ss->live)
		list_entry(node, struct snapshot, link)->where = NULL;
	free_all(ss, true);
	vm->snapshots = NULL;
}

/* ---- ending ---- */

int snapshot_watch(const struct vvm *vm)
{
	return vm->snapshots->epoll;
}

/* The first snapshot whose readers are gone, taken out of the list. */
static struct snapshot *take_ended(struct snapshots *ss)
{
	uint64_t ready = 0, invalid;
	struct snapshot *s = NULL;
	struct list *node;

	lock_take(&ss->lock);
	list_for_each (node, &ss->live) {
		s = list_entry(node, struct snapshot, link);
		if (s->alive < 0 &&
		    os_poll(&s->gone, 1, 0, &ready, &invalid) == 0 && ready)
			break;
	}
	if (ready)
		list_remove(&s->link);
	lock_drop(&ss->lock);
	return ready ? s : NULL;
}

void snapshot_reap(struct vvm *vm)
{
	struct snapshots *ss = vm->snapshots;
	struct snapshot *s;

	while ((s = take_ended(ss))) {
		os_epoll_remove(ss->epoll, s->gone);
		end(vm, s);
		stat_add(vm->api, VVM_STAT_fork_snapshots, -1);
	}
	rwlock_read(&vm->lock);
	/* A fork takes the next one under the space lock. */
	if (list_empty(&ss->live) && atomic_exchange(&ss->frozen, false))
		freeze_end(vm);
	rwlock_end_read(&vm->lock);
}
