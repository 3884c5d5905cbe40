/* SPDX-License-Identifier: MIT */
/*
 * fuzz/mmap.c - the calls on mappings as the preload object gives them to a
 * program (preload/mmap.c, mremap.c, protect.c), against the kernel's own.
 *
 * There are two arenas of PAGES pages. One is paged, with a budget of half of
 * it, and is worked on by the preload object's functions, which Makefile.am
 * gives other names here: mmap() below is preload_mmap(). The other one is
 * ordinary memory, and the same calls on it are system calls. An input is a
 * list of calls, with flags, ranges and errors of all kinds: mmap() over what
 * is there, with hints and elsewhere, of files and shared memory; munmap();
 * mprotect(); madvise(); mremap(), also over other pages; mlock(), mlock2(),
 * munlock(), munlockall(), mlockall(); msync(); mincore(); and stores.
 *
 * Compared after each: the result and errno; of the pages that it is about, and
 * at the end of all, what can be read, what can be written, and whether they
 * are locked (MADV_COLD says so). Reading and writing are system calls, too,
 * which fail with EFAULT where an access would be SIGSEGV or SIGBUS.
 *
 * What may be different is in vvmrun(1), and in may_refuse() below: then the
 * call is not made on the other side, and nothing may have changed. Where the
 * kernel itself leaves something open, both sides are made the same:
 * settle().
 */
#define _GNU_SOURCE 1
#include "fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "preload/gate.h"
#include "preload/state.h"
#include "preload/tid.h"
#include "support/sanitizer.h"
#include "vvm.h"

#define PAGE	((size_t)4096)
#define PAGES	24u
#define BUDGET	12u
#define NOTHING (~(size_t)0)
#define ZEROS	(MAP_PRIVATE | MAP_ANONYMOUS)
#define RW	(PROT_READ | PROT_WRITE)

/* Far from where the kernel puts what others map, who would fill our holes. */
#define PAGED_AT ((char *)0x280000000000)
#define PLAIN_AT ((char *)0x200000000000)

#define NOREPLACE 0x100000 /* MAP_FIXED_NOREPLACE: 4.17 */
#define DONTUNMAP 4	   /* MREMAP_DONTUNMAP: 5.7 */

enum { PAGED, PLAIN, SIDES };

enum what {
	MAP,
	UNMAP,
	PROTECT,
	ADVISE,
	REMAP,
	LOCK,
	UNLOCK,
	LOCK_ALL,
	UNLOCK_ALL,
	SYNC,
	CORE,
	STORE
};

/* A call, for both sides; pages and bytes count from the arena's start. */
struct call {
	enum what what;
	size_t at, len; /* bytes; at NOTHING: no address */
	size_t to, new_len;
	int prot, flags; /* or advice */
	int fd;		 /* -1, or 0: the side's file */
	off_t offset;
	uint64_t value;
};

struct result {
	bool ok;
	int error;
	char *where; /* of MAP and REMAP */
};

static char *const arena[SIDES] = {PAGED_AT, PLAIN_AT};
static int file[SIDES], tube[2];
static unsigned heap_regions;
static bool over; /* the rest of the input cannot be compared */

/* ---- what the preload object has elsewhere ---- */

long gate(long number, long a, long b, long c, long d, long e, long f)
{
	return syscall(number, a, b, c, d, e, f);
}

/* No thread is made by clone(). */
void preload_tids_sweep(void)
{
}

void preload_tids_forget(uint64_t start, uint64_t len)
{
	(void)start;
	(void)len;
}

void preload_tids_keep(uint64_t start, uint64_t len)
{
	(void)start;
	(void)len;
}

/* ---- arenas ---- */

static char *address(int side, size_t at)
{
	return at == NOTHING ? NULL : arena[side] + at;
}

/* ---- making a call ---- */

