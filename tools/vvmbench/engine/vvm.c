/* SPDX-License-Identifier: MIT */
/*
 * vvm.c - the engine "vvm": one region of a space of libvvm.
 *
 * A miss is a fault event that found no page: not the first write to a clean
 * page, whose content was there, nor an event that another thread's fault
 * had answered before it was read. What moved between memory and disk is
 * counted in pages by the library, not taken from /proc/self/io, which also
 * sees the program's own files.
 */
#include "vvmbench/engine/memory.h"

#include "common/json.h"
#include "vvmbench/workload/space.h"

static void vvm_engine_open(struct engine *e)
{
	const struct plan *plan = e->plan;
	struct vvm_options options;

	bench_space_options(&options);
	options.resident_bytes = plan->resident_bytes;
	options.faults = (enum vvm_faults)plan->faults;
	options.compress = (enum vvm_compress)plan->compress;
	if (plan->handlers)
		options.handlers = (unsigned)plan->handlers;
	if (plan->swap_path)
		options.swap_path = plan->swap_path;
	e->vm = bench_space_open(&options);
	e->base = bench_space_map(e->vm, plan->size_bytes, "vvmbench");
	if (plan->advice != VVM_ADV_NORMAL)
		bench_space_advise(e->vm, e->base, plan->size_bytes,
				   (enum vvm_advice)plan->advice);
}

static void vvm_engine_close(struct engine *e)
{
	vvm_close(e->vm);
}

static void vvm_engine_counts(struct engine *e, struct engine_counts *c)
{
	struct vvm_stats s;

	bench_space_stats(e->vm, &s);
	c->faults = (uint64_t)s.faults;
	c->misses = (uint64_t)(s.faults - s.faults_wp - s.faults_spurious);
	c->read_bytes = (uint64_t)s.swapin_pages * BENCH_PAGE;
	c->written_bytes = (uint64_t)s.swapout_pages * BENCH_PAGE;
	c->resident_peak_bytes = s.peak_pages * BENCH_PAGE;
}

/* Since the space was opened, set-up and sweep included. */
static void vvm_engine_json(struct engine *e, struct tool_json *j)
{
	struct vvm_stats s;

	bench_space_stats(e->vm, &s);
	tool_json_object(j, "vvm");
	bench_space_json(j, &s);
	tool_json_close(j);
}

const struct engine_ops engine_vvm = {
	.open = vvm_engine_open,
	.close = vvm_engine_close,
	.counts = vvm_engine_counts,
	.workers = memory_workers,
	.fill = memory_fill,
	.drive = memory_drive,
	.sweep = memory_sweep,
	.json = vvm_engine_json,
};
