/* SPDX-License-Identifier: MIT */
#include "fuzz/model.h"

#include <errno.h>
#include <string.h>

#include "os/os.h"

#define WAIT_US 60000000

struct backing *model_swap;
struct model_cell model_cell[MODEL_SLOTS + 1];
bool model_disk_fails;

static struct hold *hold[MODEL_HOLDS];
static uint32_t version;
static char buf[MODEL_RUN * PAGE_BYTES] __attribute__((aligned(4096)));

/* ---- transfers ---- */

struct transfer {
	struct io io;
	uint16_t order[MODEL_RUN];
	int result, calls;
};

static void done(struct io *io, int result)
{
	struct transfer *t = container_of(io, struct transfer, io);

	t->result = result;
	t->calls++;
}

static void run(struct transfer *t, struct ring *ring, bool write)
{
	t->io.done = done;
	t->io.buf = buf;
	if (write)
		model_swap->ops->write(model_swap, ring, &t->io);
	else
		model_swap->ops->read(model_swap, ring, &t->io);
	while (ring && ring_inflight(ring))
		MUST(ring_run(ring, WAIT_US) > 0);
	MUST_EQ(t->calls, 1);
}

static void write_slots(struct ring *ring, unsigned first, unsigned n,
			unsigned page, bool keep)
{
	struct transfer t = {.io = {.slot = first, .pages = n, .keep = keep}};
	unsigned i;

	t.io.order = t.order;
	version += 2;
	for (i = 0; i < n; i++) {
		struct model_cell *c = &model_cell[first + i];

		c->owned = true;
		c->damaged = false;
		c->page = t.order[i] = (uint16_t)((page + 7 * i) % 1000);
		c->version = version;
		model_fill(buf + pages_to_bytes(i), c->page, version);
	}
	run(&t, ring, true);
	MUST(t.result == 0 || model_disk_fails);
	for (i = 0; i < n; i++) {
		model_cell[first + i].known =
			t.result == 0 || io_page_memory(&t.io, i);
		MUST(keep || !io_page_memory(&t.io, i));
	}
}

static void check_page(const struct transfer *t, unsigned i, unsigned slot,
		       bool astray)
{
	bool bad = t->result || io_page_bad(&t->io, i);
	const struct model_cell *c = &model_cell[slot];
	char good[PAGE_BYTES];

	if (bad) {
		MUST(astray || model_disk_fails || !c->known ||
		     model_damaged(slot));
		return;
	}
	MUST(!astray || !model_knows_addresses);
	model_fill(good, c->page, c->version);
	MUST(!memcmp(buf + pages_to_bytes(i), good, PAGE_BYTES));
	MUST(!model_damaged(slot));
}

void model_read(struct ring *ring, unsigned first, unsigned n, unsigned wrong)
{
	struct transfer t = {.io = {.slot = first, .pages = n}};
	unsigned i;

	t.io.order = t.order;
	for (i = 0; i < n; i++) {
		const struct model_cell *c = &model_cell[first + i];
		bool holds = c->owned || (c->held && model_reads_held);

		t.order[i] = holds ? c->page : IO_GAP;
		if (holds && i == wrong)
			t.order[i] = (uint16_t)(c->page + 1);
	}
	memset(buf, 0xee, sizeof(buf));
	run(&t, ring, false);
	for (i = 0; i < n; i++)
		if (t.order[i] != IO_GAP)
			check_page(&t, i, first + i, i == wrong);
}

void model_read_all(struct ring *ring)
{
	unsigned first;

	for (first = 1; first <= MODEL_SLOTS; first += MODEL_RUN)
		model_read(ring, first, MIN(MODEL_RUN, MODEL_SLOTS + 1 - first),
			   MODEL_RUN);
}

/* ---- slots ---- */

void model_take(struct ring *ring, unsigned want, unsigned page, bool keep)
{
	uint64_t first, got;
	unsigned i;
	int err = model_swap->ops->take(model_swap, want, &first, &got);

	if (err) {
		MUST_EQ(err, -ENOSPC);
		return;
	}
	MUST(got >= 1 && got <= want && first >= 1 &&
	     first + got <= MODEL_SLOTS + 1);
	for (i = (unsigned)first; i < first + got; i++)
		MUST(!model_cell[i].owned && !model_cell[i].held &&
		     model_free(i));
	write_slots(ring, (unsigned)first, (unsigned)got, page, keep);
}

void model_give(unsigned first, unsigned n)
{
	unsigned end;

	while (first <= MODEL_SLOTS && !model_cell[first].owned)
		first++;
	for (end = first; end <= MODEL_SLOTS && end < first + n; end++) {
		if (!model_cell[end].owned)
			break;
		model_cell[end].owned = false;
	}
	if (end > first)
		model_swap->ops->give(model_swap, first, end - first);
}

void model_toggle_hold(unsigned n)
{
	unsigned i;

	if (hold[n]) {
		model_swap->ops->release(model_swap, hold[n]);
		hold[n] = NULL;
		for (i = 1; i <= MODEL_SLOTS; i++)
			model_cell[i].held &= (uint8_t) ~(1u << n);
		return;
	}
	MUST_EQ(model_swap->ops->hold(model_swap, &hold[n]), 0);
	for (i = 1; i <= MODEL_SLOTS; i++)
		if (model_cell[i].owned)
			model_cell[i].held |= (uint8_t)(1u << n);
}

/* ---- the disk ---- */

void model_fail_disk(unsigned point, unsigned nth, bool for_ever,
		     unsigned error)
{
	static const int errors[] = {EIO, EAGAIN, EINTR, ENOSPC};

	model_disk_fails = true;
	os_inject(point, nth, for_ever, errors[error % ARRAY_SIZE(errors)]);
}

void model_mend_disk(void)
{
	os_inject_clear();
	model_disk_fails = false;
}

/* ---- an input ---- */

void model_begin(struct backing *swap)
{
	memset(model_cell, 0, sizeof(model_cell));
	version = 2;
	model_swap = swap;
}

void model_end(void)
{
	struct backing_stat st = {0};
	unsigned i;

	for (i = 0; i < MODEL_HOLDS; i++)
		if (hold[i])
			model_toggle_hold(i);
	for (i = 1; i <= MODEL_SLOTS; i++)
		model_give(i, MODEL_SLOTS);
	model_swap->ops->stat(model_swap, &st);
	MUST_EQ(st.slots_used, 0);
	MUST_EQ(st.slots_held, 0);
	MUST_EQ(st.packed, 0);
	model_swap->ops->close(model_swap);
}
