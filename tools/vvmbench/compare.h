/* SPDX-License-Identifier: MIT */
/* compare.h - `vvmbench compare`: one workload on several engines in turn. */
#ifndef VVM_BENCH_COMPARE_H
#define VVM_BENCH_COMPARE_H

/* A sub-command; argv[0] is its name. Returns an exit status: common/tool.h. */
int bench_compare(int argc, char **argv);

#endif
