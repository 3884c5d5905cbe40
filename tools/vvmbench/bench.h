/* SPDX-License-Identifier: MIT */
/*
 * bench.h - the sub-commands of vvmbench, each in bench_<name>.c.
 *
 * X(name, summary). Each is bench_<name>(argc, argv), argv[0] being its
 * name, and returns an exit status of tool.h.
 */
#ifndef VVM_BENCH_H
#define VVM_BENCH_H

#define BENCH_COMMANDS(X)                                       \
	X(run, "one workload, every access verified")           \
	X(compare, "one workload on several engines in turn")   \
	X(hit, "cost of an access that finds its page")         \
	X(faults, "faults that need no I/O: rate and latency")  \
	X(sort, "sort text in memory several times the budget") \
	X(confine, "any command, paged by the kernel's swap")   \
	X(heap, "malloc on paged memory against the C library's") \
	X(sim, "replay a trace of accesses under every policy")

#define X(name, summary) int bench_##name(int argc, char **argv);
BENCH_COMMANDS(X)
#undef X

#endif
