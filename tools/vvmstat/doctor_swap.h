/* SPDX-License-Identifier: MIT */
/* doctor_swap.h - the checks of the swap path. */
#ifndef VVM_DOCTOR_SWAP_H
#define VVM_DOCTOR_SWAP_H

#include "vvmstat/finding.h"

/* The checks of the swap path; takes more than a second. */
void doctor_swap(struct doctor *d);

#endif
