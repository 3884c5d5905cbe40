/* SPDX-License-Identifier: MIT */
/*
 * mmap.c - the engine "mmap": a shared mapping of an unlinked file,
 * paged by the kernel.
 *
 * The kernel keeps as much of it in memory as it likes; the plan's budget
 * holds only in a memory cgroup with that limit (machine/cage.c). Faults are
 * explained in kernel.c. Bytes written are those that the process has made
 * dirty, a page once for each time it was clean: write-back itself is done
 * by kernel threads, and is not accounted to anybody.
 */
#include "common/line.h"
#include "vvmbench/engine/kernel.h"
#include "vvmbench/engine/memory.h"
#include "vvmbench/workload/space.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int kernel_advice(int advice)
{
	switch (advice) {
	case VVM_ADV_RANDOM:
		return MADV_RANDOM;
	case VVM_ADV_SEQUENTIAL:
		return MADV_SEQUENTIAL;
	default:
		return MADV_NORMAL;
	}
}

static void mmap_open(struct engine *e)
{
	uint64_t len = e->plan->size_bytes;

	e->fd = engine_file(e->plan, 0);
	e->base = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, e->fd, 0);
	if (e->base == MAP_FAILED)
		tool_die(TOOL_FAILED, "mmap: %s", strerror(errno));
	madvise(e->base, len, kernel_advice(e->plan->advice));
}

static void mmap_close(struct engine *e)
{
	munmap(e->base, e->plan->size_bytes);
	close(e->fd);
}

static void mmap_counts(struct engine *e, struct engine_counts *c)
{
	kernel_counts(e, c);
	c->written_bytes = line_value("/proc/self/io", "write_bytes");
}

const struct engine_ops engine_mmap = {
	.open = mmap_open,
	.close = mmap_close,
	.counts = mmap_counts,
	.workers = memory_workers,
	.fill = memory_fill,
	.drive = memory_drive,
	.sweep = memory_sweep,
};
