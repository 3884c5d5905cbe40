/* SPDX-License-Identifier: MIT */
/*
 * plan.h - the options of a workload, which run and compare share.
 *
 * PLAN_OPTIONS(F): rows of an option table, F(field) being the offset of
 * that field of struct plan.
 */
#ifndef VVM_BENCH_PLAN_H
#define VVM_BENCH_PLAN_H

#include "vvmbench/engine/engine.h"
#include "common/option.h"

/* Names for the option parser; each ends with NULL. */
extern const char *const pattern_words[], *const advice_words[];

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
/* The workload, without what pages it. */
void plan_json(struct tool_json *j, const struct plan *plan);
/* The same in words: ", uniform, 0 % writes, 4 threads\n". */
void plan_print(const struct plan *plan);

#endif