static long call_paged(const struct call *c, char *at, char *to, int fd)
{
	static unsigned char core[PAGES + 2];

	switch (c->what) {
	case MAP:
		return (long)mmap(at, c->len, c->prot, c->flags, fd, c->offset);
	case UNMAP:
		return munmap(at, c->len);
	case PROTECT:
		return mprotect(at, c->len, c->prot);
	case ADVISE:
		return madvise(at, c->len, c->flags);
	case REMAP:
		return (long)mremap(at, c->len, c->new_len, c->flags, to);
	case LOCK:
		return mlock2(at, c->len, (unsigned)c->flags);
	case UNLOCK:
		return munlock(at, c->len);
	case LOCK_ALL:
		return mlockall(c->flags);
	case UNLOCK_ALL:
		return munlockall();
	case CORE:
		return mincore(at, c->len, core);
	default:
		return syscall(SYS_msync, at, c->len, c->flags);
	}
}

static long call_plain(const struct call *c, char *at, char *to, int fd)
{
	static unsigned char core[PAGES + 2];

	switch (c->what) {
	case MAP:
		return syscall(SYS_mmap, at, c->len, c->prot, c->flags, fd,
			       c->offset);
	case UNMAP:
		return syscall(SYS_munmap, at, c->len);
	case PROTECT:
		return syscall(SYS_mprotect, at, c->len, c->prot);
	case ADVISE:
		return syscall(SYS_madvise, at, c->len, c->flags);
	case REMAP:
		return syscall(SYS_mremap, at, c->len, c->new_len, c->flags,
			       to);
	case LOCK:
		return syscall(SYS_mlock2, at, c->len, c->flags);
	case UNLOCK:
		return syscall(SYS_munlock, at, c->len);
	case LOCK_ALL:
		return syscall(SYS_mlockall, c->flags);
	case UNLOCK_ALL:
		return syscall(SYS_munlockall);
	case CORE:
		return syscall(SYS_mincore, at, c->len, core);
	default:
		return syscall(SYS_msync, at, c->len, c->flags);
	}
}

/* Through a tube: bytes to memory, or from it. 0 or an errno. */
static int put(char *to, uint64_t value)
{
	uint64_t back;
	int error = 0;

	MUST_EQ(write(tube[1], &value, sizeof(value)), sizeof(value));
	if (read(tube[0], to, sizeof(value)) == sizeof(value))
		return 0;
	error = errno;
	MUST_EQ(read(tube[0], &back, sizeof(back)), sizeof(back));
	return error;
}

static int get(const char *from, uint64_t *value)
{
	if (write(tube[1], from, sizeof(*value)) < 0)
		return errno;
	MUST_EQ(read(tube[0], value, sizeof(*value)), sizeof(*value));
	return 0;
}

static struct result make(const struct call *c, int side)
{
	char *at = address(side, c->at), *to = address(side, c->to);
	int fd = c->fd < 0 ? -1 : file[side];
	struct result r = {0};
	long rc;

	if (c->what == STORE) {
		r.error = put(at, c->value);
		r.ok = !r.error;
		return r;
	}
	errno = 0;
	rc = side == PAGED ? call_paged(c, at, to, fd)
			   : call_plain(c, at, to, fd);
	r.ok = rc != -1;
	r.error = r.ok ? 0 : errno;
	r.where = (char *)rc;
	return r;
}

/* ---- looking ---- */

struct page {
	uint64_t first, last; /* words */
	bool readable, writable, mapped, locked;
};

static int advise(int side, char *p, int advice)
{
	int rc = side == PAGED ? madvise(p, PAGE, advice)
			       : (int)syscall(SYS_madvise, p, PAGE, advice);

	return rc ? errno : 0;
}

static struct page look(int side, char *p)
{
	struct page page = {0};
	int cold = advise(side, p, MADV_COLD);

	page.mapped = cold != ENOMEM;
	page.locked = cold == EINVAL;
	page.readable = !get(p, &page.first);
	if (page.readable && !get(p + PAGE - 8, &page.last))
		page.writable = !put(p, page.first);
	return page;
}

