/* SPDX-License-Identifier: MIT */
/*
 * state.c - what all of the preload object knows. The theory is in preload.c.
 */
#include "preload/state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct preload preload;
__thread unsigned preload_depth __attribute__((tls_model("initial-exec")));
__thread bool preload_born __attribute__((tls_model("initial-exec")));

void preload_say(const char *fmt, ...)
{
	char line[512] = "vvmrun: ";
	size_t n = strlen(line);
	va_list ap;

	va_start(ap, fmt);
	n += (size_t)vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	if (n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* nobody to tell */
}
