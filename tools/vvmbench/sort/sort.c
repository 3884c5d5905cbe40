/* SPDX-License-Identifier: MIT */
/*
 * sort.c - `vvmbench sort`: real work in memory several times the
 * budget, with a result that anyone can check against `LC_ALL=C sort`.
 *
 *	files --read(2)--> [side 0: text, index]
 *			      | chunks, each sorted while resident
 *			      v
 *	                   [side 1: runs] --merge--> output
 *
 * An index sort of the whole text would be the simplest program, and the
 * worst: comparing lines at random places costs a page from disk for nearly
 * every comparison. So it is a merge sort whose passes are sequential, as on
 * tape. Everything is in paged memory: the text, the index, the runs, the
 * scratch space of the sort; ordinary memory holds some hundred run limits,
 * the heads of the merge and two small buffers. Every page goes out once and
 * in once per pass, in order, which is what read-ahead is for: the areas are
 * advised VVM_ADV_SEQUENTIAL; what was consumed is given back by
 * VVM_ADV_DONTNEED, so it is not written again.
 *
 * load.c reads, runs.c makes runs, merge.c merges. Sizes: sorting a chunk
 * touches its text, two index entries for each line, and the text of the run.
 * The first two are kept within a third of the budget for all threads together:
 * what is being written and what was read ahead for the next chunk need frames
 * too.
 */
#include "vvmbench/sort/sort.h"

#include "common/json.h"

#include "common/option.h"
#include "vvmbench/sort/load.h"
#include "vvmbench/sort/merge.h"
#include "vvmbench/sort/runs.h"
#include "vvmbench/workload/space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * MIN_RESIDENT: below this runs are a few pages long and passes many.
 * STREAM_PAGES: the least window that makes a stream of a merge worth while;
 * reading 16 KiB costs the disk what 4 KiB do, so four of those.
 * UNKNOWN_BYTES: room for input whose size is not known, as from a pipe; it
 * costs nothing until it is used.
 */
enum {
	MIN_RESIDENT = 1 << 20,
	STREAM_PAGES = 16,
	MAX_THREADS = 64,
	DEFAULT_THREADS = 4
};
#define UNKNOWN_BYTES	 (256ull << 30)
#define UNKNOWN_RESIDENT (64ull << 20)
#define MIN_CHUNK_BYTES	 (256ull << 10)
#define MAX_CHUNK_BYTES	 (1ull << 30)

struct sort_plan {
	uint64_t resident_bytes; /* 0: an eighth of the input */
	uint64_t threads;
	const char *output; /* NULL: standard output */
	const char *swap_path;
	int faults;
	bool stats, json;
	char **files;
	unsigned file_count;
	uint64_t input_bytes; /* 0: not known */
};

/* What it took. */
struct sort_times {
	uint64_t read_us, runs_us, merge_us;
	uint64_t runs;
	unsigned passes;
};

static const char summary[] =
	"Sorts lines of text by their bytes, as LC_ALL=C sort does, with text\n"
	"and index in paged memory of which only --resident is in RAM. '-' is\n"
	"standard input.\n";

#define FIELD(f) offsetof(struct sort_plan, f)

static const struct opt opts[] = {
	OPTION_RANGE('m', "resident", FIELD(resident_bytes), SIZE, "SIZE",
		     65536, 0x1p46, "the budget (an eighth of the input)"),
	OPTION_TEXT('o', "output", FIELD(output), "OUT",
		    "instead of standard output; may be an input"),
	OPTION_RANGE('t', "threads", FIELD(threads), NUMBER, "N", 1,
		     MAX_THREADS,
		     "that sort chunks (one for each CPU, at most 4)"),
	OPTION_WORD(0, "faults", FIELD(faults), "HOW", bench_fault_words,
		    "who resolves faults"),
	OPTION_TEXT(0, "swap", FIELD(swap_path), "PATH",
		    "directory, file or device to page to ($VVM_SWAP)"),
	OPTION_FLAG(0, "stats", FIELD(stats),
		    "summary of the paging on standard error"),
	OPTION_FLAG(0, "json", FIELD(json),
		    "the summary as one JSON object, with all counters"),
	{.kind = OPT_END},
};

static const struct opt_command command = {
	.name = "sort", .args = "FILE...", .summary = summary, .opts = opts};

/* ------------------------------------------------------------------ */
/* The plan								*/

static uint64_t at_least(uint64_t value, uint64_t min)
{
	return value < min ? min : value;
}

static uint64_t at_most(uint64_t value, uint64_t max)
{
	return value > max ? max : value;
}

