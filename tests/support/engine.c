/* SPDX-License-Identifier: MIT */
#include "support/engine.h"

#include <check.h>
#include <stdlib.h>

#include "map/sync.h"
#include "support/engine_count.h"
#include "support/engine_fault.h"
#include "util/log.h"

struct vvm_stat_actor *actor;
struct ring *ring;
struct evictor evictor;
gaddr_t addr;

const char *engine_missing(void)
{
	static char text[64];
	unsigned features = 0;
	enum os_uffd_method method;
	int rc = os_uffd_probe(&features, &method);

	if (rc == 0 && (features & OS_UFFD_WP_SHMEM))
		return NULL;
	snprintf(text, sizeof(text), "no userfaultfd (%d)", rc);
	return text;
}

const char *engine_missing_markers(void)
{
	return os_guard_probe() == 0 ? NULL : engine_missing();
}

void engine_setup(void)
{
	engine_open(600);
	addr = engine_map(BLOCK_PAGES, VVM_READ | VVM_WRITE);
}

void engine_conf(struct conf *c, uint64_t budget_pages)
{
	conf_defaults(c);
	c->resident_bytes = pages_to_bytes(budget_pages);
	c->stat_segment = false;
	c->io = VVM_IO_SYNC;
	c->handlers = 1;
	c->low_pct = c->high_pct = 0;
	c->log_level = 0;
	/* the policy whose choices depend on one page alone */
	ck_assert_int_eq(conf_set(c, "policy", "clock"), 0);
	log_set_level(LOG_NONE);
}

void engine_start(const struct conf *c, unsigned count, unsigned room)
{
	os_inject_clear();
	ck_assert_int_eq(space_new(&vm, c), 0);
	actor = stat_actor(&vm->stats, VVM_STAT_HANDLER);
	ck_assert_ptr_nonnull(actor);
	ck_assert_int_eq(ring_open(&ring, 8, VVM_IO_SYNC), 0);
	ck_assert_int_eq(evict_init(&evictor, vm, actor, ring, count, room), 0);
	engine_fault_start();
	engine_remember();
}

void engine_open(uint64_t budget_pages)
{
	struct conf *c = malloc(sizeof(*c));

	engine_conf(c, budget_pages);
	engine_start(c, 4, ENGINE_ROOM);
	free(c);
}

void engine_close(void)
{
	struct backing_stat bs;
	uint64_t allocated = 1;

	os_inject_clear();
	space_check(vm);
	mapping_unmap_all(vm);
	space_check(vm);
	ck_assert_uint_eq(vm->frames.used, 0);
	ck_assert_uint_eq(vm->frames.pinned, 0);
	ck_assert_uint_eq(vm->clock.blocks, 0);
	ck_assert_uint_eq(vm->pt.block_count, 0);
	vm->swap->ops->stat(vm->swap, &bs);
	ck_assert_uint_eq(bs.slots_used, 0);
	ck_assert_int_eq(os_allocated(vm->memfd, &allocated), 0);
	ck_assert_uint_eq(allocated, 0);
	evict_fini(&evictor);
	ring_close(ring);
	sync_fini(vm);
	space_free(vm);
	vm = NULL;
}

gaddr_t engine_map(uint64_t pages, unsigned prot)
{
	gaddr_t addr = VVM_ANYWHERE;

	ck_assert_int_eq(
		mapping_map(vm, &addr, pages_to_bytes(pages), prot, "test"), 0);
	engine_remember();
	return addr;
}

void engine_map_at(gaddr_t addr, uint64_t pages)
{
	ck_assert_int_eq(mapping_map(vm, &addr, pages_to_bytes(pages),
				     VVM_READ | VVM_WRITE, "test"),
			 0);
	engine_remember();
}

haddr_t host_of(gaddr_t addr)
{
	const struct region *r = regions_at_guest(&vm->regions, addr);

	ck_assert_ptr_nonnull(r);
	return region_to_host(r, addr);
}

char *ptr_of(gaddr_t addr)
{
	return (char *)(uintptr_t)host_of(addr);
}

gaddr_t page_of(gaddr_t addr, uint64_t n)
{
	return addr + pages_to_bytes(n);
}

pte_t entry(gaddr_t addr)
{
	struct block *b = pt_find(&vm->pt, addr);

	return b ? b->pte[page_index(addr)] : 0;
}

bool is_mapped(gaddr_t addr)
{
	uint64_t bits[1];

	ck_assert_int_eq(os_pagemap_present(vm->pagemap_fd, host_of(addr), 1,
					    bits, NULL),
			 0);
	return bits[0] & 1;
}

uint64_t slots_used(void)
{
	struct backing_stat bs;

	vm->swap->ops->stat(vm->swap, &bs);
	return bs.slots_used;
}

struct block *block_of(gaddr_t addr)
{
	struct block *b;

	rwlock_read(&vm->lock);
	b = space_lock_block(vm, addr);
	rwlock_end_read(&vm->lock);
	ck_assert_ptr_nonnull(b);
	return b;
}

uint64_t word_of(gaddr_t addr, unsigned version)
{
	return (addr >> PAGE_SHIFT) * 1000003 + version;
}

void stamp(void *page, gaddr_t addr, unsigned version)
{
	uint64_t *w = page;
	unsigned i;

	for (i = 0; i < PAGE_BYTES / 8; i++)
		w[i] = word_of(addr, version) + i;
}

bool stamped(const void *page, gaddr_t addr, unsigned version)
{
	const uint64_t *w = page;
	unsigned i;

	for (i = 0; i < PAGE_BYTES / 8; i++)
		if (w[i] != word_of(addr, version) + i)
			return false;
	return true;
}

const char *frame_of(gaddr_t addr)
{
	static char frame[PAGE_BYTES] __attribute__((aligned(8)));

	ck_assert_int_eq(os_pread(vm->memfd, frame, PAGE_BYTES, host_of(addr)),
			 0);
	return frame;
}