static void compare_page(char *paged, char *plain)
{
	struct page a = look(PAGED, paged), b = look(PLAIN, plain);

	if (memcmp(&a, &b, sizeof(a)))
		fprintf(stderr, "page %p and %p\n", paged, plain);

	MUST_EQ(a.mapped, b.mapped);
	MUST_EQ(a.readable, b.readable);
	MUST_EQ(a.writable, b.writable);
	MUST_EQ(a.locked, b.locked);
	MUST_EQ(a.first, b.first);
	MUST_EQ(a.last, b.last);
}

static void compare_range(size_t at, size_t len)
{
	size_t page = at / PAGE, end = (at + len + PAGE - 1) / PAGE + 1;

	if (at == NOTHING || at >= PAGES * PAGE || len > PAGES * PAGE)
		return;
	for (page -= page > 0; page < end && page < PAGES; page++)
		compare_page(arena[PAGED] + page * PAGE,
			     arena[PLAIN] + page * PAGE);
}

/* The pages of the range that libvvm has. */
static unsigned paged_pages(size_t at, size_t len)
{
	uint64_t p = (uint64_t)address(PAGED, at) & -PAGE;
	uint64_t end = (uint64_t)address(PAGED, at) + len;
	struct vvm_region r;
	unsigned n = 0;

	for (; at != NOTHING && p < end; p += PAGE)
		n += !vvm_query(preload.vm, p, &r) && r.start <= p;
	return n;
}

/* On the plain side, where that is the kernel's word. */
static bool any_locked(size_t at, size_t len)
{
	size_t p;

	for (p = at & -PAGE; p < at + len && p < PAGES * PAGE; p += PAGE)
		if (advise(PLAIN, arena[PLAIN] + p, MADV_COLD) == EINVAL)
			return true;
	return false;
}

static bool any_hole(size_t at, size_t len)
{
	size_t p;

	for (p = at & -PAGE; p < at + len && p < PAGES * PAGE; p += PAGE)
		if (advise(PLAIN, arena[PLAIN] + p, MADV_COLD) == ENOMEM)
			return true;
	return false;
}

/* ---- what may be different ---- */

static bool is_refused_advice(int advice)
{
	static const int refused[] = {10, 12, 13, 14, 17, 18, 25, 102, 103};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(refused); i++)
		if (advice == refused[i])
			return true;
	return false;
}

static bool grows(const struct call *c)
{
	return (c->new_len + PAGE - 1) / PAGE > (c->len + PAGE - 1) / PAGE;
}

/* vvmrun(1). Then the kernel is not asked. */
static bool may_refuse(const struct call *c, const struct result *r,
		       unsigned paged)
{
	if (c->what == LOCK_ALL)
		return !r->ok && r->error == ENOMEM;
	if (r->ok || !paged)
		return false;
	switch (c->what) {
	case ADVISE:
		return r->error == EINVAL &&
		       (is_refused_advice(c->flags) ||
			(c->flags == 24 && any_locked(c->at, c->len)));
	case LOCK: /* MLOCK_ONFAULT locks at once what it may not read */
		return r->error == EAGAIN ||
		       (c->flags == 1 && r->error == ENOMEM);
	case REMAP:
		return r->error == EAGAIN;
	default:
		return false;
	}
}

static void on_both(size_t at, size_t len, bool unmap, int advice)
{
	size_t p;

	for (p = at & -PAGE; p < at + len && p < PAGES * PAGE; p += PAGE) {
		if (unmap) {
			MUST_EQ(munmap(arena[PAGED] + p, PAGE), 0);
			MUST_EQ(syscall(SYS_munmap, arena[PLAIN] + p, PAGE), 0);
			continue;
		}
		munlock(arena[PAGED] + p, PAGE);
		syscall(SYS_munlock, arena[PLAIN] + p, PAGE);
		if (advice < 0)
			continue;
		advise(PAGED, arena[PAGED] + p, advice);
		advise(PLAIN, arena[PLAIN] + p, advice);
	}
}

/*
 * What calls leave open: which pages a failed lock has locked, which a failed
 * discard has discarded, when what is free is gone, and whether a failed move
 * has unmapped where it was to go. And MREMAP_DONTUNMAP takes the locks off all
 * of the mapping of which a part has moved.
 */
