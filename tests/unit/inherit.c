/* SPDX-License-Identifier: MIT */
/*
 * unit/inherit.c - snapshot/inherit.c: what a fork child reads of what its
 * parents have left, each way that a read can fail, and which descriptors are
 * closed with the last entry that names them. The parents are made by hand: a
 * file of frames, one of preimages, the words that say which counts, and a swap
 * that is a few bytes. Nobody forks.
 */
#include "snapshot/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "os/os.h"
#include "support/process.h"
#include "support/test.h"

#define PAGES 8
#define BASE  ((haddr_t)1 << 30) /* of the parents' memory */

/* Of a parent: generation g has frames of 'A' + g, preimages of 'a' + g. */
struct parent {
	struct backing swap; /* whose slots read as '0' + g */
	struct origin origin;
	unsigned reads, closed;
	uint64_t given;
};

static struct parent parents[2];
static struct backing plain; /* of the first one */
static char buf[PAGES * PAGE_BYTES] __attribute__((aligned(4096)));
static struct io io;
static int io_result, calls;

/* ---- a swap ---- */

static void swap_read(struct backing *b, struct ring *ring, struct io *it)
{
	struct parent *p = container_of(b, struct parent, swap);

	(void)ring;
	p->reads++;
	memset(it->bad, 0, sizeof(it->bad));
	memset(it->buf, '0' + (int)(p - parents), pages_to_bytes(it->pages));
	it->done(it, 0);
}

static void swap_give(struct backing *b, uint64_t first, uint64_t n)
{
	(void)first;
	container_of(b, struct parent, swap)->given += n;
}

static void swap_close(struct backing *b)
{
	container_of(b, struct parent, swap)->closed++;
}

static const struct backing_ops swap_ops = {.name = "test",
					    .read = swap_read,
					    .give = swap_give,
					    .close = swap_close};

/* ---- parents ---- */

static int make_file(char c)
{
	char page[PAGE_BYTES];
	int fd;

	ck_assert_int_eq(os_memfd("test", &fd), 0);
	memset(page, c, sizeof(page));
	ck_assert_int_eq(os_truncate(fd, BASE + pages_to_bytes(2 * PAGES)), 0);
	for (unsigned i = 0; i < PAGES; i++) {
		ck_assert_int_eq(os_pwrite(fd, page, sizeof(page),
					   BASE + pages_to_bytes(i)),
				 0);
		ck_assert_int_eq(
			os_pwrite(fd, page, sizeof(page), pages_to_bytes(i)),
			0);
	}
	return fd;
}

/* What the parent of generation g has left. */
static void make_parent(unsigned g)
{
	struct parent *p = &parents[g];
	int ends[2];
	void *memory;

	memset(p, 0, sizeof(*p));
	p->swap.ops = &swap_ops;
	ck_assert_int_eq(os_pipe(ends), 0);
	os_close(ends[0]);
	ck_assert_int_eq(os_map_anon(PAGE_BYTES, &memory), 0);
	p->origin = (struct origin){
		.swap = &p->swap,
		.frames = make_file((char)('A' + g)),
		.preimages = make_file((char)('a' + g)),
		.alive = ends[1],
		.base = BASE,
		.pages = PAGE_BYTES / sizeof(uint32_t),
		.where = memory,
	};
}

static void say(unsigned g, unsigned page, uint32_t word)
{
	atomic_store(&parents[g].origin.where[page], word);
}

/* A backing of a child whose ancestors are `generations`. */
static struct backing *child_of(unsigned generations)
{
	struct backing *b = &plain;
	unsigned g;

	for (g = 0; g < generations; g++) {
		make_parent(g);
		ck_assert_int_eq(inherit_new(&b, &parents[g].origin), 0);
		ck_assert_uint_eq(inherit_own_generation(b), g + 1);
	}
	return b;
}

static void set_up(void)
{
	os_inject_clear();
	plain.ops = &swap_ops;
}

/* ---- reads ---- */

static void io_done(struct io *it, int result)
{
	(void)it;
	io_result = result;
	calls++;
}

/* Reads n pages from a slot; the result of the whole. */
static int read_slots(struct backing *b, uint64_t slot, unsigned n)
{
	io.done = io_done;
	io.slot = slot;
	io.pages = n;
	io.buf = buf;
	calls = 0;
	memset(buf, '?', sizeof(buf));
	memset(io.bad, 0xff, sizeof(io.bad));
	b->ops->read(b, NULL, &io);
	ck_assert_int_eq(calls, 1);
	return io_result;
}

/* What page i of the last read holds; '!' when it is bad. */
static char got(unsigned i)
{
	return io_page_bad(&io, i) ? '!' : buf[pages_to_bytes(i) + i];
}

static uint64_t frame(unsigned g, unsigned page)
{
	return inherit_frame(g, BASE + pages_to_bytes(page));
}

