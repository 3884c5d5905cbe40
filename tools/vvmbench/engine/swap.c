/* SPDX-License-Identifier: MIT */
/*
 * swap.c - the engine "swap": anonymous memory, paged by the kernel.
 *
 * The process is in a memory cgroup with the plan's budget, and there is a
 * swap area: machine/cage.c has seen to both. Huge pages are off, as the other
 * engines have none and a fault for 4 KiB would read 2 MiB.
 *
 * What is written is not accounted to a process at all, since it may not even
 * be its own pages: here it is pswpout of /proc/vmstat, of the whole machine;
 * another program that swaps meanwhile is counted too. The other counters are
 * explained in kernel.c.
 */
#include "vvmbench/engine/kernel.h"
#include "vvmbench/engine/memory.h"

#include "common/line.h"
#include "common/tool.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static void swap_open(struct engine *e)
{
	uint64_t len = e->plan->size_bytes;

	e->base = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (e->base == MAP_FAILED)
		tool_die(TOOL_FAILED, "mmap: %s", strerror(errno));
	madvise(e->base, len, MADV_NOHUGEPAGE);
}

static void swap_close(struct engine *e)
{
	munmap(e->base, e->plan->size_bytes);
}

static void swap_counts(struct engine *e, struct engine_counts *c)
{
	kernel_counts(e, c);
	c->written_bytes = line_value("/proc/vmstat", "pswpout") * BENCH_PAGE;
}

const struct engine_ops engine_swap = {
	.open = swap_open,
	.close = swap_close,
	.counts = swap_counts,
	.workers = memory_workers,
	.fill = memory_fill,
	.drive = memory_drive,
	.sweep = memory_sweep,
};
