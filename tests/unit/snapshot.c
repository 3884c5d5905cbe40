/* SPDX-License-Identifier: MIT */
/*
 * unit/snapshot.c - snapshots of a space without its threads (support/
 * engine.h): what a fork child reads while its parent changes, evicts, discards
 * and unmaps, each of that with the copies that it takes failing. The child is
 * a process of its own, which reads through its backing as a fault would, when
 * it is told to. Needs userfaultfd, else skips.
 */
#include "snapshot/snapshot.h"

#include <errno.h>
#include <dirent.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/engine.h"
#include "support/engine_app.h"
#include "support/engine_count.h"
#include "support/engine_fault.h"
#include "support/process.h"
#include "support/test.h"

#define RW (VVM_READ | VVM_WRITE)

/* What a child finds of a page. */
enum found { GOOD = 10, LOST, WRONG };

#define ENOUGH 255 /* what the child is sent last */

struct child {
	pid_t pid;
	int go[2], answer[2];
};

static gaddr_t at(unsigned i)
{
	return page_of(addr, i);
}

static void set_up(void)
{
	engine_setup();
	ck_assert_int_eq(snapshots_new(vm), 0);
}

static void tear_down(void)
{
	snapshots_free(vm);
	engine_close();
}

/* ---- forks ---- */

/* As fork/fork.c does it. */
static int take(void)
{
	int rc;

	lock_take(&vm->mapping);
	rwlock_write(&vm->lock);
	rc = snapshot_take(vm);
	rwlock_end_write(&vm->lock);
	lock_drop(&vm->mapping);
	return rc;
}

static void read_done(struct io *io, int result)
{
	if (result < 0)
		memset(io->bad, 0xff, sizeof(io->bad));
}

static enum found look(gaddr_t page, haddr_t host, unsigned version)
{
	struct io io = {.done = read_done,
			.addr = page,
			.slot = inherit_frame(0, host),
			.pages = 1,
			.buf = engine_buf};

	memset(engine_buf, 0, PAGE_BYTES);
	vm->swap->ops->read(vm->swap, NULL, &io);
	if (io_page_bad(&io, 0))
		return LOST;
	return stamped(engine_buf, page, version) ? GOOD : WRONG;
}

/* The child: an answer for each page number that it is sent. */
static void serve(struct child *c)
{
	struct origin origin;
	unsigned char i, found;

	signal(SIGALRM, SIG_DFL);
	alarm(ENGINE_US / 1000000);
	close(c->go[1]);
	close(c->answer[0]);
	os_inject_clear();
	snapshot_inherit(vm, &origin);
	origin.frames = vm->memfd;
	origin.swap = inherit_own(vm->swap);
	vm->swap->ops->forked(vm->swap);
	if (inherit_new(&vm->swap, &origin) < 0)
		_exit(1);
	while (read(c->go[0], &i, 1) == 1 && i != ENOUGH) {
		found = (unsigned char)look(at(i), host_of(at(i)), 1);
		if (write(c->answer[1], &found, 1) != 1)
			_exit(1);
	}
	_exit(0);
}

/* A child of now. */
static struct child fork_child(void)
{
	struct child c;

	ck_assert(!pipe(c.go) && !pipe(c.answer));
	ck_assert_int_eq(take(), 0);
	c.pid = fork();
	if (c.pid == 0)
		serve(&c);
	ck_assert_int_gt(c.pid, 0);
	snapshot_forked(vm);
	close(c.go[0]);
	close(c.answer[1]);
	return c;
}

static enum found ask(const struct child *c, unsigned page)
{
	unsigned char i = (unsigned char)page, found = 0;

	ck_assert_int_eq(write(c->go[1], &i, 1), 1);
	ck_assert_int_eq(read(c->answer[0], &found, 1), 1);
	return (enum found)found;
}

/* Its snapshot ends as well. */
static void end_child(struct child *c)
{
	unsigned char enough = ENOUGH;
	int status = 0;

	ck_assert_int_eq(write(c->go[1], &enough, 1), 1);
	close(c->go[1]);
	close(c->answer[0]);
	ck_assert_int_eq(waitpid(c->pid, &status, 0), c->pid);
	ck_assert_int_eq(status, 0);
	snapshot_reap(vm);
}

