/* SPDX-License-Identifier: MIT */
/*
 * fuzz/tier.c - pages of a swap file that are in memory, compressed
 * (swap/tier.c), against an array with one cell a slot.
 *
 * An input is a list of orders: take slots and write pages to them, of one word,
 * of text, of noise, to be kept or not; read some, alone and in runs, one of them
 * under a wrong address; give some back; hold the slots in use, as a fork does;
 * change what the memory may take, and let some of the writes that come of it
 * go on; refuse memory; have the disk fail; damage what is in memory. What is
 * compared is in fuzz/model.h. No slot is handed out that is being written. The
 * memory never has more than it may.
 */
#include "fuzz/model.h"

#include <string.h>
#include <unistd.h>
#include "os/os.h"
#include "swap/impl.h"
#include "util/log.h"

#define WAIT_US 60000000
#define KINDS	5

static struct ring *ring, *spills;
static struct {
	uint64_t taken, most;
	bool refuses;
} memory;

static struct tier *tier(void)
{
	return to_swap(model_swap)->tier;
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
	struct backing *swap;

	conf_defaults(&conf);
	conf.swap_path[0] = '\0'; /* in memory: quick */
	conf.swap_limit_bytes = MODEL_SLOTS * PAGE_BYTES;
	conf.swap_direct = false;
	MUST_EQ(swap_open(&swap, &conf), 0);
	MUST_EQ(swap_keep(swap, &from), 0);
	model_begin(swap);
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
void model_fill(char *to, unsigned page, uint32_t version)
{
	uint64_t words[PAGE_BYTES / 8], x = page * 2654435761ull + version;
	unsigned kind = (page + version / 2) % KINDS, i;

	for (i = 0; i < PAGE_BYTES / 8; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		words[i] =
			kind && x >> 60 < 5 * kind - 4 ? version : x ^ x >> 29;
		if (kind == KINDS - 1)
			words[i] = version * 0x100000001ull + page;
	}
	memcpy(to, words, sizeof(words));
}

bool model_free(unsigned slot)
{
	return !tier()->kind[slot];
}

bool model_damaged(unsigned slot)
{
	return model_cell[slot].damaged;
}

/* A word has no checksum: under a wrong address it is what it was. */
const bool model_reads_held = false, model_knows_addresses = false;

/* ---- orders ---- */

/*
 * A page that is in its slot leaves its frame; in between it may be given back,
 * and the slot taken by another.
 */
static void leave(unsigned s, unsigned how)
{
	char page[PAGE_BYTES] __attribute__((aligned(8)));
	const struct model_cell *c = &model_cell[s];
	gaddr_t addr = pages_to_bytes(c->page);

	if (!c->owned || !c->known || c->damaged ||
	    !model_swap->ops->wants(model_swap, s, addr))
		return;
	model_fill(page, c->page, c->version);
	if (how % 4 == 1)
		model_give(s, 1);
	if (how % 8 == 1)
		model_take(ring, 1 + how % MODEL_RUN, how, how & 64);
	model_swap->ops->add(model_swap, s, addr, how % 4 == 2 ? NULL : page);
}

static void go_on(unsigned turns)
{
	while (turns-- && ring_inflight(spills))
		MUST(ring_run(spills, WAIT_US) > 0);
}

static void trim(unsigned pages)
{
	tier()->rest_us = 0; /* after a write that failed */
	model_swap->ops->trim(model_swap, spills, pages);
}

/* A byte of an item that is not being written just now. */
static void damage(unsigned s, unsigned a)
{
	struct store_item *item;

	if (!model_cell[s].owned || model_cell[s].damaged ||
	    tier()->kind[s] != TIER_ITEM) /* not what is in its slot, too */
		return;
	item = (struct store_item *)(uintptr_t)tier()->place[s];
	item->bytes[a % store_bytes(item)] ^= (char)(1 + a % 255);
	model_cell[s].damaged = true;
}

static void mend(void)
{
	model_mend_disk();
	memory.refuses = false;
}

static void obey(struct fuzz_input *in)
{
	unsigned what = fuzz_below(in, 22), a = fuzz_byte(in);
	unsigned at = 1 + fuzz_word(in) % MODEL_SLOTS;
	unsigned n = 1 + MIN(a % MODEL_RUN, MODEL_SLOTS - at);

	if (what < 6)
		model_take(ring, 1 + a % MODEL_RUN, at, a < 230);
	else if (what < 8)
		model_give(at % (what == 6 ? 64 : MODEL_SLOTS) + 1, n);
	else if (what < 12)
		model_read(ring, a & 32 ? 1 + at % 64 : at, n,
			   a > 200 ? a % 8 : MODEL_RUN);
	else if (what < 14)
		trim(a < 40 ? 0 : a);
	else if (what < 16)
		go_on(a % 4);
	else if (what == 16)
		model_toggle_hold(a % MODEL_HOLDS);
	else if (what == 17)
		model_fail_disk(a & 1 ? OS_pwrite : OS_pread, 1 + at % 4,
				at & 8, a / 2);
	else if (what == 18)
		a < 80 ? damage(at, a + at) : (void)(memory.refuses = a & 1);
	else if (what == 19)
		mend();
	else
		for (unsigned i = at; i <= MODEL_SLOTS && i < at + n; i++)
			leave(i, a + i);
}

static void check(void)
{
	struct backing_stat st = {0};

	tier_check(tier());
	model_swap->ops->stat(model_swap, &st);
	MUST_EQ(st.packed_memory, memory.taken);
}

static void finish(void)
{
	unsigned i;

	mend();
	go_on(1000);
	model_read_all(ring);
	for (i = 0; i < 1000 && memory.taken; i++) {
		trim(0);
		go_on(1000);
	}
	MUST_EQ(memory.taken, 0);
	model_read_all(ring);
	model_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	set_up();
	if (fuzz_refused)
		return 0;
	memset(&memory, 0, sizeof(memory));
	mend();
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
