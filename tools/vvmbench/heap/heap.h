/* SPDX-License-Identifier: MIT */
/* heap.h - `vvmbench heap`: malloc on paged memory against the C library's. */
#ifndef VVM_BENCH_HEAP_H
#define VVM_BENCH_HEAP_H

/* A sub-command; argv[0] is its name. Returns an exit status: common/tool.h. */
int bench_heap(int argc, char **argv);

#endif
