/* SPDX-License-Identifier: MIT */
/* sort.h - `vvmbench sort`: real work in memory several times the budget. */
#ifndef VVM_BENCH_SORT_H
#define VVM_BENCH_SORT_H

/* A sub-command; argv[0] is its name. Returns an exit status: common/tool.h. */
int bench_sort(int argc, char **argv);

#endif
