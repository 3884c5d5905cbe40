/* SPDX-License-Identifier: MIT */
/*
 * allocator.c - the allocators of `vvmbench heap`.
 *
 * All are called through the same pointers, so that the indirection costs
 * each the same. Memory is what the kernel says: anonymous pages of the
 * process, less those that were there before, and for libvvm the frames of
 * its memfd. So bookkeeping counts, and so do libvvm's fixed buffers.
 */
#include "vvmbench/heap/allocator.h"

#include "common/line.h"
#include "common/tool.h"
#include "vvmbench/engine/kernel.h"
#include "vvmbench/workload/space.h"

#include <malloc.h>
#include <stdlib.h>
#include <vvm_heap.h>

static uint64_t before_bytes; /* anonymous, when the engine was opened */

static uint64_t anonymous_bytes(void)
{
	return line_value("/proc/self/status", "RssAnon") * 1024;
}

/* ---- libvvm ---- */

static void *paged_malloc(void *self, size_t bytes)
{
	return vvm_malloc(self, bytes);
}

static void *paged_calloc(void *self, size_t bytes)
{
	return vvm_calloc(self, 1, bytes);
}

static void *paged_realloc(void *self, void *ptr, size_t bytes)
{
	return vvm_realloc(self, ptr, bytes);
}

static void paged_free(void *self, void *ptr)
{
	vvm_free(self, ptr);
}

static void open_paged(struct heap_engine *e, const struct heap_plan *plan,
		       int faults)
{
	struct vvm_heap_options o = {.struct_size = sizeof(o)};
	struct vvm_options options;
	struct vvm_heap *heap;
	int rc;

	bench_space_options(&options);
	options.faults = (enum vvm_faults)faults;
	options.resident_bytes = plan->plan.resident_bytes;
	if (plan->plan.swap_path)
		options.swap_path = plan->plan.swap_path;
	e->vm = bench_space_open(&options);
	o.flags = plan->hardened ? VVM_HEAP_HARDENED : 0;
	rc = vvm_heap_open(e->vm, &o, &heap);
	if (rc < 0)
		tool_die(TOOL_FAILED, "vvm_heap_open: %s", vvm_strerror(rc));
	e->self = heap;
	e->malloc = paged_malloc;
	e->calloc = paged_calloc;
	e->realloc = paged_realloc;
	e->free = paged_free;
}

/* ---- the C library ---- */

static void *libc_malloc(void *self, size_t bytes)
{
	(void)self;
	return malloc(bytes);
}

static void *libc_calloc(void *self, size_t bytes)
{
	(void)self;
	return calloc(1, bytes);
}

static void *libc_realloc(void *self, void *ptr, size_t bytes)
{
	(void)self;
	return realloc(ptr, bytes);
}

static void libc_free(void *self, void *ptr)
{
	(void)self;
	free(ptr);
}

static void open_libc(struct heap_engine *e)
{
	e->self = NULL;
	e->vm = NULL;
	e->malloc = libc_malloc;
	e->calloc = libc_calloc;
	e->realloc = libc_realloc;
	e->free = libc_free;
}

/* ---- both ---- */

void heap_engine_open(struct heap_engine *e, const struct heap_plan *plan,
		      int id)
{
	static const int faults[] = {
#define X(name, text, how, help) how,
		HEAP_ENGINES(X)
#undef X
	};

	before_bytes = anonymous_bytes();
	if (faults[id] < 0)
		open_libc(e);
	else
		open_paged(e, plan, faults[id]);
}

void heap_engine_close(struct heap_engine *e)
{
	if (!e->vm)
		return;
	vvm_heap_close(e->self);
	vvm_close(e->vm);
}

uint64_t heap_engine_memory(const struct heap_engine *e)
{
	uint64_t bytes = anonymous_bytes();
	struct vvm_stats stats;

	bytes -= bytes > before_bytes ? before_bytes : bytes;
	if (!e->vm)
		return bytes;
	bench_space_stats(e->vm, &stats);
	return bytes + (uint64_t)stats.resident_pages * VVM_PAGE_SIZE;
}
