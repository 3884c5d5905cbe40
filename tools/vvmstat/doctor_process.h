/* SPDX-License-Identifier: MIT */
/* doctor_process.h - do the processes that use libvvm now get on? */
#ifndef VVM_DOCTOR_PROCESS_H
#define VVM_DOCTOR_PROCESS_H

#include "vvmstat/finding.h"

/* One finding for each that does not, or one that all do. */
void doctor_processes(struct doctor *d, const char *dir);

#endif
