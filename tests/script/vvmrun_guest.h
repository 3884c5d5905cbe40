/* SPDX-License-Identifier: MIT */
/*
 * script/vvmrun_guest.h - what the parts of that program share.
 */
#ifndef VVMRUN_GUEST_H
#define VVMRUN_GUEST_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include "script/check.h"
#include "script/pattern.h"

/* Of a child that is waited for. */
int status_of(pid_t pid);
/* Of address space, and of RAM. */
void count_bytes(size_t *all, size_t *resident);
/* How many are open. */
unsigned descriptors(void);
/* Allocates, checks and frees for a while; a thread's main function. */
void *churn(void *arg);

/* No setting of ours has reached this program's environment. */
void test_clean(void);
void test_rawfork(void);
void test_closeall(void);
void test_children(const char *self);
void test_cycles(const char *self, const char *count);
void test_foreign(void);
void test_lowest(void);
void test_fork(void);
void test_forks(void);
void test_generations(void);
void test_manyfiles(void);
void test_mmap(void);
void test_rawclose(void);
void test_spawn3(char **args);

/* Of ranges: vvmrun_ranges.c. */
void test_over(void);
void test_refused(void);
void test_segment(void);
void test_advising(void);
void test_userfault(void);
void test_data(void);
void test_barefork(void);
void test_words(void);

#endif
