/* SPDX-License-Identifier: MIT */
#include "support/expect.h"

#include <check.h>
#include <stdarg.h>
#include <stdbool.h>

static bool in_check;

void expect_in_check(void)
{
	in_check = true;
}

void live_fail(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (in_check)
		ck_abort_msg("%s", text);
	fprintf(stderr, "%s\n", text);
	_exit(1);
}
