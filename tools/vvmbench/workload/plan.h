/* SPDX-License-Identifier: MIT */
/*
 * plan.h - a workload, and its options, which run and compare share.
 */
#ifndef VVM_BENCH_PLAN_H
#define VVM_BENCH_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/option.h"
#include "vvmbench/workload/pattern.h"

#define BENCH_PAGE 4096

struct cgroup;

/* One workload, as the command line gives it. */
struct plan {
	int engine;   /* enum engine_kind */
	int faults;   /* enum vvm_faults */
	int compress; /* enum vvm_compress */
	int advice;   /* NORMAL, RANDOM, SEQUENTIAL of enum vvm_advice */
	int pattern;  /* enum pattern_kind */
	uint64_t size_bytes, resident_bytes;
	double theta;
	int64_t stride;
	uint64_t write_pct; /* of the accesses are writes */
	uint64_t scan_pct;  /* of scanmix's accesses belong to the scan */
	uint64_t threads, handlers, seed;
	double seconds, warm_s;
	double ratio; /* to which pages compress, about; 0: as they are */
	const char *swap_path;	/* NULL: from the environment, or the default */
	const char *trace_path; /* where accesses are recorded, or NULL */
	const char *label;	/* begins what progress is called, or NULL */
	const struct cgroup *group; /* that the process is in, or NULL */
	bool rmw, budget_check, no_sweep, json;
};

static inline uint64_t plan_pages(const struct plan *plan)
{
	return plan->size_bytes / BENCH_PAGE;
}

/* Words of noise in each page. */
unsigned plan_noise(const struct plan *plan);

/* Of the pattern loop: 1.1 times the budget, at most all. */
static inline uint64_t plan_loop_pages(const struct plan *plan)
{
	uint64_t budget = plan->resident_bytes / BENCH_PAGE;
	uint64_t pages = budget + budget / 10;

	return pages < plan_pages(plan) ? pages : plan_pages(plan);
}

/* Names for the option parser; each ends with NULL. */
extern const char *const pattern_words[], *const advice_words[],
						  *const compress_words[];

/* Rows of an option table, F(field) being the offset of that field of the plan.
 */
#define PLAN_OPTIONS(F)                                                        \
	OPTION_RANGE('s', "size", F(size_bytes), SIZE, "SIZE", BENCH_PAGE,     \
		     0x1p46, "the region (1G)"),                               \
		OPTION_RANGE('m', "resident", F(resident_bytes), SIZE, "SIZE", \
			     BENCH_PAGE, 0x1p46,                               \
			     "the budget ($VVM_RESIDENT, 256M)"),              \
		OPTION_WORD('p', "pattern", F(pattern), "NAME", pattern_words, \
			    "which pages (uniform)"),                          \
		OPTION_RANGE(0, "theta", F(theta), REAL, "T", 0, 10,           \
			     "skew of zipf (0.99)"),                           \
		OPTION_RANGE(0, "stride", F(stride), SIGNED, "PAGES", 1,       \
			     0x1p30, "step of stride, may be negative (3)"),   \
		OPTION_RANGE(0, "scan", F(scan_pct), NUMBER, "PCT", 1, 99,     \
			     "of scanmix's accesses are the scan (50)"),       \
		OPTION_WORD(0, "advice", F(advice), "WHAT", advice_words,      \
			    "given to the pager"),                             \
		OPTION_RANGE(                                                  \
			'w', "write", F(write_pct), NUMBER, "PCT", 0, 100,     \
			"of the accesses are writes (0; with --rmw 100)"),     \
		OPTION_FLAG(                                                   \
			0, "rmw", F(rmw),                                      \
			"a write reads the page first, by a separate access"), \
		OPTION_RANGE(                                                  \
			't', "threads", F(threads), NUMBER, "N", 1, 1024,      \
			"that access pages; for raw the queue depth (4)"),     \
		OPTION_RANGE('d', "seconds", F(seconds), REAL, "S", 0.01, 1e6, \
			     "to measure (10)"),                               \
		OPTION_RANGE(0, "warm", F(warm_s), REAL, "S", 0, 1e6,          \
			     "to run before that (2)"),                        \
		OPTION_RANGE(0, "seed", F(seed), NUMBER, "N", 0, 0x1p53,       \
			     "of all randomness (1)"),                         \
		OPTION_TEXT(                                                   \
			0, "swap", F(swap_path), "PATH",                       \
			"directory, file or device to page to ($VVM_SWAP)"),   \
		OPTION_WORD(0, "compress", F(compress), "HOW", compress_words, \
			    "libvvm keeps pages compressed ($VVM_COMPRESS)"),  \
		OPTION_RANGE(0, "compress-ratio", F(ratio), REAL, "R", 1, 100, \
			     "of the pages' content under LZ4, about (5.3)"),  \
		OPTION_RANGE(0, "handlers", F(handlers), NUMBER, "N", 1, 32,   \
			     "handler threads of libvvm"),                     \
		OPTION_FLAG(0, "json", F(json), "print one JSON object")

/* For the help text: what the patterns are. */
#define PLAN_PATTERN_LINE(name, help) "  " #name ": " help "\n"
#define PLAN_PATTERN_HELP	      "Patterns:\n" PATTERNS(PLAN_PATTERN_LINE)

struct tool_json;

/* Before the options are parsed. Exits TOOL_USAGE: see space.h. */
void plan_defaults(struct plan *plan);
/* After that: fits values to one another. Exits TOOL_USAGE. */
void plan_finish(struct plan *plan, const struct opt_command *cmd);
/* Where the plan, or libvvm itself, would swap. */
const char *plan_directory(const struct plan *plan);
/* The workload, without what pages it. */
void plan_json(struct tool_json *j, const struct plan *plan);
/* The same in words: ", uniform, 0 % writes, 4 threads\n". */
void plan_print(const struct plan *plan);

#endif
