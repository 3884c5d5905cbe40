/* SPDX-License-Identifier: MIT */
/* soak.h - `vvmbench soak`: does anything grow in the long run? */
#ifndef VVM_BENCH_SOAK_H
#define VVM_BENCH_SOAK_H

int bench_soak(int argc, char **argv);

#endif
