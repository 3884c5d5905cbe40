/* SPDX-License-Identifier: MIT */
/* why.c - reasons, as values that can be handed up and kept. */
#include "vvmbench/machine/why.h"

#include <stdarg.h>
#include <stdio.h>

int why_not(struct why *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	return -1;
}
