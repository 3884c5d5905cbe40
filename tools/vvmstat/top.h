/* SPDX-License-Identifier: MIT */
/* top.h - the full-screen view (-T). */
#ifndef VVM_TOP_H
#define VVM_TOP_H

#include "vvmstat/view.h"

/*
 * Shows the process until the user or the process ends it. Returns the exit
 * status; dies when there is no terminal.
 */
int top_run(struct view *v, struct target *t, double interval_s);

#endif
