/* SPDX-License-Identifier: MIT */
/* doctor.h - can libvvm run here, and well? */
#ifndef VVM_DOCTOR_H
#define VVM_DOCTOR_H

#include "vvmstat/output.h"

/*
 * Runs all checks. TOOL_OK: libvvm can run (there may be warnings);
 * TOOL_FAILED: it cannot. swap_path NULL: VVM_SWAP, or the default. dir: of
 * the segments.
 */
int doctor_run(const char *swap_path, const char *dir, struct output *output);

#endif
