/* SPDX-License-Identifier: MIT */
/* launch.h - starts a program under vvmrun, to be watched (-e). */
#ifndef VVM_LAUNCH_H
#define VVM_LAUNCH_H

#include "common/target.h"

/*
 * Starts it; `quiet`: with its input and output on /dev/null. Returns its
 * pid; dies when that is impossible.
 */
int launch(char **argv, bool quiet);
/*
 * Waits until it has a space open and attaches to it. false: it ended
 * before (launch_end() says how).
 */
bool launch_attach(struct target *t, const char *dir, int pid);
/*
 * Waits for the program's end: TOOL_OK if it succeeded, else TOOL_ENDED and
 * says on standard error how it ended.
 */
int launch_end(int pid);

#endif