/* Size of all files, 0 if one has none that stat(2) knows. */
static uint64_t input_bytes(const struct sort_plan *plan)
{
	uint64_t sum = 0;
	struct stat st;
	unsigned i;

	for (i = 0; i < plan->file_count; i++) {
		if (!strcmp(plan->files[i], "-"))
			return 0;
		if (stat(plan->files[i], &st))
			tool_die(TOOL_FAILED, "%s: %s", plan->files[i],
				 strerror(errno));
		if (!S_ISREG(st.st_mode))
			return 0;
		sum += (uint64_t)st.st_size;
	}
	return sum;
}

static uint64_t default_threads(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 1 ? 1 : at_most((uint64_t)cpus, DEFAULT_THREADS);
}

static void read_plan(struct sort_plan *plan, int argc, char **argv)
{
	struct vvm_options defaults;
	int n;

	bench_space_options(&defaults);
	*plan = (struct sort_plan){.threads = default_threads(),
				   .faults = (int)defaults.faults};
	n = opt_parse(&command, plan, argc, argv);
	if (n == 0)
		opt_usage(&command, "which file?");
	plan->files = argv + 1;
	plan->file_count = (unsigned)n;
	plan->input_bytes = input_bytes(plan);
	if (plan->resident_bytes)
		return;
	plan->resident_bytes =
		plan->input_bytes ? plan->input_bytes / 8 : UNKNOWN_RESIDENT;
	if (plan->resident_bytes < MIN_RESIDENT)
		plan->resident_bytes = MIN_RESIDENT;
}

/* ------------------------------------------------------------------ */
/* The sorter								*/

static void set_sizes(struct sorter *s, const struct sort_plan *plan)
{
	uint64_t budget = plan->resident_bytes;
	uint64_t streams = budget / VVM_PAGE_SIZE / STREAM_PAGES;

	/* Few long runs rather than many threads, when there is little room. */
	s->threads = (unsigned)at_most(
		plan->threads, at_least(budget / 3 / MIN_CHUNK_BYTES, 1));
	s->chunk_bytes = at_most(budget / 3 / s->threads, MAX_CHUNK_BYTES);
	s->fan_in = (unsigned)at_most(at_least(streams / 2, 4), 4096);
	s->resident_bytes = budget;
	s->text_max_bytes =
		(plan->input_bytes ? plan->input_bytes : UNKNOWN_BYTES) +
		plan->file_count + 2; /* newlines added, and room() */
}

/* A line has at least one byte: so many entries are enough, and cost nothing
 * until they are touched. */
static void map_side(struct sorter *s, struct side *side, const char *text,
		     const char *index)
{
	uint64_t index_bytes = s->text_max_bytes * sizeof(struct line);

	side->text = bench_space_map(s->vm, s->text_max_bytes, text);
	side->lines = (struct line *)bench_space_map(s->vm, index_bytes, index);
	bench_space_advise(s->vm, side->text, s->text_max_bytes,
			   VVM_ADV_SEQUENTIAL);
	bench_space_advise(s->vm, side->lines, index_bytes, VVM_ADV_SEQUENTIAL);
}

static void open_sorter(struct sorter *s, const struct sort_plan *plan)
{
	struct vvm_options options;

	memset(s, 0, sizeof(*s));
	set_sizes(s, plan);
	bench_space_options(&options);
	options.resident_bytes = plan->resident_bytes;
	options.faults = (enum vvm_faults)plan->faults;
	if (plan->swap_path)
		options.swap_path = plan->swap_path;
	s->vm = bench_space_open(&options);
	map_side(s, &s->side[0], "sort text", "sort index");
	map_side(s, &s->side[1], "sort runs", "sort run index");
}

static void close_sorter(struct sorter *s)
{
	vvm_close(s->vm);
	free(s->chunks);
}

/* ------------------------------------------------------------------ */
/* Report								*/

static void report_json(const struct sorter *s, const struct sort_times *t,
			const struct vvm_stats *stats)
{
	struct tool_json j;

	tool_json_begin(&j, stderr);
	tool_json_uint(&j, "text_bytes", s->text_bytes);
	tool_json_uint(&j, "lines", s->line_count);
	tool_json_uint(&j, "index_bytes", s->line_count * sizeof(struct line));
	tool_json_uint(&j, "resident_bytes",
		       stats->budget_pages * VVM_PAGE_SIZE);
	tool_json_uint(&j, "runs", t->runs);
	tool_json_uint(&j, "merge_passes", t->passes);
	tool_json_uint(&j, "read_us", t->read_us);
	tool_json_uint(&j, "runs_us", t->runs_us);
	tool_json_uint(&j, "merge_us", t->merge_us);
	tool_json_object(&j, "vvm");
	bench_space_json(&j, stats);
	tool_json_close(&j);
	tool_json_end(&j);
}

