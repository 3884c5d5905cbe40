/* SPDX-License-Identifier: MIT */
/*
 * support/wait.h - how long to wait for what must happen. A wait that is
 * bounded by a fixed time fails where many programs share few CPUs, and says
 * nothing of the library; so all bounds are given for an idle machine and
 * lengthened by what this one has to do.
 */
#ifndef VVM_WAIT_H
#define VVM_WAIT_H

#include <stdint.h>

#include "support/expect.h"

/*
 * By how much longer anything may take here, at least 1: more with few CPUs,
 * and with many processes that want them when the program starts. Measured
 * once; the children that run the tests inherit it.
 */
unsigned wait_factor(void);

/*
 * So much time, of any unit, lengthened by wait_factor() and by
 * CK_TIMEOUT_MULTIPLIER, which libcheck applies to the limits of tests.
 */
uint64_t wait_scaled(uint64_t time);

uint64_t live_now_ms(void);
void live_nap_us(long us);

/* Number from the environment, or what is given. */
long live_setting(const char *name, long otherwise);

/* Evaluates cond until it holds; fails after wait_scaled(ms). */
#define live_wait(cond, ms)                                                   \
	do {                                                                  \
		uint64_t bound_ = wait_scaled(ms),                            \
			 end_ = live_now_ms() + bound_;                       \
		while (!(cond)) {                                             \
			if (live_now_ms() > end_)                             \
				live_fail("%s:%d: waited %llu ms for %s",     \
					  __FILE__, __LINE__,                 \
					  (unsigned long long)bound_, #cond); \
			live_nap_us(500);                                     \
		}                                                             \
	} while (0)

#endif
