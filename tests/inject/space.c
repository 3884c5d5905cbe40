/* SPDX-License-Identifier: MIT */
/*
 * inject/space.c - opening, mapping, touching, paging, unmapping, resizing and
 * closing, with every system call failing in turn: inject/walk.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inject/pages.h"
#include "support/access.h"
#include "support/files.h"
#include "support/frames.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

#define COUNT 24 /* pages, twice the budget */

/* ---- open ---- */

/* vvm_open() with o; what it opens works. */
static void open_with(const struct vvm_options *o)
{
	struct pages p;
	int rc;

	vm = NULL;
	walk_arm();
	rc = vvm_open(&vm, o);
	walk_disarm();
	pages_allow("vvm_open", rc,
		    (const int[]){EINVAL, EPERM, ENOSYS, ENOTSUP, EBUSY, EAGAIN,
				  ENOENT, EACCES, ENOTDIR, ELOOP, EROFS, EIO,
				  ENOSPC, EFBIG, ENOMEM, EMFILE, ENFILE, 0});
	if (rc) {
		live_check(!vm);
		return;
	}
	pages_map(&p, COUNT);
	pages_fill(&p, 1);
	pages_verify(&p);
	pages_close();
}

static void run_open(void)
{
	struct vvm_options o;

	pages_options(&o, VVM_FORK_DIE);
	o.swap_limit_bytes = 0;
	open_with(&o);
}

/* A file by name, that is there, of which all is reserved; and all extras. */
static void run_open_more(void)
{
	const char *path = live_path("swap");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct vvm_options o;
	struct stat st;

	live_check(fd >= 0 && ftruncate(fd, 10) == 0);
	pages_options(&o, VVM_FORK_INHERIT);
	o.swap_path = path;
	o.swap_reserve = 1;
	o.stat_segment = 1;
	open_with(&o);
	/* nobody's memory stays in it; but what did not get so far is as before */
	live_check(fstat(fd, &st) == 0 && st.st_blocks <= 8);
	close(fd);
	unlink(path);
}

/* ---- map, protect, advise ---- */

/* Every page is as vvm_query() says, by an access. */
static void check_prot(const struct vvm_region *r)
{
	unsigned long long start = r->start;
	char *at = r->host;
	uint64_t value;

	if (live_try_load(at, &value) == SIGSEGV ? r->prot & VVM_READ
						 : !(r->prot & VVM_READ))
		live_fail("%llx: prot is %u, but not to reads", start, r->prot);
	if (live_try_store(at, 0) == SIGSEGV ? r->prot & VVM_WRITE
					     : !(r->prot & VVM_WRITE))
		live_fail("%llx: prot is %u, but not to writes", start,
			  r->prot);
}

static void check_regions(void)
{
	struct vvm_region r;
	uint64_t at = 0;

	while (vvm_query(vm, at, &r) == 0) {
		check_prot(&r);
		at = r.end;
	}
}

/* An address that is free. */
static void *free_place(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	live_check(p != MAP_FAILED && munmap(p, bytes) == 0);
	return p;
}

static void run_map(void)
{
	uint64_t bytes = 8 << 20, any = VVM_ANYWHERE, at = (uint64_t)1 << 46;
	struct pages kept;
	int any_rc, at_rc;
	void *place;

	pages_open(VVM_FORK_DIE);
	pages_map(&kept, 4);
	pages_fill(&kept, 1);
	place = free_place(COUNT * LIVE_PAGE);
	walk_arm();
	PAGES_ALLOW(vvm_map_at(vm, place, COUNT * LIVE_PAGE, LIVE_RW, "host"),
		    ENOMEM);
	any_rc = vvm_map(vm, &any, bytes, LIVE_RW, "any");
	PAGES_ALLOW(any_rc, ENOMEM);
	live_check(any_rc == 0 || any == VVM_ANYWHERE);
	at_rc = vvm_map(vm, &at, bytes, VVM_READ, "at");
	PAGES_ALLOW(at_rc, ENOMEM);
	if (any_rc == 0) {
		PAGES_ALLOW(
			vvm_protect(vm, any + bytes / 2, LIVE_PAGE, VVM_NONE),
			ENOMEM);
		PAGES_ALLOW(
			vvm_protect(vm, any + bytes / 4, bytes / 2, VVM_READ),
			ENOMEM);
		PAGES_ALLOW(vvm_advise(vm, any, LIVE_PAGE, VVM_ADV_RANDOM),
			    ENOMEM);
		PAGES_ALLOW(vvm_unmap(vm, any + 8 * LIVE_PAGE, 2 * LIVE_PAGE),
			    ENOMEM);
	}
	PAGES_ALLOW(vvm_advise(vm, live_addr(kept.base), 4 * LIVE_PAGE,
			       VVM_ADV_COLD),
		    ENOMEM);
	PAGES_ALLOW(vvm_protect(vm, live_addr(kept.base), LIVE_PAGE, VVM_READ),
		    ENOMEM);
	walk_disarm();
	pages_verify(&kept);
	check_regions();
	pages_close();
}