static void settle(const struct call *c, const struct result *r)
{
	if (c->at == NOTHING || c->at >= PAGES * PAGE || c->len > PAGES * PAGE)
		return;
	if (c->what == LOCK && !r->ok)
		on_both(c->at, c->len, false, -1);
	if (c->what == ADVISE &&
	    (c->flags == MADV_FREE ||
	     (!r->ok && (c->flags == MADV_DONTNEED || c->flags == 24))))
		on_both(c->at, c->len, false, MADV_DONTNEED);
	if (c->what == REMAP && r->ok && c->flags & DONTUNMAP)
		on_both(0, PAGES * PAGE, false, -1);
	if (c->what == REMAP && !r->ok && c->flags & MREMAP_FIXED &&
	    c->to % PAGE == 0 && c->new_len <= PAGES * PAGE)
		on_both(c->to, c->new_len, true, -1);
}

/* ---- comparing ---- */

/* What lies elsewhere is looked at once. */
static void compare_elsewhere(char *paged, char *plain, size_t len)
{
	size_t p;

	len = (len + PAGE - 1) & -PAGE;
	for (p = 0; p < len; p += PAGE)
		compare_page(paged + p, plain + p);
	MUST_EQ(munmap(paged, len), 0);
	MUST_EQ(syscall(SYS_munmap, plain, len), 0);
}

/* Out of the arena, where the kernel has let it grow in place. */
static char *move_away(char *p, size_t len)
{
	char *to =
		(char *)syscall(SYS_mmap, NULL, len, PROT_NONE, ZEROS, -1, 0);

	MUST(to != MAP_FAILED);
	return (char *)syscall(SYS_mremap, p, len, len,
			       MREMAP_MAYMOVE | MREMAP_FIXED, to);
}

static void compare_places(const struct call *c, struct result *a,
			   struct result *b)
{
	size_t len = c->what == MAP ? c->len : c->new_len;
	bool here[SIDES];

	here[PAGED] = a->where >= arena[PAGED] &&
		      a->where < arena[PAGED] + PAGES * PAGE;
	here[PLAIN] = b->where >= arena[PLAIN] &&
		      b->where < arena[PLAIN] + PAGES * PAGE;
	if (c->what == REMAP && !here[PAGED] && here[PLAIN] &&
	    b->where == address(PLAIN, c->at) &&
	    !(c->flags & (MREMAP_FIXED | DONTUNMAP))) {
		b->where = move_away(b->where, (len + PAGE - 1) & -PAGE);
		here[PLAIN] = false;
		if (b->where == MAP_FAILED) {
			over = true;
			return;
		}
	}
	MUST_EQ(here[PAGED], here[PLAIN]);
	if (here[PAGED]) {
		MUST_EQ(a->where - arena[PAGED], b->where - arena[PLAIN]);
		compare_range((size_t)(a->where - arena[PAGED]), len);
	} else {
		compare_elsewhere(a->where, b->where, len);
	}
}

/*
 * A move of a range of several mappings: the kernel tells them by more than we
 * do, and newer ones move some of them, even with holes between.
 */
static bool moves_several(const struct call *c, const struct result *a,
			  const struct result *b, bool hole)
{
	if (c->what != REMAP || c->len <= PAGE)
		return false;
	if (a->ok && b->ok)
		return hole;
	return a->ok ? b->error == EFAULT
		     : a->error == EFAULT && b->error != EFAULT;
}

static void give_up(const struct call *c, const struct result *a,
		    const struct result *b)
{
	over = a->ok || b->ok;
	if (a->ok)
		MUST_EQ(munmap(a->where, c->new_len), 0);
	if (b->ok)
		MUST_EQ(syscall(SYS_munmap, b->where, c->new_len), 0);
}

