/* SPDX-License-Identifier: MIT */
/* run.h - `vvmbench run`: one workload, every access verified. */
#ifndef VVM_BENCH_RUN_H
#define VVM_BENCH_RUN_H

/* A sub-command; argv[0] is its name. Returns an exit status: common/tool.h. */
int bench_run(int argc, char **argv);

#endif