/* Pages that the kernel has allocated to the preimages. */
static uint64_t preimages(void)
{
	char path[300], link[64];
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *d;
	uint64_t bytes = 1;

	ck_assert_ptr_nonnull(dir);
	while ((d = readdir(dir))) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%s", d->d_name);
		n = readlink(path, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = '\0';
		if (!strncmp(link, "/memfd:vvm-preimages", 20))
			ck_assert_int_eq(os_allocated(atoi(d->d_name), &bytes),
					 0);
	}
	closedir(dir);
	ck_assert_uint_ne(bytes, 1);
	return bytes_to_pages(bytes);
}

/* The parent writes; the page was FROZEN. */
static void change(unsigned i)
{
	expect_state(at(i), PAGE_FROZEN);
	ck_assert_int_eq(engine_fault(at(i), true), FAULT_DONE);
	expect_state(at(i), PAGE_DIRTY);
	stamp(ptr_of(at(i)), at(i), 2);
}

/* ---- what the child sees ---- */

START_TEST(a_child_sees_the_memory_as_of_the_fork)
{
	struct child c;

	engine_dirty(at(0), 4);
	c = fork_child();
	change(1);
	ck_assert_uint_eq(preimages(), 1);
	ck_assert_int_eq(ask(&c, 0), GOOD);
	ck_assert_int_eq(ask(&c, 1), GOOD);
	change(0);
	ck_assert_int_eq(ask(&c, 0), GOOD);
	ck_assert_int_eq(ask(&c, 3), GOOD);
	ck_assert_int_eq(ask(&c, 7), LOST); /* it was FRESH: it has no frame */
	end_child(&c);
	ck_assert_uint_eq(preimages(), 0);
	expect_state(at(3), PAGE_DIRTY); /* no fault for that any more */
	stamp(ptr_of(at(3)), at(3), 2);
}
END_TEST

/* All children of one moment and of others; who ends first takes nothing. */
START_TEST(several_children)
{
	struct child a, b;

	engine_dirty(at(0), 3);
	a = fork_child();
	change(0);
	stamp(ptr_of(at(0)), at(0), 1);
	b = fork_child(); /* page 0 anew, 1 and 2 FROZEN since before */
	change(1);
	change(0);
	ck_assert_uint_eq(preimages(), 3);
	ck_assert_int_eq(ask(&a, 0), GOOD);
	ck_assert_int_eq(ask(&b, 0), GOOD);
	ck_assert_int_eq(ask(&a, 1), GOOD);
	ck_assert_int_eq(ask(&b, 1), GOOD);
	ck_assert_int_eq(ask(&b, 2), GOOD);
	end_child(&a);
	ck_assert_uint_eq(preimages(), 2);
	change(2); /* it is FROZEN for b */
	ck_assert_int_eq(ask(&b, 0), GOOD);
	ck_assert_int_eq(ask(&b, 1), GOOD);
	ck_assert_int_eq(ask(&b, 2), GOOD);
	end_child(&b);
	ck_assert_uint_eq(preimages(), 0);
}
END_TEST

/* A device may write to it, and no event tells. */
START_TEST(pinned_pages_are_copied_at_once)
{
	struct child c;
	struct block *b;

	engine_dirty(at(0), 5);
	b = block_of(at(2));
	ck_assert_ptr_nonnull(pt_pins(&vm->pt, b));
	pt_set_pinned(b, page_index(at(2)), true);
	lock_drop(&b->lock);
	c = fork_child();
	expect_state(at(2), PAGE_DIRTY);
	stamp(ptr_of(at(2)), at(2), 2);
	change(4); /* behind the pinned one */
	ck_assert_int_eq(ask(&c, 2), GOOD);
	ck_assert_int_eq(ask(&c, 1), GOOD);
	ck_assert_int_eq(ask(&c, 4), GOOD);
	end_child(&c);
	b = block_of(at(2));
	pt_set_pinned(b, page_index(at(2)), false);
	lock_drop(&b->lock);
}
END_TEST

/* ---- copies that fail ---- */

static const enum os_point copying[] = {OS_frame_read, OS_frame_write};

