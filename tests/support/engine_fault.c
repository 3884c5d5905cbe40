/* SPDX-License-Identifier: MIT */
#include "support/engine_fault.h"

#include <check.h>
#include <string.h>

#include "support/engine.h"

struct fault fault;
struct readahead ra;
struct io *engine_io;
char engine_buf[ENGINE_ROOM * PAGE_BYTES] __attribute__((aligned(4096)));
static uint16_t engine_index[ENGINE_ROOM];

void engine_fault_start(void)
{
	ra = (struct readahead){.io.buf = engine_buf,
				.index = engine_index,
				.room = ENGINE_ROOM};
}

/* As a handler would, but that the test goes on with what must wait. */
static bool engine_wait(struct fault *f, enum fault_result result)
{
	if (result == FAULT_FAILED)
		fault_fail(f);
	if (result == FAULT_GONE) {
		fault_count_lost(f);
		fault_wake(vm, f->host);
	}
	if (result == FAULT_DONE && !f->told)
		os_uffd_wake(f->uffd, f->host, PAGE_BYTES);
	return false;
}

struct fault engine_new_fault(haddr_t host, bool write)
{
	static const struct fault_mode mode = {.counts = true,
					       .wait = engine_wait};

	return (struct fault){.mode = &mode,
			      .vm = vm,
			      .actor = actor,
			      .host = host,
			      .write = write,
			      .io.buf = engine_buf};
}

enum fault_result engine_begin(gaddr_t addr, bool write)
{
	fault = engine_new_fault(host_of(addr), write);
	engine_io = &fault.io;
	return fault_run(&fault);
}

bool engine_fail(haddr_t host, int tid)
{
	struct fault f = engine_new_fault(host, false);

	f.stat.tid = tid;
	return fault_fail(&f);
}

enum ahead_result engine_claim_ahead(struct ahead_job *job)
{
	engine_io = &ra.io;
	return ahead_claim(vm, actor, job, &ra);
}

bool engine_ahead(gaddr_t from, gaddr_t to, gaddr_t *next)
{
	struct ahead_job job = {.addr = from,
				.stride = 1,
				.count = bytes_to_pages(to - from),
				.most = ENGINE_ROOM};
	enum ahead_result result = engine_claim_ahead(&job);

	*next = job.count ? job.addr : to;
	return result == AHEAD_CLAIMED;
}

void engine_read_done(struct io *io, int result)
{
	(void)io;
	ck_assert_int_eq(result, 0);
}

void engine_read(void)
{
	memset(engine_io->bad, 0, sizeof(engine_io->bad));
	engine_io->done = engine_read_done;
	io_read(engine_io, NULL);
}

enum fault_result engine_install(int result)
{
	if (engine_io == &fault.io)
		return fault_install(&fault, result);
	readahead_arrived(&ra, actor, result);
	while (!readahead_install(&ra, actor, ra.io.pages))
		;
	return FAULT_DONE;
}

enum fault_result engine_fault(gaddr_t addr, bool write)
{
	enum fault_result result = engine_begin(addr, write);

	if (result != FAULT_READ)
		return result;
	engine_read();
	return engine_install(0);
}

void engine_dirty(gaddr_t addr, unsigned n)
{
	for (; n; n--, addr += PAGE_BYTES) {
		ck_assert_int_eq(engine_fault(addr, true), FAULT_DONE);
		stamp(ptr_of(addr), addr, 1);
	}
}

uint64_t engine_out(gaddr_t addr, unsigned n)
{
	struct io io = {.done = engine_read_done,
			.addr = addr,
			.pages = n,
			.buf = engine_buf};
	uint64_t got = 0;
	struct block *b;
	unsigned i;

	ck_assert_uint_le(n, ENGINE_ROOM);
	for (i = 0; i < n; i++)
		stamp(engine_buf + pages_to_bytes(i), page_of(addr, i), 1);
	ck_assert_int_eq(vm->swap->ops->take(vm->swap, n, &io.slot, &got), 0);
	ck_assert_uint_eq(got, n);
	vm->swap->ops->write(vm->swap, NULL, &io);
	b = block_of(addr);
	for (i = 0; i < n; i++) {
		unsigned index = page_index(addr) + i;

		space_move(vm, actor, b, index, PAGE_FILLING, 0);
		space_move(vm, actor, b, index, PAGE_SWAPPED, io.slot + i);
	}
	lock_drop(&b->lock);
	memset(engine_buf, 0xee, sizeof(engine_buf));
	return io.slot;
}

void engine_cold(gaddr_t addr, uint64_t n)
{
	struct block *b = block_of(addr);

	b->filled_us = 0;
	lock_drop(&b->lock);
	ck_assert_int_eq(mapping_cold(vm, addr, page_of(addr, n)), 0);
}

void engine_complete(void)
{
	while (ring_inflight(ring))
		ck_assert_int_ge(ring_run(ring, ENGINE_US), 0);
}
