/* SPDX-License-Identifier: MIT */
/*
 * fuzz/tier.c - pages of a swap file that are in memory, compressed
 * (swap/tier.c), against an array with one cell a slot.
 *
 * An input is a list of orders: take slots and write pages to them, of one word,
 * of text, of noise, to be kept or not; read some, alone and in runs, one of them
 * under a wrong address; give some back; hold the slots in use, as a fork does;
 * change what the memory may take, and let some of the writes that come of it
 * go on; refuse memory; have the disk fail; damage what is in memory. A page that
 * is read must be what was written, or be bad because of what was done to it. No
 * slot is handed out that is in use, held or being written. The memory never has
 * more than it may.
 */
#include "fuzz/fuzz.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "os/os.h"
#include "swap/impl.h"
#include "util/log.h"

#define SLOTS	  700
#define RUN_MAX	  40
#define HOLDS_MAX 2
#define WAIT_US	  60000000
#define KINDS	  5

struct cell {
	bool owned, known, damaged;
	uint8_t held; /* bit n: by hold[n] */
	uint16_t page;
	uint32_t version;
};

static struct cell cell[SLOTS + 1];
static struct hold *hold[HOLDS_MAX];
static struct backing *swap;
static struct ring *ring, *spills;
static struct {
	uint64_t taken, most;
	bool refuses;
} memory;
static uint32_t version;
static bool disk_fails;
static char buf[RUN_MAX * PAGE_BYTES] __attribute__((aligned(4096)));

static struct tier *tier(void)
{
	return to_swap(swap)->tier;
}

static bool take_memory(void *arg, uint64_t pages)
{
	(void)arg;
	if (memory.refuses)
		return false;
	memory.taken += pages;
	memory.most = MAX(memory.most, memory.taken);
	return true;
}

static void give_memory(void *arg, uint64_t pages)
{
	(void)arg;
	MUST(memory.taken >= pages);
	memory.taken -= pages;
}

static void open_swap(void)
{
	static const struct store_memory from = {.take = take_memory,
						 .give = give_memory};
	static struct conf conf;

	conf_defaults(&conf);
	conf.swap_path[0] = '\0'; /* in memory: quick */
	conf.swap_limit_bytes = SLOTS * PAGE_BYTES;
	conf.swap_direct = false;
	MUST_EQ(swap_open(&swap, &conf), 0);
	MUST_EQ(swap_keep(swap, &from), 0);
}

static void set_up(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	log_set_level(LOG_NONE);
	fuzz_refused = !squeeze_known();
	MUST_EQ(ring_open(&ring, 4, VVM_IO_SYNC), 0);
	MUST_EQ(ring_open(&spills, 4, VVM_IO_SYNC), 0);
}

