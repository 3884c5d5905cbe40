/* SPDX-License-Identifier: MIT */
/* confine.h - `vvmbench confine`: any command, paged by the kernel's swap. */
#ifndef VVM_BENCH_CONFINE_H
#define VVM_BENCH_CONFINE_H

/* A sub-command; argv[0] is its name. Returns an exit status: common/tool.h. */
int bench_confine(int argc, char **argv);

#endif
