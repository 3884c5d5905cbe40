/* SPDX-License-Identifier: MIT */
/* sim.h - `vvmbench sim`: a trace under every policy. */
#ifndef VVM_BENCH_SIM_H
#define VVM_BENCH_SIM_H

/* A sub-command; argv[0] is its name. Returns an exit status: common/tool.h. */
int bench_sim(int argc, char **argv);

#endif
