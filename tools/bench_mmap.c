/* SPDX-License-Identifier: MIT */
/*
 * bench_mmap.c - the engine "mmap": a shared mapping of an unlinked file,
 * paged by the kernel.
 *
 * The kernel keeps as much of it in memory as it likes; the plan's budget
 * holds only if vvmbench runs in a memory cgroup with that limit. Faults are
 * those of the whole process, a miss is a major fault; bytes are what the
 * process caused on block devices, which write-back by kernel threads is
 * accounted to as well, when the page is dirtied.
 */
#include "bench_memory.h"
#include "bench_space.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
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

/* One line "name: value" of /proc/self/io, 0 when it is not there. */
static uint64_t io_bytes(const char *name)
{
	FILE *f = fopen("/proc/self/io", "re");
	unsigned long long value = 0;
	char line[80];
	size_t n = strlen(name);

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, n) && line[n] == ':')
			sscanf(line + n + 1, "%llu", &value);
	fclose(f);
	return value;
}

static void mmap_counts(struct engine *e, struct engine_counts *c)
{
	struct rusage u;

	(void)e;
	getrusage(RUSAGE_SELF, &u);
	c->faults = (uint64_t)(u.ru_majflt + u.ru_minflt);
	c->misses = (uint64_t)u.ru_majflt;
	c->read_bytes = io_bytes("read_bytes");
	c->written_bytes = io_bytes("write_bytes");
	c->resident_peak_bytes = (uint64_t)u.ru_maxrss * 1024;
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