/* True: the call is over and done with. */
static bool compare_refused(const struct call *c, const struct result *a,
			    unsigned paged)
{
	struct result b;

	if (may_refuse(c, a, paged))
		return true;
	if (c->what != REMAP || a->ok || !paged || a->error != ENOMEM ||
	    !grows(c) || c->flags & MREMAP_MAYMOVE)
		return false;
	b = make(c, PLAIN);
	if (b.ok) /* grown in place */
		MUST_EQ(syscall(SYS_munmap,
				b.where + ((c->len + PAGE - 1) & -PAGE),
				c->new_len - c->len),
			0);
	else
		MUST(b.error == ENOMEM || b.error == EFAULT);
	return true;
}

/* FUZZ_TRACE: what an input does. */
static void trace(const struct call *c, const char *side,
		  const struct result *r)
{
	static const char *const names[] = {
		"mmap",	      "munmap", "mprotect", "madvise",
		"mremap",     "mlock2", "munlock",  "mlockall",
		"munlockall", "msync",	"mincore",  "store",
	};

	static int wanted = -1;

	if (wanted < 0)
		wanted = getenv("FUZZ_TRACE") != NULL;
	if (wanted)
		fprintf(stderr,
			"%s %s: at %zx len %zx prot %#x flags %#x fd %d+%ld to "
			"%zx new %zx: %d errno %d at %p\n",
			side, names[c->what], c->at, c->len, (unsigned)c->prot,
			(unsigned)c->flags, c->fd, (long)c->offset, c->to,
			c->new_len, r->ok, r->error, (void *)r->where);
}

/* To the kernel PROT_WRITE alone is not to be read, though it can be. */
static bool populates_writable(const struct call *c, const struct result *a,
			       const struct result *b)
{
	return c->what == ADVISE && c->flags == MADV_POPULATE_READ && a->ok &&
	       b->error == EINVAL;
}

static void run_call(const struct call *c)
{
	unsigned paged = paged_pages(c->at, c->len ? c->len : 1);
	bool hole = c->what == REMAP && any_hole(c->at, c->len);
	struct result a, b;

	if (c->what == SYNC && c->flags & MS_INVALIDATE &&
	    any_locked(c->at, c->len))
		return;
	a = make(c, PAGED);
	trace(c, "paged", &a);
	if (!compare_refused(c, &a, paged)) {
		b = make(c, PLAIN);
		trace(c, "plain", &b);
		if (moves_several(c, &a, &b, hole)) {
			give_up(c, &a, &b);
			return;
		}
		if (!populates_writable(c, &a, &b)) {
			MUST_EQ(a.ok, b.ok);
			MUST_EQ(a.error, b.error);
		}
		settle(c, &a);
		if (a.ok && (c->what == MAP || c->what == REMAP))
			compare_places(c, &a, &b);
	} else {
		settle(c, &a);
	}
	if (!over)
		compare_range(c->at, c->len);
}

/* ---- calls from bytes ---- */

static const int map_flags[] = {
	ZEROS | MAP_FIXED,
	ZEROS | MAP_FIXED,
	ZEROS | MAP_FIXED | MAP_NORESERVE,
	ZEROS | MAP_FIXED | MAP_POPULATE,
	ZEROS | MAP_FIXED | MAP_LOCKED,
	ZEROS | MAP_FIXED | MAP_STACK,
	ZEROS | MAP_FIXED | NOREPLACE,
	ZEROS | NOREPLACE,
	ZEROS,
	ZEROS | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK,
	ZEROS | MAP_32BIT,
	MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED,
	MAP_SHARED | MAP_ANONYMOUS,
	MAP_PRIVATE | MAP_FIXED,
	MAP_SHARED | MAP_FIXED,
	MAP_SHARED,
	MAP_ANONYMOUS | MAP_FIXED,
	MAP_PRIVATE,
};

/* 100 and 101 would make RAM bad. */
static const int advices[] = {
	0,  1,	2,  3,	4,  4,	4,  5,	8,  9,	10, 11, 12,  13,  14,  15, 16,
	17, 18, 19, 20, 21, 21, 22, 23, 24, 25, 26, 99, 102, 103, 104, -1, 4711,
};

