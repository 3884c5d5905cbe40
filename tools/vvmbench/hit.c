/* SPDX-License-Identifier: MIT */
/*
 * hit.c - `vvmbench hit`: what does an access cost that finds its page?
 *
 * It should cost what it costs anywhere, since no code of ours runs. We walk
 * randomly through resident paged memory and through as much memory from
 * malloc(), in turn, many rounds, and compare the medians: the speed of a
 * shared machine drifts by more than the difference looked for.
 *
 * The walk is a chain. The next address depends on the word just read (which
 * is zero, but the processor cannot know), so nothing overlaps and a round
 * measures latency: a TLB miss and a cache miss each. Transparent huge pages
 * are switched off for the malloc'd memory, for paged memory is paged in
 * 4 KiB and has none: where a program lives on huge pages, that difference
 * is real, and it is not the pager's. It is measured apart in a third round.
 */
#include "vvmbench/hit.h"

#include "common/json.h"

#include "common/option.h"
#include "vvmbench/workload/clock.h"
#include "vvmbench/workload/median.h"
#include "vvmbench/workload/pattern.h"
#include "vvmbench/workload/progress.h"
#include "vvmbench/workload/space.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MAX_ROUNDS = 1001, CHAIN = 1 << 20, HUGE_BYTES = 2 << 20 };

struct hit_plan {
	uint64_t size_bytes, rounds;
	int faults;
	bool json;
};

enum memory { PAGED, PLAIN, HUGE, MEMORIES };

static const char *const memory_names[] = {"paged", "malloc", "malloc_huge"};

struct hit_run {
	char *base[MEMORIES];
	uint64_t lines; /* of 64 bytes, in each */
	double ns[MEMORIES][MAX_ROUNDS];
	unsigned rounds; /* done */
};

static const char summary[] =
	"Compares the latency of random reads of resident paged memory with\n"
	"that of malloc'd memory of the same size, in interleaved rounds. The\n"
	"ratio should be 1.\n";

#define FIELD(f) offsetof(struct hit_plan, f)

static const struct opt opts[] = {
	OPTION_RANGE('s', "size", FIELD(size_bytes), SIZE, "SIZE", 4096, 0x1p40,
		     "of each memory (64M)"),
	OPTION_RANGE('r', "rounds", FIELD(rounds), NUMBER, "N", 1, MAX_ROUNDS,
		     "of a million reads (15)"),
	OPTION_WORD(0, "faults", FIELD(faults), "HOW", bench_fault_words,
		    "who resolves faults"),
	OPTION_FLAG(0, "json", FIELD(json), "print one JSON object"),
	{.kind = OPT_END},
};

static const struct opt_command command = {
	.name = "hit", .args = "", .summary = summary, .opts = opts};

static char *plain_memory(uint64_t size, int advice)
{
	uint64_t len = (size + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES;
	char *base = aligned_alloc(HUGE_BYTES, len);

	if (!base)
		tool_die(TOOL_FAILED, "out of memory");
	madvise(base, len, advice);
	memset(base, 0, len);
	return base;
}

/* Twice the size, so that reclaim has no reason to look at the pages. */
static struct vvm *paged_memory(const struct hit_plan *plan, char **base)
{
	struct vvm_options options;
	struct vvm *vm;

	bench_space_options(&options);
	options.resident_bytes = 2 * plan->size_bytes + (8 << 20);
	options.faults = (enum vvm_faults)plan->faults;
	vm = bench_space_open(&options);
	*base = bench_space_map(vm, plan->size_bytes, "vvmbench hit");
	memset(*base, 0, plan->size_bytes);
	return vm;
}

/* Nanoseconds for each read of a chain. */
static double chain_ns(const char *base, uint64_t lines, uint64_t seed)
{
	struct rng rng = {.state = seed};
	uint64_t start = clock_ns();
	unsigned i;

	for (i = 0; i < CHAIN; i++) {
		uint64_t line = rng_below(&rng, lines);

		rng.state += *(const volatile uint64_t *)(base + line * 64);
	}
	return (double)(clock_ns() - start) / CHAIN;
}

static void one_round(struct hit_run *run)
{
	unsigned m;

	for (m = 0; m < MEMORIES; m++)
		run->ns[m][run->rounds] =
			chain_ns(run->base[m], run->lines, run->rounds + 1);
	run->rounds++;
}

static void measure(struct hit_run *run, const struct hit_plan *plan)
{
	struct progress p;

	progress_start(&p, NULL, "measuring");
	one_round(run); /* caches and TLBs: not counted */
	run->rounds = 0;
	while (run->rounds < plan->rounds && !bench_interrupted()) {
		one_round(run);
		progress_draw(&p, run->rounds, plan->rounds);
	}
	progress_end(&p);
}

static void report(struct hit_run *run, const struct hit_plan *plan)
{
	double ns[MEMORIES];
	struct tool_json j;
	unsigned m;

	for (m = 0; m < MEMORIES; m++)
		ns[m] = bench_median(run->ns[m], run->rounds);
	if (!plan->json) {
		printf("paged %.1f ns, malloc'd %.1f ns, ratio %.3f "
		       "(medians of %u rounds; with huge pages %.1f ns)\n",
		       ns[PAGED], ns[PLAIN], ns[PAGED] / ns[PLAIN], run->rounds,
		       ns[HUGE]);
		return;
	}
	tool_json_begin(&j, stdout);
	tool_json_uint(&j, "size_bytes", plan->size_bytes);
	tool_json_uint(&j, "rounds", run->rounds);
	for (m = 0; m < MEMORIES; m++) {
		char key[32];

		snprintf(key, sizeof(key), "%s_ns", memory_names[m]);
		tool_json_real(&j, key, ns[m]);
	}
	tool_json_real(&j, "ratio", ns[PAGED] / ns[PLAIN]);
	tool_json_end(&j);
}

static int run_rounds(struct hit_run *run, const struct hit_plan *plan)
{
	measure(run, plan);
	if (!run->rounds) {
		tool_warn("interrupted: nothing was measured");
		return TOOL_ENDED;
	}
	report(run, plan);
	return TOOL_OK;
}

int bench_hit(int argc, char **argv)
{
	struct vvm_options defaults;
	struct hit_plan plan = {.size_bytes = 64 << 20, .rounds = 15};
	struct hit_run *run = calloc(1, sizeof(*run));
	struct vvm *vm;
	int status;

	bench_space_options(&defaults);
	plan.faults = (int)defaults.faults;
	if (opt_parse(&command, &plan, argc, argv) > 0)
		opt_usage(&command, "takes options only");
	if (!run)
		tool_die(TOOL_FAILED, "out of memory");
	bench_catch_interrupts();
	run->lines = plan.size_bytes / 64;
	run->base[PLAIN] = plain_memory(plan.size_bytes, MADV_NOHUGEPAGE);
	run->base[HUGE] = plain_memory(plan.size_bytes, MADV_HUGEPAGE);
	vm = paged_memory(&plan, &run->base[PAGED]);
	status = run_rounds(run, &plan);
	vvm_close(vm);
	free(run->base[PLAIN]);
	free(run->base[HUGE]);
	free(run);
	return status;
}