/* Words that repeat the more the higher the kind; 0: noise. */
static void fill(char *page, unsigned number, uint32_t of)
{
	uint64_t words[PAGE_BYTES / 8], x = number * 2654435761ull + of;
	unsigned kind = (number + of / 2) % KINDS, i;

	for (i = 0; i < PAGE_BYTES / 8; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		words[i] = kind && x >> 60 < 5 * kind - 4 ? of : x ^ x >> 29;
		if (kind == KINDS - 1)
			words[i] = of * 0x100000001ull + number;
	}
	memcpy(page, words, sizeof(words));
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

static void run(struct transfer *t, bool write)
{
	t->io.done = done;
	t->io.buf = buf;
	if (write)
		swap->ops->write(swap, ring, &t->io);
	else
		swap->ops->read(swap, ring, &t->io);
	while (ring_inflight(ring))
		MUST(ring_run(ring, WAIT_US) > 0);
	MUST_EQ(t->calls, 1);
}

static void write_slots(unsigned first, unsigned n, unsigned page, bool keep)
{
	struct transfer t = {.io = {.slot = first, .pages = n, .keep = keep}};
	unsigned i;

	t.io.order = t.order;
	version += 2;
	for (i = 0; i < n; i++) {
		struct cell *c = &cell[first + i];

		c->owned = true;
		c->damaged = false;
		c->page = t.order[i] = (uint16_t)((page + 7 * i) % 1000);
		c->version = version;
		fill(buf + pages_to_bytes(i), c->page, version);
	}
	run(&t, true);
	MUST(t.result == 0 || disk_fails);
	for (i = 0; i < n; i++) {
		cell[first + i].known =
			t.result == 0 || io_page_memory(&t.io, i);
		MUST(keep || !io_page_memory(&t.io, i));
	}
}

static void check_page(const struct transfer *t, unsigned i, unsigned s,
		       bool astray)
{
	bool bad = t->result || io_page_bad(&t->io, i);
	const struct cell *c = &cell[s];
	char good[PAGE_BYTES];

	fill(good, c->page, c->version);
	if (!bad)
		MUST(!memcmp(buf + pages_to_bytes(i), good, PAGE_BYTES) &&
		     !c->damaged);
	else
		MUST(astray || disk_fails || !c->known || c->damaged);
}

/* A word has no checksum: under a wrong address it is what it was. */
static void read_slots(unsigned first, unsigned n, unsigned wrong)
{
	struct transfer t = {.io = {.slot = first, .pages = n}};
	unsigned i;

	t.io.order = t.order;
	for (i = 0; i < n; i++) {
		const struct cell *c = &cell[first + i];
		bool holds = c->owned;

		t.order[i] = holds ? c->page : IO_GAP;
		if (holds && i == wrong)
			t.order[i] = (uint16_t)(c->page + 1);
	}
	memset(buf, 0xee, sizeof(buf));
	run(&t, false);
	for (i = 0; i < n; i++)
		if (t.order[i] != IO_GAP)
			check_page(&t, i, first + i, i == wrong);
}

/* ---- orders ---- */

/* May the slot be handed out? */
static bool is_free(uint64_t s)
{
	return !cell[s].owned && !cell[s].held && !tier()->kind[s];
}

static void take(unsigned want, unsigned page, bool keep)
{
	uint64_t first, got, i;
	int err = swap->ops->take(swap, want, &first, &got);

	if (err) {
		MUST_EQ(err, -ENOSPC);
		return;
	}
	MUST(got >= 1 && got <= want && first >= 1 && first + got <= SLOTS + 1);
	for (i = first; i < first + got; i++)
		MUST(is_free(i));
	write_slots((unsigned)first, (unsigned)got, page, keep);
}

static void give(unsigned first, unsigned n)
{
	unsigned end;

	while (first <= SLOTS && !cell[first].owned)
		first++;
	for (end = first; end <= SLOTS && end < first + n; end++) {
		if (!cell[end].owned)
			break;
		cell[end].owned = false;
	}
	if (end > first)
		swap->ops->give(swap, first, end - first);
}

static void toggle_hold(unsigned n)
{
	unsigned i;

	if (hold[n]) {
		swap->ops->release(swap, hold[n]);
		hold[n] = NULL;
		for (i = 1; i <= SLOTS; i++)
			cell[i].held &= (uint8_t) ~(1u << n);
		return;
	}
	MUST_EQ(swap->ops->hold(swap, &hold[n]), 0);
	for (i = 1; i <= SLOTS; i++)
		if (cell[i].owned)
			cell[i].held |= (uint8_t)(1u << n);
}

/*
 * A page that is in its slot leaves its frame; in between it may be given back,
 * and the slot taken by another.
 */
static void leave(unsigned s, unsigned how)
{
	char page[PAGE_BYTES] __attribute__((aligned(8)));
	gaddr_t addr = pages_to_bytes(cell[s].page);

	if (!cell[s].owned || !cell[s].known || cell[s].damaged ||
	    !swap->ops->wants(swap, s, addr))
		return;
	fill(page, cell[s].page, cell[s].version);
	if (how % 4 == 1)
		give(s, 1);
	if (how % 8 == 1)
		take(1 + how % RUN_MAX, how, how & 64);
	swap->ops->add(swap, s, addr, how % 4 == 2 ? NULL : page);
}

static void go_on(unsigned turns)
{
	while (turns-- && ring_inflight(spills))
		MUST(ring_run(spills, WAIT_US) > 0);
}

static void trim(unsigned pages)
{
	tier()->rest_us = 0; /* after a write that failed */
	swap->ops->trim(swap, spills, pages);
}

/* A byte of an item that is not being written just now. */
static void damage(unsigned s, unsigned a)
{
	struct store_item *item;

	if (!cell[s].owned || cell[s].damaged ||
	    tier()->kind[s] != 1) /* not what is in its slot, too */
		return;
	item = (struct store_item *)(uintptr_t)tier()->place[s];
	item->bytes[a % store_bytes(item)] ^= (char)(1 + a % 255);
	cell[s].damaged = true;
}

static void fail_disk(unsigned how, unsigned nth)
{
	static const int errors[] = {EIO, EAGAIN, EINTR, ENOSPC};

	disk_fails = true;
	os_inject(how & 1 ? OS_pwrite : OS_pread, 1 + nth % 4, nth & 8,
		  errors[how / 2 % 4]);
}

static void mend_disk(void)
{
	os_inject_clear();
	disk_fails = false;
	memory.refuses = false;
}

static void obey(struct fuzz_input *in)
{
	unsigned what = fuzz_below(in, 22), a = fuzz_byte(in);
	unsigned at = 1 + fuzz_word(in) % SLOTS;
	unsigned n = 1 + MIN(a % RUN_MAX, SLOTS - at);

	if (what < 6)
		take(1 + a % RUN_MAX, at, a < 230);
	else if (what < 8)
		give(at % (what == 6 ? 64 : SLOTS) + 1, n);
	else if (what < 12)
		read_slots(a & 32 ? 1 + at % 64 : at, n,
			   a > 200 ? a % 8 : RUN_MAX);
	else if (what < 14)
		trim(a < 40 ? 0 : a);
	else if (what < 16)
		go_on(a % 4);
	else if (what == 16)
		toggle_hold(a % HOLDS_MAX);
	else if (what == 17)
		fail_disk(a, at);
	else if (what == 18)
		a < 80 ? damage(at, a + at) : (void)(memory.refuses = a & 1);
	else if (what == 19)
		mend_disk();
	else
		for (unsigned i = at; i <= SLOTS && i < at + n; i++)
			leave(i, a + i);
}

static void check(void)
{
	struct backing_stat st = {0};

	tier_check(tier());
	swap->ops->stat(swap, &st);
	MUST_EQ(st.packed_memory, memory.taken);
}

static void finish(void)
{
	struct backing_stat st = {0};
	unsigned i;

	mend_disk();
	go_on(1000);
	for (i = 0; i < SLOTS / RUN_MAX; i++)
		read_slots(1 + i * RUN_MAX, RUN_MAX, RUN_MAX);
	for (i = 0; i < 1000 && memory.taken; i++) {
		trim(0);
		go_on(1000);
	}
	MUST_EQ(memory.taken, 0);
	for (i = 0; i < SLOTS / RUN_MAX; i++)
		read_slots(1 + i * RUN_MAX, RUN_MAX, RUN_MAX);
	for (i = 0; i < HOLDS_MAX; i++)
		if (hold[i])
			toggle_hold(i);
	for (i = 1; i <= SLOTS; i++)
		give(i, SLOTS);
	swap->ops->stat(swap, &st);
	MUST_EQ(st.slots_used, 0);
	MUST_EQ(st.packed, 0);
	swap->ops->close(swap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	set_up();
	if (fuzz_refused)
		return 0;
	memset(cell, 0, sizeof(cell));
	memset(&memory, 0, sizeof(memory));
	version = 2;
	mend_disk();
	open_swap();
	trim(256);
	while (in.size) {
		obey(&in);
		check();
	}
	finish();
	return 0;
}

const long fuzz_runs = 300;

size_t fuzz_make(uint8_t *data, size_t most)
{
	return fuzz_make_bytes(data, 4, most < 600 ? most : 600);
}
