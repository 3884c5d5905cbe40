/* SPDX-License-Identifier: MIT */
/* doctor_memory.h - the check of the budget. */
#ifndef VVM_DOCTOR_MEMORY_H
#define VVM_DOCTOR_MEMORY_H

#include "vvmstat/finding.h"

/* Does the budget fit into the RAM that this process may use? */
void doctor_memory(struct doctor *d);

#endif
