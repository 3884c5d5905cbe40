/* SPDX-License-Identifier: MIT */
/* hit.h - `vvmbench hit`: cost of an access that finds its page. */
#ifndef VVM_BENCH_HIT_H
#define VVM_BENCH_HIT_H

/* A sub-command; argv[0] is its name. Returns an exit status: common/tool.h. */
int bench_hit(int argc, char **argv);

#endif
