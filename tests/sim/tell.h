/* SPDX-License-Identifier: MIT */
/*
 * sim/tell.h - what is said of a finding.
 */
#ifndef SIM_TELL_H
#define SIM_TELL_H

#include <stdint.h>

/* The finding, the last events, and what each thread waits for. */
void sim_tell_finding(void);
void sim_tell_own_stack(void);
/* By a thread that was given its turn for that only; does not return. */
void sim_tell_stack(void);
void sim_tell_event(const int16_t *thread, unsigned what, uint64_t a,
		    uint64_t b);

#endif