static int some_prot(unsigned a)
{
	static const int prots[] = {
		RW,	   RW,	      RW,	  PROT_READ,
		PROT_READ, PROT_NONE, PROT_WRITE, PROT_READ | PROT_EXEC,
		7};

	return prots[a % ARRAY_SIZE(prots)];
}

static void make_odd(struct call *c, unsigned how)
{
	switch (how) {
	case 1:
		c->at += 1;
		break;
	case 2:
		c->len -= c->len > 100 ? 100 : 0;
		break;
	case 3:
		c->len = 0;
		break;
	case 4:
		c->len = SIZE_MAX - 100;
		break;
	case 5:
		c->offset = 1;
		break;
	case 6:
		c->prot |= 0x01000000; /* PROT_GROWSDOWN */
		break;
	case 7:
		c->prot |= 0x10;
		break;
	case 8:
		c->to += 1;
		break;
	case 9:
		c->new_len = 0;
		break;
	default:
		break;
	}
}

static void read_range(struct call *c, struct fuzz_input *in)
{
	unsigned first = fuzz_below(in, PAGES), n = 1 + fuzz_below(in, 8);

	n = n < PAGES - first ? n : PAGES - first;
	c->at = first * PAGE;
	c->len = n * PAGE;
}

static void read_remap(struct call *c, struct fuzz_input *in)
{
	static const int flags[] = {0, 1, 1, 1, 3, 3, 3, 2, 5, 7, 4, 16};
	unsigned to = fuzz_below(in, PAGES), n = 1 + fuzz_below(in, 8);

	if (fuzz_byte(in) & 1)
		n = (unsigned)(c->len / PAGE);
	c->flags = flags[fuzz_below(in, ARRAY_SIZE(flags))];
	n = n < PAGES - to ? n : PAGES - to;
	c->to = to * PAGE;
	c->new_len = n * PAGE;
}

static void read_map(struct call *c, struct fuzz_input *in)
{
	c->flags = map_flags[fuzz_below(in, ARRAY_SIZE(map_flags))];
	c->prot = some_prot(fuzz_byte(in));
	c->fd = c->flags & MAP_ANONYMOUS || fuzz_byte(in) > 240 ? -1 : 0;
	c->offset = c->fd < 0 ? 0 : (off_t)(fuzz_below(in, 6) * PAGE);
	if (!(c->flags & (MAP_FIXED | NOREPLACE)) && fuzz_byte(in) & 1)
		c->at = NOTHING;
}

static const enum what whats[] = {
	MAP,	MAP,	    MAP,    UNMAP, UNMAP,    PROTECT, PROTECT,
	ADVISE, ADVISE,	    ADVISE, REMAP, REMAP,    REMAP,   LOCK,
	LOCK,	UNLOCK,	    STORE,  STORE, STORE,    STORE,   STORE,
	SYNC,	UNLOCK_ALL, CORE,   CORE,  LOCK_ALL,
};

static void obey(struct fuzz_input *in)
{
	struct call c = {.fd = -1};
	unsigned a;

	c.what = whats[fuzz_below(in, ARRAY_SIZE(whats))];
	read_range(&c, in);
	a = fuzz_byte(in);
	c.prot = some_prot(a);
	c.flags = a % 8;
	c.value = (uint64_t)(in->size + 1) * 0x0101010101;
	if (c.what == MAP)
		read_map(&c, in);
	else if (c.what == REMAP)
		read_remap(&c, in);
	else if (c.what == ADVISE)
		c.flags = advices[a % ARRAY_SIZE(advices)];
	else if (c.what == LOCK)
		c.flags = a > 230 ? -1 : (int)(a & 1);
	else if (c.what == STORE)
		c.len = 8;
	else
		c.flags = a % 8;
	/* DONTUNMAP: whether lengths are compared in bytes or in pages */
	if (c.at != NOTHING && !(c.what == REMAP && c.flags & DONTUNMAP) &&
	    c.what != STORE && a > 128)
		make_odd(&c, fuzz_below(in, 32));
	run_call(&c);
}

/* ---- all of it ---- */