static char *human_pages(char buf[8], uint64_t pages)
{
	return tool_human(buf, pages * VVM_PAGE_SIZE);
}

static void report_paging(const struct vvm_stats *v)
{
	char peak[8], budget[8], in[8], out[8];

	fprintf(stderr, "resident  %s at most, of a budget of %s\n",
		human_pages(peak, v->peak_pages),
		human_pages(budget, v->budget_pages));
	fprintf(stderr,
		"faults    %lld: %lld first touches, %lld from swap, %lld "
		"first writes\n",
		(long long)v->faults, (long long)v->faults_zero,
		(long long)v->faults_swapin, (long long)v->faults_wp);
	fprintf(stderr, "swap      %s in (%lld reads), %s out (%lld writes)\n",
		human_pages(in, (uint64_t)v->swapin_pages),
		(long long)v->swapin_reads,
		human_pages(out, (uint64_t)v->swapout_pages),
		(long long)v->swapout_writes);
	fprintf(stderr,
		"prefetch  %lld pages, %lld used, %lld evicted unused\n",
		(long long)v->prefetch_pages, (long long)v->prefetch_hit_pages,
		(long long)v->prefetch_waste_pages);
}

static void report_text(const struct sorter *s, const struct sort_times *t,
			const struct vvm_stats *stats)
{
	char text[8], index[8];

	fprintf(stderr,
		"sorted    %s, %llu lines, index %s: %llu runs, %u merge "
		"pass%s\n",
		tool_human(text, s->text_bytes),
		(unsigned long long)s->line_count,
		tool_human(index, s->line_count * sizeof(struct line)),
		(unsigned long long)t->runs, t->passes,
		t->passes == 1 ? "" : "es");
	fprintf(stderr, "time      %.2f s: read %.2f, runs %.2f, merge %.2f\n",
		(double)(t->read_us + t->runs_us + t->merge_us) / 1e6,
		(double)t->read_us / 1e6, (double)t->runs_us / 1e6,
		(double)t->merge_us / 1e6);
	report_paging(stats);
}

static void report(const struct sorter *s, const struct sort_plan *plan,
		   const struct sort_times *t)
{
	struct vvm_stats stats;

	bench_space_stats(s->vm, &stats);
	if (plan->json)
		report_json(s, t, &stats);
	else if (plan->stats)
		report_text(s, t, &stats);
}

/* ------------------------------------------------------------------ */
/* Sorting								*/

/* Not truncated yet: it may be one of the inputs. */
static int open_output(const struct sort_plan *plan)
{
	int fd;

	if (!plan->output)
		return STDOUT_FILENO;
	fd = open(plan->output, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		tool_die(TOOL_FAILED, "%s: %s", plan->output, strerror(errno));
	return fd;
}

static void truncate_output(const struct sort_plan *plan, int fd)
{
	struct stat st;

	if (plan->output && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    ftruncate(fd, 0))
		tool_die(TOOL_FAILED, "%s: %s", plan->output, strerror(errno));
}

static uint64_t load_all(struct sorter *s, const struct sort_plan *plan)
{
	struct progress p;
	unsigned i;

	progress_start(&p, NULL, "reading");
	for (i = 0; i < plan->file_count; i++)
		sort_load(s, plan->files[i], &p, plan->input_bytes);
	return progress_end(&p);
}

static void sort_all(struct sorter *s, const struct sort_plan *plan, int out,
		     struct sort_times *t)
{
	struct progress p;

	t->read_us = load_all(s, plan);
	t->runs = s->chunk_count;
	progress_start(&p, NULL, "sorting");
	sort_make_runs(s, &p);
	t->runs_us = progress_end(&p);
	truncate_output(plan, out);
	progress_start(&p, NULL, "merging");
	t->passes = sort_merge(s, out, &p);
	t->merge_us = progress_end(&p);
}

int bench_sort(int argc, char **argv)
{
	struct sort_times times;
	struct sort_plan plan;
	struct sorter sorter;
	int out;

	read_plan(&plan, argc, argv);
	out = open_output(&plan);
	open_sorter(&sorter, &plan);
	sort_all(&sorter, &plan, out, &times);
	if (plan.output && close(out))
		tool_die(TOOL_FAILED, "%s: %s", plan.output, strerror(errno));
	report(&sorter, &plan, &times);
	close_sorter(&sorter);
	return TOOL_OK;
}
