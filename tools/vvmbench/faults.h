/* SPDX-License-Identifier: MIT */
/* faults.h - `vvmbench faults`: faults that need no I/O. */
#ifndef VVM_BENCH_FAULTS_H
#define VVM_BENCH_FAULTS_H

/* A sub-command; argv[0] is its name. Returns an exit status: common/tool.h. */
int bench_faults(int argc, char **argv);

#endif