/* The write is tried again; the child reads what was, before and after. */
START_TEST(a_write_whose_copy_fails)
{
	struct child c;

	engine_dirty(at(0), 2);
	c = fork_child();
	os_inject(copying[_i], 1, false, EIO);
	ck_assert_int_eq(engine_begin(at(0), true), FAULT_RETRY);
	os_inject_clear();
	expect_state(at(0), PAGE_FROZEN);
	ck_assert_uint_eq(preimages(), 0);
	ck_assert_int_eq(ask(&c, 0), GOOD);
	change(0);
	ck_assert_int_eq(ask(&c, 0), GOOD);
	end_child(&c);
}
END_TEST

/* Nor is it lifted before there is a copy. */
START_TEST(a_write_whose_protection_stays)
{
	struct child c;

	engine_dirty(at(0), 1);
	c = fork_child();
	os_inject(OS_uffd_wp, 1, false, ENOMEM);
	ck_assert_int_eq(engine_begin(at(0), true), FAULT_RETRY);
	os_inject_clear();
	expect_state(at(0), PAGE_FROZEN);
	ck_assert_int_eq(ask(&c, 0), GOOD);
	change(0);
	ck_assert_int_eq(ask(&c, 0), GOOD);
	end_child(&c);
}
END_TEST

/* A page whose copy fails is not evicted; the others are. */
START_TEST(an_eviction_whose_copy_fails)
{
	struct child c;

	engine_dirty(at(0), 4);
	c = fork_child();
	engine_cold(at(0), 4);
	os_inject(copying[_i], 3, true, EIO);
	evict_step(&evictor, 64);
	engine_complete();
	os_inject_clear();
	ck_assert_int_eq(ask(&c, 3), GOOD);
	expect_state(at(3), PAGE_FROZEN);
	change(3);
	ck_assert_int_eq(ask(&c, 0), GOOD);
	ck_assert_int_eq(ask(&c, 1), GOOD);
	ck_assert_int_eq(ask(&c, 2), GOOD);
	ck_assert_int_eq(ask(&c, 3), GOOD);
	end_child(&c);
	space_check(vm);
}
END_TEST

START_TEST(an_eviction)
{
	struct child c;

	engine_dirty(at(0), 4);
	c = fork_child();
	engine_cold(at(0), 4);
	ck_assert_int_eq(evict_step(&evictor, 64), EVICT_FREED);
	engine_complete();
	expect_state(at(0), PAGE_SWAPPED);
	expect_state(at(3), PAGE_SWAPPED);
	ck_assert_int_eq(ask(&c, 0), GOOD);
	ck_assert_int_eq(ask(&c, 3), GOOD);
	end_child(&c);
}
END_TEST

/* ---- discarding and unmapping ---- */

static void give_up(bool unmap, unsigned first, unsigned end)
{
	if (unmap)
		ck_assert_int_eq(mapping_unmap(vm, at(first), at(end)), 0);
	else
		ck_assert_int_eq(mapping_dontneed(vm, at(first), at(end)), 0);
}

/* What the parent gives up the child has still. */
START_TEST(what_the_parent_gives_up)
{
	struct child c;

	engine_dirty(at(0), 8);
	c = fork_child();
	give_up(_i, 2, 6);
	ck_assert_uint_eq(preimages(), 4);
	ck_assert_int_eq(ask(&c, 1), GOOD);
	ck_assert_int_eq(ask(&c, 2), GOOD);
	ck_assert_int_eq(ask(&c, 5), GOOD);
	ck_assert_int_eq(ask(&c, 7), GOOD);
	end_child(&c);
	ck_assert_uint_eq(preimages(), 0);
}
END_TEST

/* Without memory for a copy it is lost to the child, which is told so. */
START_TEST(what_the_parent_gives_up_without_a_copy)
{
	bool unmap = _i / 2;
	struct child c;

	engine_dirty(at(0), 8);
	c = fork_child();
	os_inject_some(copying[_i % 2], 1, 3, ENOMEM); /* COPY_TRIES */
	give_up(unmap, 2, 6);
	os_inject_clear();
	ck_assert_int_eq(ask(&c, 2), LOST);
	ck_assert_int_eq(ask(&c, 3), GOOD);
	ck_assert_int_eq(ask(&c, 5), GOOD);
	ck_assert_int_eq(ask(&c, 0), GOOD);
	end_child(&c);
	ck_assert_uint_eq(preimages(), 0);
}
END_TEST

/* ---- forks that fail ---- */