static void set_up_files(void)
{
	uint64_t page[PAGE / 8];
	unsigned side, i;

	for (side = 0; side < SIDES; side++) {
		file[side] = memfd_create("fuzz_mmap", MFD_CLOEXEC);
		MUST(file[side] >= 0);
		for (i = 0; i < 8; i++) {
			memset(page, (int)i + 0x30, PAGE);
			MUST_EQ(pwrite(file[side], page, PAGE,
				       (off_t)(i * PAGE)),
				PAGE);
		}
	}
}

/* The heap has some. */
static unsigned regions(void)
{
	struct vvm_region r = {0};
	unsigned n = 0;

	while (vvm_query(preload.vm, r.end, &r) == 0)
		n++;
	return n;
}

/* False: there can be no space here, or ThreadSanitizer has our addresses. */
static bool set_up(void)
{
	static int state; /* 1 open, -1 refused */
	struct vvm_options options;

	if (state)
		return state > 0;
	state = -1;
	MUST_EQ(vvm_options_init(&options), 0);
	options.resident_bytes = BUDGET * PAGE;
	options.handlers = 1;
	options.spin_us = 0;
	options.stat_segment = 0;
	options.fork = VVM_FORK_DIE;
	options.faults = VVM_FAULTS_THREAD;
	fuzz_refused = LIVE_TSAN || vvm_open(&preload.vm, &options);
	if (fuzz_refused)
		return false;
	state = 1;
	MUST_EQ(vvm_heap_open(preload.vm, NULL, &preload.heap), 0);
	preload.paging = true;
	preload.inherits = true;
	preload.mmap_min = 1;
	MUST_EQ(pipe(tube), 0);
	heap_regions = regions();
	return true;
}

static void begin(void)
{
	unsigned side;

	over = false;
	set_up_files();
	MUST(mmap(arena[PAGED], PAGES * PAGE, RW, ZEROS, -1, 0) ==
	     arena[PAGED]);
	MUST(syscall(SYS_mmap, arena[PLAIN], PAGES * PAGE, RW,
		     ZEROS | NOREPLACE, -1, 0) == (long)arena[PLAIN]);
	for (side = 0; side < SIDES; side++)
		memset(arena[side] + PAGE, 0x55, (PAGES - 8) * PAGE);
}

/* Nothing is left in the space. */
static void end(void)
{
	struct vvm_stats stats;

	if (!over)
		compare_range(0, PAGES * PAGE);
	MUST_EQ(munmap(arena[PAGED], PAGES * PAGE), 0);
	MUST_EQ(syscall(SYS_munmap, arena[PLAIN], PAGES * PAGE), 0);
	close(file[PAGED]);
	close(file[PLAIN]);
	MUST_EQ(vvm_stats(preload.vm, &stats, sizeof(stats)), 0);
	MUST_EQ(stats.pinned_pages, 0);
	MUST_EQ(regions(), heap_regions);
}

/*
 * What was found, in calls. tests/script/vvmrun_flags.c has the rest, which all
 * kernels do in the same way.
 */
static void run_found(void)
{
	/* all pages were locked after the move if the first one was */
	static const struct call locked[] = {
		{.what = LOCK, .at = 3 * PAGE, .len = PAGE, .fd = -1},
		{.what = REMAP,
		 .at = 3 * PAGE,
		 .len = 4 * PAGE,
		 .to = 12 * PAGE,
		 .new_len = 4 * PAGE,
		 .flags = MREMAP_MAYMOVE | MREMAP_FIXED,
		 .fd = -1},
	};
	size_t i;

	begin();
	for (i = 0; i < ARRAY_SIZE(locked) && !over; i++)
		run_call(&locked[i]);
	end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	static bool found;

	if (!set_up())
		return 0;
	if (!found)
		run_found();
	found = true;
	begin();
	while (in.size && !over)
		obey(&in);
	end();
	return 0;
}

const long fuzz_runs = 80;

size_t fuzz_make(uint8_t *data, size_t most)
{
	return fuzz_make_bytes(data, 4, most < 120 ? most : 120);
}
