/* SPDX-License-Identifier: MIT */
/*
 * sim/setup.h - one seed, in a process of its own.
 */
#ifndef SIM_SETUP_H
#define SIM_SETUP_H

#include "sim/kernel.h"

/* Draws the parameters of K->seed. */
void sim_draw(void);
/* Runs it. A finding ends the process. */
void sim_run_seed(void);
void sim_tell_params(void);

#endif