START_TEST(the_word_says_what_counts)
{
	struct backing *b = child_of(1);

	say(0, 0, WHERE_FRAME);
	say(0, 1, WHERE_COPY + 3);
	say(0, 2, WHERE_LOST);
	say(0, 3, WHERE_NONE);
	ck_assert_int_eq(read_slots(b, frame(0, 0), 4), 0);
	ck_assert_int_eq(got(0), 'A');
	ck_assert_int_eq(got(1), 'a');
	ck_assert_int_eq(got(2), '!');
	ck_assert_int_eq(got(3), '!');
	ck_assert_int_eq(read_slots(b, frame(0, 2), 1), -EIO);
	ck_assert_int_eq(got(0), '!');
	b->ops->close(b);
}
END_TEST

/* What could not be read is no page; the copies are. */
START_TEST(frames_that_cannot_be_read)
{
	struct backing *b = child_of(1);

	say(0, 0, WHERE_FRAME);
	say(0, 1, WHERE_COPY + 1);
	os_inject(OS_frame_read, 1, false, EIO);
	ck_assert_int_eq(read_slots(b, frame(0, 0), 1), 0);
	ck_assert_int_eq(got(0), 'A');
	os_close(parents[0].origin.frames);
	ck_assert_int_eq(read_slots(b, frame(0, 0), 2), 0);
	ck_assert_int_eq(got(0), '!');
	ck_assert_int_eq(got(1), 'a');
	ck_assert_int_eq(read_slots(b, frame(0, 0), 1), -EBADF);
	ck_assert_int_eq(got(0), '!');
	os_close(parents[0].origin.preimages);
	ck_assert_int_eq(read_slots(b, frame(0, 1), 1), -EBADF);
	ck_assert_int_eq(got(0), '!');
	say(0, 0, WHERE_COPY + 1); /* changed since */
	ck_assert_int_lt(read_slots(b, frame(0, 0), 1), 0);
	ck_assert_int_eq(got(0), '!');
	b->ops->close(b);
}
END_TEST

/* Each read has tries of its own: of the frame, and of the copy. */
START_TEST(errors_that_pass)
{
	struct backing *b = child_of(1);
	unsigned i;

	say(0, 0, WHERE_FRAME);
	say(0, 1, WHERE_COPY + 1);
	for (i = 0; i < 6; i++) {
		os_inject(OS_frame_read, 1 + i % 2, false, EIO);
		ck_assert_int_eq(read_slots(b, frame(0, i % 2), 1), 0);
		ck_assert_int_eq(got(0), i % 2 ? 'a' : 'A');
	}
	os_inject(OS_frame_read, 2, true, EIO); /* of the copy */
	ck_assert_int_eq(read_slots(b, frame(0, 1), 1), -EIO);
	ck_assert_int_eq(got(0), '!');
	b->ops->close(b);
}
END_TEST

/* A gap is no page that must be good. */
START_TEST(gaps_are_not_looked_at)
{
	static const uint16_t order[] = {0, IO_GAP, 2};
	struct backing *b = child_of(1);

	say(0, 0, WHERE_FRAME);
	say(0, 1, WHERE_LOST);
	say(0, 2, WHERE_FRAME);
	io.order = order;
	ck_assert_int_eq(read_slots(b, frame(0, 0), 3), 0);
	io.order = NULL;
	ck_assert_int_eq(got(0), 'A');
	ck_assert(!io_page_bad(&io, 1));
	ck_assert_int_eq(got(2), 'A');
	b->ops->close(b);
}
END_TEST

/* A grandchild reads from the one whose slot it is. */
START_TEST(each_generation_has_its_own)
{
	struct backing *b = child_of(2);
	struct parent own = {.swap.ops = &swap_ops};

	say(0, 0, WHERE_FRAME);
	say(1, 0, WHERE_FRAME);
	inherit_set_own(b, &own.swap);
	ck_assert_ptr_eq(inherit_own(b), &own.swap);
	ck_assert_int_eq(read_slots(b, frame(0, 0), 1), 0);
	ck_assert_int_eq(got(0), 'A');
	ck_assert_int_eq(read_slots(b, frame(1, 0), 1), 0);
	ck_assert_int_eq(got(0), 'B');
	ck_assert_int_eq(read_slots(b, inherit_base(0) + 1, 1), 0);
	ck_assert_int_eq(got(0), '0');
	ck_assert_int_eq(read_slots(b, inherit_base(1) + 1, 1), 0);
	ck_assert_int_eq(got(0), '1');
	ck_assert_uint_eq(parents[0].reads + parents[1].reads, 2);
	read_slots(b, inherit_base(2) + 1, 1);
	ck_assert_uint_eq(own.reads, 1);
	b->ops->give(b, inherit_base(2) + 1, 3);
	ck_assert_uint_eq(own.given, 3);
	ck_assert_uint_eq(parents[1].given, 0);
	b->ops->close(b);
	ck_assert_uint_eq(own.closed, 1);
	ck_assert_uint_eq(parents[0].closed, 1);
	ck_assert_uint_eq(parents[1].closed, 1);
}
END_TEST

