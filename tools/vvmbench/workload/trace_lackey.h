/* SPDX-License-Identifier: MIT */
/* trace_lackey.h - traces of real programs, by way of valgrind. */
#ifndef VVM_BENCH_TRACE_LACKEY_H
#define VVM_BENCH_TRACE_LACKEY_H

#include "vvmbench/workload/trace.h"

/*
 * As trace_read(), from the text of `valgrind --tool=lackey --trace-mem=yes`;
 * other lines are ignored. See trace_lackey.c for what is left out.
 */
const char *trace_read_lackey(struct trace *t, FILE *in);

#endif
