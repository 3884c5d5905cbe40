/* SPDX-License-Identifier: MIT */
/*
 * env.c - who of the program's children is to know the settings; and the call
 * to the vvmrun that waits.
 *
 * Unless the children are to be paged as well, the settings leave environ
 * before main() starts. Entries are removed in place, where they are on the
 * stack, so that a main() with a third argument does not see them either, nor a
 * runtime that looks behind its arguments by itself (Go's). It looks for the
 * auxiliary vector, too, which is behind the last entry: so what is left moves up
 * to there, and empty entries, which nobody knows by a name, are before it. They
 * are remembered for a program that replaces itself by another: see
 * exec.c.
 */
#include "preload/env.h"

#include "preload/wishes.h"

#include <dlfcn.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A vvmrun that waits answers at once, or is gone. */
enum { REPORT_MS = 5000 };

/* More settings than there are; the rest is forgotten. */
enum { HIDDEN = 48 };

static char *hidden[HIDDEN + 1]; /* (i) */

/* ------------------------------------------------------------------ */
/* Hiding								*/

bool preload_is_setting(const char *entry)
{
	return !strncmp(entry, "VVM_", 4) ||
	       !strncmp(entry, WISHES_VARIABLE "=", sizeof(WISHES_VARIABLE)) ||
	       !strncmp(entry, GATE_VARIABLE "=", sizeof(GATE_VARIABLE));
}

/*
 * Takes the path out of "LD_PRELOAD=path:...", in place. False: nothing else
 * was in it.
 */
static bool cut_path(char *list, const char *path)
{
	size_t n = strlen(path);
	char *at = strstr(list, path);

	if (at && strchr(": ", at[n])) {
		if (at[n])
			n++;
		memmove(at, at + n, strlen(at + n) + 1);
	}
	return *list;
}

static void remember(char *entry)
{
	static unsigned used;

	if (used < HIDDEN)
		hidden[used++] = entry;
}

char *const *preload_hidden(void)
{
	return hidden;
}

const char *preload_object(void)
{
	Dl_info self;

	return dladdr((void *)preload_hide, &self) ? self.dli_fname : "";
}

bool preload_cut(char *list)
{
	return cut_path(list, preload_object());
}

/* Is the program to see it? */
static bool stays(char *entry)
{
	static const char loader[] = "LD_PRELOAD=";

	if (preload_is_setting(entry)) {
		remember(entry);
		return false;
	}
	return strncmp(entry, loader, strlen(loader)) != 0 ||
	       preload_cut(entry + strlen(loader));
}

void preload_hide(void)
{
	static char nothing[] = "";
	char **from, **to;

	if (!environ)
		return;
	for (from = environ; *from; from++)
		;
	for (to = from; from > environ; from--)
		if (stays(from[-1]))
			*--to = from[-1];
	for (from = environ; from < to; from++)
		*from = nothing;
	environ = to;
}

/* ------------------------------------------------------------------ */
/* Reporting								*/

/* Abstract: no file, so nothing to leave behind. */
static socklen_t abstract_name(struct sockaddr_un *addr, const char *name)
{
	size_t n = strlen(name);

	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	memcpy(addr->sun_path + 1, name, n);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
}

void preload_report(const char *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pollfd answer = {.fd = fd, .events = POLLIN};
	struct sockaddr_un addr;
	socklen_t bytes = abstract_name(&addr, name);

	/* vvmrun asks the kernel who calls, and maps our statistics. */
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, bytes) == 0)
		poll(&answer, 1, REPORT_MS);
	if (fd >= 0)
		close(fd);
}