static const struct {
	enum os_point point;
	unsigned nth;
} steps[] = {
	{OS_pipe, 1},	     {OS_map, 1},     {OS_map, 2},
	{OS_map, 3},	     {OS_uffd_wp, 1}, {OS_frame_read, 1},
	{OS_frame_write, 1}, {OS_uffd_wp, 2},
};

/* No snapshot is left, nor a hold, a copy or a descriptor; the next is good. */
START_TEST(a_fork_that_fails_leaves_nothing)
{
	struct backing_stat bs = {0};
	uint64_t slots;
	struct child c;
	struct block *b;
	int fds;

	engine_out(at(20), 1);
	engine_dirty(at(0), 5);
	b = block_of(at(2));
	ck_assert_ptr_nonnull(pt_pins(&vm->pt, b));
	pt_set_pinned(b, page_index(at(2)), true);
	lock_drop(&b->lock);
	slots = slots_used();
	fds = live_count_fds();
	os_inject(steps[_i].point, steps[_i].nth, false, ENOMEM);
	ck_assert_int_eq(take(), -ENOMEM);
	os_inject_clear();
	ck_assert_int_eq(live_count_fds(), fds);
	ck_assert_uint_eq(preimages(), 0);
	snapshot_reap(vm);
	expect_state(at(0), PAGE_DIRTY);
	stamp(ptr_of(at(0)), at(0), 1); /* no event: or this would hang */
	stamp(ptr_of(at(4)), at(4), 1);
	ck_assert_int_eq(engine_fault(at(20), true), FAULT_DONE);
	vm->swap->ops->stat(vm->swap, &bs);
	ck_assert_uint_eq(bs.slots_held, 0);
	ck_assert_uint_eq(slots_used(), slots - 1); /* at once: not held */
	c = fork_child();
	change(0);
	ck_assert_int_eq(ask(&c, 0), GOOD);
	ck_assert_int_eq(ask(&c, 4), GOOD);
	end_child(&c);
	b = block_of(at(2));
	pt_set_pinned(b, page_index(at(2)), false);
	lock_drop(&b->lock);
	space_check(vm);
}
END_TEST

/* A page that cannot be unprotected when all are gone stays FROZEN. */
START_TEST(unfreezing_that_fails)
{
	struct child c;

	engine_dirty(at(0), 2);
	c = fork_child();
	os_inject(OS_uffd_wp, 1, true, ENOENT);
	end_child(&c);
	os_inject_clear();
	expect_state(at(0), PAGE_FROZEN);
	change(0);
	change(1);
}
END_TEST

/* Slots are held until the child has gone, and no longer. */
START_TEST(slots_are_held)
{
	struct backing_stat bs = {0};
	struct child c;

	engine_out(at(0), 2);
	c = fork_child();
	ck_assert_int_eq(engine_fault(at(0), true), FAULT_DONE);
	vm->swap->ops->stat(vm->swap, &bs);
	ck_assert_uint_eq(bs.slots_held, 1);
	ck_assert_uint_eq(slots_used(), 2);
	end_child(&c);
	vm->swap->ops->stat(vm->swap, &bs);
	ck_assert_uint_eq(bs.slots_held, 0);
	ck_assert_uint_eq(slots_used(), 1);
}
END_TEST

static void add_failures(Suite *s)
{
	TCase *tc = test_case(s, "failures");

	tcase_add_loop_test(tc, a_write_whose_copy_fails, 0, 2);
	tcase_add_test(tc, a_write_whose_protection_stays);
	tcase_add_loop_test(tc, an_eviction_whose_copy_fails, 0, 2);
	tcase_add_loop_test(tc, what_the_parent_gives_up_without_a_copy, 0, 4);
	tcase_add_loop_test(tc, a_fork_that_fails_leaves_nothing, 0,
			    ARRAY_SIZE(steps));
	tcase_add_test(tc, unfreezing_that_fails);
}

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "children");

	tcase_add_test(tc, a_child_sees_the_memory_as_of_the_fork);
	tcase_add_test(tc, several_children);
	tcase_add_test(tc, pinned_pages_are_copied_at_once);
	tcase_add_test(tc, an_eviction);
	tcase_add_loop_test(tc, what_the_parent_gives_up, 0, 2);
	tcase_add_test(tc, slots_are_held);
	add_failures(s);
}

const struct test_program test_program = {
	.name = "snapshot",
	.add = add_tests,
	.setup = set_up,
	.teardown = tear_down,
	.missing = engine_missing,
};
