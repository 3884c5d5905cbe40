/* SPDX-License-Identifier: MIT */
/* why.h - reasons. */
#ifndef VVM_BENCH_WHY_H
#define VVM_BENCH_WHY_H

/* Why the machine does not permit something; "" while nothing is known. */
struct why {
	char text[256];
};

/* Sets the text. Returns -1, for the caller to pass on. */
int why_not(struct why *why, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
