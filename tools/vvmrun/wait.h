/* SPDX-License-Identifier: MIT */
/* wait.h - a program that somebody waits for. */
#ifndef VVM_RUN_WAIT_H
#define VVM_RUN_WAIT_H

#include "vvmrun/program.h"

/* Runs it as a child and reports. Returns its exit status, or dies as it. */
int run_and_wait(struct run *r);

#endif
