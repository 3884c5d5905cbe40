/* SPDX-License-Identifier: MIT */
/*
 * fuzz/swap.c - a swap file (swap/swap.c) that somebody damages between write
 * and read, and a disk that fails.
 *
 * An input is a list of orders: take slots and write pages to them; give slots
 * back; hold the slots in use, as a fork does, and release them; change the
 * file behind the swap's back: bytes, whole pages that are zero, another's, or
 * what was there before, a file that is cut; make reads, writes or the growth
 * of the file fail; read pages, some of them under a wrong address, with each
 * way of transfer. The model knows what each slot should hold. A page that is
 * read must be what was written or be marked bad, and it may be bad only if
 * the file is not what was written, or the disk was made to fail. No slot is
 * handed out that is in use or held.
 */
#include "fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "swap/swap.h"
#include "support/random.h"
#include "util/log.h"
#include "os/os.h"

#define SLOTS	  600
#define RUN_MAX	  24
#define HOLDS_MAX 2
#define WAYS	  3 /* no ring, its twin on system calls, io_uring */
#define WAIT_US	  60000000

struct slot {
	bool owned;	  /* a page is in it */
	bool known;	  /* its write succeeded */
	uint8_t held;	  /* bit n: by hold[n] */
	uint16_t page;	  /* whose it is */
	uint32_t version; /* of the page */
};

static struct slot slot[SLOTS + 1];
static struct hold *hold[HOLDS_MAX];
static struct backing *swap;
static struct ring *ring[WAYS];
static int file; /* the swap file, as somebody else has it */
static uint32_t version;
static bool disk_fails;
static char buf[RUN_MAX * PAGE_BYTES] __attribute__((aligned(4096)));

/* ---- the file ---- */

static void open_swap(void)
{
	const char *tmp = getenv("TMPDIR");
	static struct conf conf;
	char dir[256];

	conf_defaults(&conf);
	snprintf(dir, sizeof(dir), "%s/vvm-fuzz-swap.XXXXXX",
		 tmp ? tmp : "/var/tmp");
	MUST(mkdtemp(dir));
	snprintf(conf.swap_path, sizeof(conf.swap_path), "%s/file", dir);
	conf.swap_limit_bytes = SLOTS * PAGE_BYTES;
	conf.swap_direct = false;
	MUST_EQ(swap_open(&swap, &conf), 0);
	file = open(conf.swap_path, O_RDWR | O_CLOEXEC);
	MUST(file >= 0);
	MUST_EQ(unlink(conf.swap_path) | rmdir(dir), 0);
}

static void set_up(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	log_set_level(LOG_NONE);
	MUST_EQ(ring_open(&ring[1], 4, VVM_IO_SYNC), 0);
	if (ring_open(&ring[2], 4, VVM_IO_URING))
		ring[2] = NULL; /* not permitted here */
}

static void fill(char *page, unsigned number, uint32_t of)
{
	uint64_t words[PAGE_BYTES / 8];

	live_fill(words, number, of);
	memcpy(page, words, sizeof(words));
}

/* Is that page of the file what was written to the slot? */
static bool file_is_right(unsigned s)
{
	char there[PAGE_BYTES], good[PAGE_BYTES];

	if (pread(file, there, PAGE_BYTES, (off_t)pages_to_bytes(s)) !=
	    (ssize_t)PAGE_BYTES)
		return false;
	fill(good, slot[s].page, slot[s].version);
	return !memcmp(there, good, PAGE_BYTES);
}

static void write_file(unsigned s, const void *bytes, size_t n, size_t at)
{
	MUST_EQ(pwrite(file, bytes, n, (off_t)(pages_to_bytes(s) + at)), n);
}

static void damage(unsigned s, unsigned how, unsigned a)
{
	char page[PAGE_BYTES] = {0};
	unsigned other = 1 + a % SLOTS;
	uint8_t byte = (uint8_t)(a >> 8);

	switch (how % 6) {
	case 0:
		write_file(s, &byte, 1, a % PAGE_BYTES);
		return;
	case 1: /* a part was not written */
		write_file(s, page, 512, a % 8 * 512);
		return;
	case 2: /* discarded */
		write_file(s, page, PAGE_BYTES, 0);
		return;
	case 3: /* another's write went astray */
		if (pread(file, page, PAGE_BYTES,
			  (off_t)pages_to_bytes(other)) > 0)
			write_file(s, page, PAGE_BYTES, 0);
		return;
	case 4: /* the last write was lost */
		fill(page, slot[s].page, slot[s].version - 1);
		write_file(s, page, PAGE_BYTES, 0);
		return;
	default: /* all that is read from there on is the end of the file */
		MUST_EQ(ftruncate(file, (off_t)pages_to_bytes(s)), 0);
	}
}

/* ---- transfers ---- */

struct transfer {
	struct io io;
	uint16_t order[RUN_MAX];
	int result, calls;
};

static void done(struct io *io, int result)
{
	struct transfer *t = container_of(io, struct transfer, io);

	t->result = result;
	t->calls++;
}

static void run(struct transfer *t, unsigned way, bool write)
{
	struct ring *r = ring[way % WAYS];

	t->io.done = done;
	t->io.buf = buf;
	if (write)
		swap->ops->write(swap, r, &t->io);
	else
		swap->ops->read(swap, r, &t->io);
	while (r && ring_inflight(r))
		MUST(ring_run(r, WAIT_US) > 0);
	MUST_EQ(t->calls, 1);
}