/* ---- what is kept open ---- */

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Frames go with the last entry that names one, the rest with the last. */
START_TEST(nothing_is_kept_that_no_entry_names)
{
	struct backing *b = child_of(1);
	struct origin *o = &parents[0].origin;
	int fds = live_count_fds();

	inherit_count(b, frame(0, 0));
	inherit_count(b, frame(0, 1));
	inherit_count(b, inherit_base(0) + 1);
	inherit_count(b, inherit_base(0) + 2);
	inherit_counted(b);
	ck_assert_int_eq(live_count_fds(), fds);
	b->ops->give(b, frame(0, 0), 1);
	b->ops->give(b, inherit_base(0) + 1, 1);
	ck_assert(is_open(o->frames) && is_open(o->preimages));
	b->ops->give(b, frame(0, 1), 1);
	ck_assert(!is_open(o->frames) && !is_open(o->preimages));
	ck_assert(is_open(o->alive));
	ck_assert_uint_eq(parents[0].closed, 0);
	ck_assert_int_eq(read_slots(b, inherit_base(0) + 2, 1), 0);
	b->ops->give(b, inherit_base(0) + 2, 1);
	ck_assert(!is_open(o->alive));
	ck_assert_uint_eq(parents[0].closed, 1);
	ck_assert_int_eq(live_count_fds(), fds - 3);
	b->ops->close(b);
	ck_assert_uint_eq(parents[0].closed, 1);
}
END_TEST

/* While one names a frame, swap stays, too: frames go first. */
START_TEST(slots_may_go_before_the_frames)
{
	struct backing *b = child_of(1);

	inherit_count(b, frame(0, 0));
	inherit_count(b, inherit_base(0) + 1);
	inherit_counted(b);
	b->ops->give(b, inherit_base(0) + 1, 1);
	say(0, 0, WHERE_FRAME);
	ck_assert_int_eq(read_slots(b, frame(0, 0), 1), 0);
	ck_assert_int_eq(got(0), 'A');
	b->ops->give(b, frame(0, 0), 1);
	ck_assert_uint_eq(parents[0].closed, 1);
	b->ops->close(b);
}
END_TEST

/* Closing closes all that is left, once: numbers are used again. */
START_TEST(each_descriptor_is_closed_once)
{
	int before = live_count_fds(), again[3];
	struct backing *b = child_of(2);
	unsigned i;

	inherit_count(b, inherit_base(0) + 1);
	inherit_count(b, inherit_base(1) + 1);
	inherit_counted(b); /* the frames of both */
	ck_assert_int_eq(live_count_fds(), before + 2);
	for (i = 0; i < 3; i++)
		again[i] = dup(0);
	b->ops->close(b);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(close(again[i]), 0);
	ck_assert_int_eq(live_count_fds(), before);
	ck_assert_uint_eq(parents[0].closed, 1);
	ck_assert_uint_eq(parents[1].closed, 1);
}
END_TEST

/* What a parent had closed its child does not close again. */
START_TEST(generations_that_were_closed_before)
{
	struct backing *b = child_of(1);
	int before, again[4];
	unsigned i;

	inherit_counted(b); /* no entry names it: all is closed */
	ck_assert_uint_eq(parents[0].closed, 1);
	before = live_count_fds();
	for (i = 0; i < 4; i++)
		again[i] = dup(0);
	make_parent(1);
	ck_assert_int_eq(inherit_new(&b, &parents[1].origin), 0);
	b->ops->close(b);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(close(again[i]), 0);
	ck_assert_int_eq(live_count_fds(), before);
	ck_assert_uint_eq(parents[0].closed, 1);
	ck_assert_uint_eq(parents[1].closed, 1);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "reading");

	tcase_add_test(tc, the_word_says_what_counts);
	tcase_add_test(tc, frames_that_cannot_be_read);
	tcase_add_test(tc, errors_that_pass);
	tcase_add_test(tc, gaps_are_not_looked_at);
	tcase_add_test(tc, each_generation_has_its_own);
	tc = test_case(s, "keeping");
	tcase_add_test(tc, nothing_is_kept_that_no_entry_names);
	tcase_add_test(tc, slots_may_go_before_the_frames);
	tcase_add_test(tc, each_descriptor_is_closed_once);
	tcase_add_test(tc, generations_that_were_closed_before);
}

const struct test_program test_program = {
	.name = "inherit",
	.add = add_tests,
	.setup = set_up,
};
