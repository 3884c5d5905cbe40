/* SPDX-License-Identifier: MIT */
#include "support/expect.h"

#include <check.h>
#include <stdarg.h>
#include <stdbool.h>

static bool in_check;
static int status = 1;
static const char *context;

void expect_in_check(void)
{
	in_check = true;
}

void expect_in_child(int exit_status)
{
	in_check = false;
	status = exit_status;
}

void expect_context(const char *text)
{
	context = text;
}

void live_fail(const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n = 0;

	if (context)
		n = snprintf(text, sizeof(text), "%.500s: ", context);
	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	if (in_check)
		ck_abort_msg("%s", text);
	fprintf(stderr, "%s\n", text);
	_exit(status);
}