static void write_slots(unsigned first, unsigned n, unsigned page, unsigned way)
{
	struct transfer t = {.io = {.slot = first, .pages = n}};
	unsigned i;

	t.io.order = t.order;
	version += 2;
	for (i = 0; i < n; i++) {
		struct slot *s = &slot[first + i];

		s->owned = true;
		s->page = t.order[i] = (uint16_t)((page + 7 * i) % 1000);
		s->version = version;
		fill(buf + pages_to_bytes(i), s->page, version);
	}
	run(&t, way, true);
	MUST(t.result == 0 || disk_fails);
	for (i = 0; i < n; i++)
		slot[first + i].known = t.result == 0;
}

static void check_page(const struct transfer *t, unsigned i, unsigned s,
		       bool astray)
{
	const char *page = buf + pages_to_bytes(i);
	bool bad = t->result || io_page_bad(&t->io, i);
	char good[PAGE_BYTES];

	fill(good, slot[s].page, slot[s].version);
	if (astray)
		MUST(bad);
	else if (!bad)
		MUST(!memcmp(page, good, PAGE_BYTES));
	else
		MUST(disk_fails || !slot[s].known || !file_is_right(s));
}

/* A run of slots, of which those that hold nothing are gaps. */
static void read_slots(unsigned first, unsigned n, unsigned wrong, unsigned way)
{
	struct transfer t = {.io = {.slot = first, .pages = n}};
	unsigned i;

	t.io.order = t.order;
	for (i = 0; i < n; i++) {
		const struct slot *s = &slot[first + i];
		bool holds = s->owned || s->held;

		t.order[i] = holds ? s->page : IO_GAP;
		if (holds && i == wrong)
			t.order[i] = (uint16_t)(s->page + 1);
	}
	memset(buf, 0xee, sizeof(buf));
	run(&t, way, false);
	for (i = 0; i < n; i++)
		if (t.order[i] != IO_GAP)
			check_page(&t, i, first + i, i == wrong);
}

/* ---- orders ---- */

static void take(unsigned want, unsigned page, unsigned way)
{
	uint64_t first, got, i;
	int err = swap->ops->take(swap, want, &first, &got);

	if (err) {
		MUST_EQ(err, -ENOSPC);
		return;
	}
	MUST(got >= 1 && got <= want && first >= 1 && first + got <= SLOTS + 1);
	for (i = first; i < first + got; i++)
		MUST(!slot[i].owned && !slot[i].held);
	write_slots((unsigned)first, (unsigned)got, page, way);
}

static void give(unsigned first, unsigned n)
{
	unsigned end;

	while (first <= SLOTS && !slot[first].owned)
		first++;
	for (end = first; end <= SLOTS && end < first + n; end++) {
		if (!slot[end].owned)
			break;
		slot[end].owned = false;
	}
	if (end > first)
		swap->ops->give(swap, first, end - first);
}

static void begin_hold(unsigned n)
{
	unsigned i;

	MUST_EQ(swap->ops->hold(swap, &hold[n]), 0);
	for (i = 1; i <= SLOTS; i++)
		if (slot[i].owned)
			slot[i].held |= (uint8_t)(1u << n);
}

static void end_hold(unsigned n)
{
	unsigned i;

	swap->ops->release(swap, hold[n]);
	hold[n] = NULL;
	for (i = 1; i <= SLOTS; i++)
		slot[i].held &= (uint8_t) ~(1u << n);
}

static void fail_disk(unsigned how, unsigned nth)
{
	static const enum os_point points[] = {OS_pread, OS_pwrite,
					       OS_fallocate, OS_pread};
	static const int errors[] = {EIO, EAGAIN, EINTR, ENOSPC};

	disk_fails = true;
	os_inject(points[how % 4], 1 + nth % 4, nth & 8, errors[how / 4 % 4]);
}

static void mend_disk(void)
{
	os_inject_clear();
	disk_fails = false;
}

static void obey(struct fuzz_input *in)
{
	unsigned what = fuzz_below(in, 16), a = fuzz_byte(in);
	unsigned at = 1 + fuzz_word(in) % SLOTS;
	unsigned n = 1 + MIN(a % RUN_MAX, SLOTS - at);

	if (what < 4)
		take(1 + a % RUN_MAX, at, a >> 6);
	else if (what < 6)
		give(at % (what == 4 ? 64 : SLOTS) + 1, n);
	else if (what < 10)
		read_slots(a & 32 ? 1 + at % 64 : at, n,
			   a > 200 ? a % 8 : RUN_MAX, at);
	else if (what < 13)
		damage(a & 1 ? 1 + at % 64 : at, a, fuzz_word(in));
	else if (what == 13)
		hold[a % HOLDS_MAX] ? end_hold(a % HOLDS_MAX)
				    : begin_hold(a % HOLDS_MAX);
	else if (what == 14)
		fail_disk(a, at);
	else
		mend_disk();
}

static void finish(void)
{
	struct backing_stat st;
	unsigned i;

	mend_disk();
	for (i = 0; i < SLOTS / RUN_MAX; i++)
		read_slots(1 + i * RUN_MAX, RUN_MAX, RUN_MAX, i);
	for (i = 0; i < HOLDS_MAX; i++)
		if (hold[i])
			end_hold(i);
	for (i = 1; i <= SLOTS; i++)
		give(i, SLOTS);
	swap->ops->stat(swap, &st);
	MUST_EQ(st.slots_used, 0);
	MUST_EQ(st.slots_held, 0);
	swap->ops->close(swap);
	close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	set_up();
	memset(slot, 0, sizeof(slot));
	version = 2;
	mend_disk();
	open_swap();
	while (in.size)
		obey(&in);
	finish();
	return 0;
}

const long fuzz_runs = 100;

size_t fuzz_make(uint8_t *data, size_t most)
{
	return fuzz_make_bytes(data, 4, most < 200 ? most : 200);
}