/* ---- files ---- */

static uint64_t file_word(unsigned i)
{
	return live_stamp(i, 99);
}

static int make_file(void)
{
	int fd = open(live_path("file"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	unsigned i;

	live_check(fd >= 0);
	for (i = 0; i < COUNT; i++) {
		uint64_t word = file_word(i);

		live_equal(pwrite(fd, &word, 8, (off_t)(i * LIVE_PAGE)), 8);
	}
	live_equal(ftruncate(fd, (off_t)(COUNT * LIVE_PAGE)), 0);
	live_equal(fsync(fd), 0);
	return fd;
}

/* What can be read is right. */
static void use_file(char *p)
{
	uint64_t value;
	unsigned i;

	for (i = 0; i < COUNT; i++) {
		char *at = p + i * LIVE_PAGE;
		int sig = live_try_load(at, &value);

		live_check(sig ? sig == SIGBUS : value == file_word(i));
		if (i % 3 == 0 && !sig)
			sig = live_try_store(at + 8, i);
		live_check(!sig || sig == SIGBUS);
	}
}

static void run_file(void)
{
	uint64_t at = VVM_ANYWHERE, bytes = COUNT * LIVE_PAGE, value;
	int fd = make_file(), rc;
	unsigned i;
	char *p;

	pages_open(VVM_FORK_DIE);
	walk_arm();
	rc = vvm_map_file(vm, &at, bytes, LIVE_RW, NULL, fd, 0,
			  VVM_FILE_PRIVATE);
	PAGES_ALLOW(rc, ENOMEM, EMFILE, ENFILE, EACCES);
	live_check(rc == 0 || at == VVM_ANYWHERE);
	p = rc ? NULL : vvm_ptr(vm, at);
	if (p) {
		use_file(p);
		PAGES_ALLOW(vvm_advise(vm, at, bytes, VVM_ADV_DONTNEED),
			    ENOMEM);
		use_file(p);
	}
	walk_disarm();
	if (p) {
		live_ok(vvm_advise(vm, at, bytes, VVM_ADV_DONTNEED));
		for (i = 0; i < COUNT; i++) {
			/* a frame may take longer on a loaded machine */
			live_wait(!live_try_load(p + i * LIVE_PAGE, &value),
				  20000);
			live_equal(value, file_word(i));
			live_wait(!live_try_load(p + i * LIVE_PAGE + 8, &value),
				  20000);
			live_equal(value, 0);
		}
	}
	pages_close();
	close(fd);
}

/* Of a shared file: what was stored, by page; 0: nothing. */
static void use_shared(char *p, uint64_t *stored, uint64_t version)
{
	unsigned i;

	for (i = 0; i < COUNT; i++) {
		uint64_t value = live_stamp(i, version);
		int sig = live_try_store(p + i * LIVE_PAGE + 8, value);

		live_check(!sig || sig == SIGBUS);
		stored[i] = sig ? stored[i] : value;
	}
}

static uint64_t in_file(int fd, unsigned i)
{
	uint64_t value = 0;

	live_equal(pread(fd, &value, 8, (off_t)(i * LIVE_PAGE + 8)), 8);
	return value;
}

static void check_shared(int fd, const uint64_t *stored)
{
	uint64_t word;
	unsigned i;

	for (i = 0; i < COUNT; i++) {
		live_equal(in_file(fd, i), stored[i]);
		live_equal(pread(fd, &word, 8, (off_t)(i * LIVE_PAGE)), 8);
		live_equal(word, file_word(i));
	}
}

/* Whatever fails, what was stored is in the file in the end. */
static void run_shared(void)
{
	uint64_t at = VVM_ANYWHERE, bytes = COUNT * LIVE_PAGE,
		 stored[COUNT] = {0};
	int fd = make_file(), rc;
	unsigned i;
	char *p;

	for (i = 0; i < COUNT; i++) /* of the last round */
		live_equal(pwrite(fd, "\0\0\0\0\0\0\0", 8,
				  (off_t)(i * LIVE_PAGE + 8)),
			   8);
	live_equal(fsync(fd), 0);
	pages_open(VVM_FORK_DIE);
	walk_arm();
	rc = vvm_map_file(vm, &at, bytes, LIVE_RW, NULL, fd, 0,
			  VVM_FILE_SHARED);
	PAGES_ALLOW(rc, ENOMEM, EMFILE, ENFILE, EACCES);
	live_check(rc == 0 || at == VVM_ANYWHERE);
	p = rc ? NULL : vvm_ptr(vm, at);
	if (p) {
		use_shared(p, stored, 1);
		rc = vvm_sync(vm, at, bytes, VVM_SYNC_SYNC);
		PAGES_ALLOW(rc, EIO, ENOSPC, EDQUOT, EFBIG, ENOMEM);
		for (i = 0; rc == 0 && i < COUNT; i++)
			live_equal(in_file(fd, i), stored[i]);
		PAGES_ALLOW(vvm_advise(vm, at, bytes, VVM_ADV_DONTNEED),
			    ENOMEM);
		use_shared(p, stored, 2);
		PAGES_ALLOW(vvm_sync(vm, at, bytes,
				     VVM_SYNC_ASYNC | VVM_SYNC_INVALIDATE),
			    EIO, ENOSPC, EDQUOT, EFBIG, ENOMEM);
		use_shared(p, stored, 3);
	}
	walk_disarm();
	if (p) {
		live_ok(vvm_sync(vm, at, bytes, VVM_SYNC_SYNC));
		check_shared(fd, stored);
		/* those that could not be read can be now */
		live_ok(vvm_sync(vm, at, bytes, VVM_SYNC_INVALIDATE));
		for (i = 0; i < COUNT; i++)
			live_wait(!live_try_store(p + i * LIVE_PAGE + 8, i),
				  20000);
	}
	pages_close();
	for (i = 0; p && i < COUNT; i++)
		live_equal(in_file(fd, i), i);
	close(fd);
}

/* ---- touch ---- */

static void touch_checked(struct pages *p)
{
	uint64_t a = live_addr(p->base), value = 7, got;
	int rc;

	PAGES_ALLOW(vvm_touch(vm, a + LIVE_PAGE, 2 * LIVE_PAGE, VVM_TOUCH_READ),
		    VVM_ENOFRAME, ENOMEM);
	PAGES_ALLOW(
		vvm_touch(vm, a + 3 * LIVE_PAGE, LIVE_PAGE, VVM_TOUCH_WRITE),
		VVM_ENOFRAME, ENOMEM);
	rc = vvm_store(vm, a + 4 * LIVE_PAGE + 8, &value, 8);
	PAGES_ALLOW(rc, VVM_ENOFRAME, ENOMEM);
	if (rc == 0)
		p->word[4][0] = value;
	rc = vvm_load(vm, a + 4 * LIVE_PAGE + 8, &got, 8);
	PAGES_ALLOW(rc, VVM_ENOFRAME, ENOMEM);
	live_check(rc || got == p->word[4][0]);
	rc = vvm_pin(vm, a + 4 * LIVE_PAGE, 3 * LIVE_PAGE);
	PAGES_ALLOW(rc, VVM_ENOFRAME, ENOMEM, EAGAIN);
	if (rc == 0)
		live_ok(vvm_unpin(vm, a + 4 * LIVE_PAGE, 3 * LIVE_PAGE));
}

/* The first touch of each page: reads, writes, writes after reads. */
static void run_touch(void)
{
	struct pages p;
	unsigned i;

	pages_open(VVM_FORK_DIE);
	pages_map(&p, PAGES_BUDGET - 1);
	walk_arm();
	pages_read(&p, 0);
	pages_write(&p, 0, 1);
	touch_checked(&p);
	for (i = 7; i < p.count; i++)
		pages_write(&p, i, 1);
	walk_disarm();
	live_equal(live_stats(vm).pinned_pages, 0);
	pages_verify(&p);
	pages_close();
}

/* ---- page-out and page-in ---- */

static void run_out(void)
{
	struct pages p;

	pages_open(VVM_FORK_DIE);
	pages_map(&p, COUNT);
	walk_arm();
	pages_write_all(&p, 1);
	walk_disarm();
	pages_verify(&p);
	pages_fill(&p, 2);
	pages_verify(&p);
	pages_close();
}

static void run_in(void)
{
	struct pages p;
	unsigned i;

	pages_open(VVM_FORK_DIE);
	pages_map(&p, COUNT);
	pages_fill(&p, 1);
	pages_push_out(&p);
	walk_arm();
	for (i = 0; i < COUNT / 2; i++) /* a stream: it is read ahead of */
		pages_read(&p, i);
	for (i = COUNT - 1; i > COUNT / 2; i -= 3)
		pages_write(&p, i, 2);
	PAGES_ALLOW(vvm_advise(vm, live_addr(p.base), 4 * LIVE_PAGE,
			       VVM_ADV_WILLNEED),
		    ENOMEM);
	PAGES_ALLOW(vvm_touch(vm, live_addr(p.base), 2 * LIVE_PAGE,
			      VVM_TOUCH_WRITE),
		    VVM_ENOFRAME, VVM_EPOISON, ENOMEM);
	walk_disarm();
	pages_verify(&p);
	pages_close();
}

/* What a read is tried again for, and then some. */
#define BURST 3

/*
 * The disk fails for a moment, again and again in the life of a space. Each
 * time it is asked once more, as often as the first time, and nobody notices.
 */
static void run_transient(void)
{
	uint64_t n, before;
	struct pages p;

	pages_open(VVM_FORK_DIE);
	pages_map(&p, COUNT);
	walk_arm();
	for (n = 1; walk.n && n <= COUNT; n++) {
		before = os_inject_uses(walk.point);
		os_inject_some(walk.point, n, BURST, walk.error);
		pages_fill(&p, (unsigned)n);
		pages_read_all(&p);
		live_equal(live_stats(vm).poisoned_pages, 0);
		live_equal(live_stats(vm).read_errors, 0);
		if (os_inject_uses(walk.point) < before + n)
			break;
	}
	os_inject(walk.point, 1, false, 0);
	pages_fill(&p, 100);
	pages_read_all(&p);
	walk_disarm();
	pages_verify(&p);
	pages_close();
}

/* ---- unmap, discard ---- */

/* Is page i mapped? */
static bool is_mapped(const struct pages *p, unsigned i)
{
	return vvm_ptr(vm, live_addr(p->base + i * LIVE_PAGE)) != NULL;
}

static bool is_zero(const struct pages *p, unsigned i)
{
	uint64_t value = 1;
	char *at = p->base + i * LIVE_PAGE;

	live_wait(live_try_load(at + 8, &value) == 0 ||
			  live_flags(vm, at) & VVM_PAGE_POISONED,
		  10000);
	return value == 0;
}

/* Discarding [first, first + n) has failed: each page is as before, or zero. */
static void after_discard(struct pages *p, unsigned first, unsigned n, int rc)
{
	unsigned i;

	for (i = first; i < first + n; i++)
		if (rc == 0 || is_zero(p, i))
			pages_zero(p, i, 1);
}

/* Fresh memory is zero, wherever it is and whatever was there before. */
static void check_fresh(unsigned count)
{
	struct pages fresh;

	pages_map(&fresh, count);
	pages_verify(&fresh);
	live_ok(vvm_unmap(vm, live_addr(fresh.base), count * LIVE_PAGE));
}

static void run_unmap(void)
{
	struct pages p;
	uint64_t a;
	unsigned i;
	int rc, parts;

	pages_open(VVM_FORK_DIE);
	pages_map(&p, COUNT);
	pages_fill(&p, 1);
	a = live_addr(p.base);
	walk_arm();
	rc = vvm_advise(vm, a + 18 * LIVE_PAGE, 6 * LIVE_PAGE,
			VVM_ADV_DONTNEED);
	PAGES_ALLOW(rc, ENOMEM);
	parts = vvm_unmap(vm, a + 2 * LIVE_PAGE, 4 * LIVE_PAGE);
	PAGES_ALLOW(parts, ENOMEM);
	PAGES_ALLOW(vvm_unmap(vm, a, 16 * LIVE_PAGE), ENOMEM);
	walk_disarm();
	after_discard(&p, 18, 6, rc);
	for (i = 0; i < COUNT; i++)
		p.gone[i] = !is_mapped(&p, i);
	for (i = 2; i < 6; i++)
		live_check(parts || p.gone[i]);
	for (i = 16; i < COUNT; i++)
		live_check(!p.gone[i]);
	pages_verify(&p);
	live_ok(vvm_unmap(vm, a, COUNT * LIVE_PAGE));
	check_fresh(COUNT);
	pages_close();
}

/* ---- resize ---- */

static void run_resize(void)
{
	struct pages p;
	int rc;

	pages_open(VVM_FORK_DIE);
	pages_map(&p, COUNT);
	pages_fill(&p, 1);
	walk_arm();
	rc = vvm_resize(vm, PAGES_BUDGET / 2 * LIVE_PAGE);
	PAGES_ALLOW(rc, EBUSY);
	live_check(rc || live_stats(vm).resident_pages <= PAGES_BUDGET / 2);
	live_ok(vvm_resize(vm, 2 * PAGES_BUDGET * LIVE_PAGE));
	pages_write_all(&p, 2);
	walk_disarm();
	pages_verify(&p);
	live_wait(vvm_resize(vm, PAGES_BUDGET / 2 * LIVE_PAGE) == 0, 10000);
	live_check(live_within(live_memfd(), PAGES_BUDGET / 2));
	pages_verify(&p);
	pages_close();
}

/* ---- close ---- */

/* Whatever fails, afterwards nothing is left, and nobody reads anything. */
static void run_close(void)
{
	struct pages p, q;
	uint64_t value;

	pages_open(VVM_FORK_DIE);
	pages_map(&p, COUNT);
	pages_map(&q, 4);
	pages_fill(&p, 1);
	pages_fill(&q, 1);
	walk_arm();
	live_ok(vvm_close(vm));
	walk_disarm();
	vm = NULL;
	live_equal(live_try_load(p.base, &value), SIGSEGV);
}

static const unsigned disk[] = {OS_pread, OS_pwrite, OS_ring_enter,
				OS_futex, OS_poll,   WALK_END};

static const struct walk_scenario scenarios[] = {
	{.name = "open", .run = run_open},
	{.name = "open_more", .run = run_open_more},
	{.name = "map", .run = run_map},
	{.name = "file", .run = run_file},
	{.name = "shared", .run = run_shared},
	{.name = "touch", .run = run_touch},
	{.name = "page-out", .run = run_out},
	{.name = "page-in", .run = run_in},
	{.name = "transient",
	 .run = run_transient,
	 .points = disk,
	 .itself = true},
	{.name = "unmap", .run = run_unmap},
	{.name = "resize", .run = run_resize},
	{.name = "close", .run = run_close},
};

static void add_tests(Suite *s)
{
	walk_add(s, scenarios, LIVE_LEN(scenarios));
}

const struct test_program test_program = {
	.name = "inject_space",
	.add = add_tests,
	.missing = live_missing,
	.modes = true,
	.begin = live_dir_make,
	.end = live_dir_remove,
};
