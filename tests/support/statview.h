/* SPDX-License-Identifier: MIT */
/*
 * support/statview.h - runs the built vvmstat (environment VVMSTAT, default
 * ./vvmstat) on segments that a test makes with lib/stat.c.
 *
 * Other programs may have segments in /dev/shm at the same time, so each
 * test has a directory of its own there (--dir), into which the segment of
 * its process is hard-linked: the same file, alone.
 */
#ifndef VVM_TEST_STATVIEW_H
#define VVM_TEST_STATVIEW_H

#include "support/test.h"

#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "util/log.h"
#include "os/os.h"
#include "stat/stat.h"

static struct stats st;
static struct vvm_stat_actor *actor;
static char dir[] = "/dev/shm/check-vvmstat.XXXXXX";
static char out[1 << 18], err[1 << 16];

/* dir/vvm-stat.<pid>.<n> in a static buffer. */
static inline const char *in_dir(int pid, unsigned n)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s%d.%u", dir, VVM_STAT_PREFIX, pid,
		 n);
	return path;
}

/*
 * Removes what the test made. Also at exit: a test that fails never comes to
 * its teardown.
 */
static inline void teardown(void)
{
	char command[128];

	stat_close(&st);
	if (strcmp(dir + sizeof(dir) - 7, "XXXXXX")) {
		snprintf(command, sizeof(command), "rm -rf %s", dir);
		if (system(command))
			perror(dir);
	}
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
}

static inline void setup(void)
{
	log_set_level(LOG_NONE);
	atexit(teardown);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(stat_open(&st, true), 0);
	ck_assert_int_eq(link(st.path, in_dir(getpid(), 0)), 0);
	actor = stat_actor(&st, VVM_STAT_HANDLER);
	stat_set(&st, budget_pages, 65536);
	stat_set(&st, io_uring, 1);
	stat_add(actor, VVM_STAT_resident_pages, 32768);
}

static inline void stat_latency(struct vvm_stat_actor *a, uint64_t ns)
{
	a->latency[vvm_stat_bucket(ns)]++;
}

static inline void slurp(const char *name, char *buf, size_t size)
{
	char path[256];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	n = fread(buf, 1, size - 1, f);
	buf[n] = '\0';
	fclose(f);
}

static const char *tool(void)
{
	const char *path = getenv("VVMSTAT");

	return path ? path : "./vvmstat";
}

/*
 * Runs vvmstat with the arguments (printf-like); fills out and err and
 * returns the exit status, or 128 + the signal.
 */
static inline int run(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
static inline int run(const char *fmt, ...)
{
	char args[1024], command[4096];
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(args, sizeof(args), fmt, ap);
	va_end(ap);
	/* exec: a death by signal must not look like the shell's 128 + n. */
	snprintf(command, sizeof(command), "exec %s %s >%s/out 2>%s/err",
		 tool(), args, dir, dir);
	status = system(command);
	slurp("out", out, sizeof(out));
	slurp("err", err, sizeof(err));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline unsigned lines(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* The number of a key in the first object of the text; -1: not there. */
static inline double number(const char *json, const char *key)
{
	char quoted[80];
	const char *p;

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	p = strstr(json, quoted);
	return p ? atof(p + strlen(quoted)) : -1;
}

#define assert_contains(text, part) \
	ck_assert_msg(strstr(text, part) != NULL, "no '%s' in: %s", part, text)

/* Starts vvmstat in the background; its standard output. */
static inline FILE *start(const char *args, int pid)
{
	char command[1024];
	FILE *f;

	snprintf(command, sizeof(command), "exec %s --dir %s -p %d %s 2>%s/err",
		 tool(), dir, pid, args, dir);
	f = popen(command, "r");
	ck_assert_ptr_nonnull(f);
	return f;
}

static inline const char *next_line(FILE *f)
{
	static char line[1 << 14];

	return fgets(line, sizeof(line), f) ? line : "";
}

#endif
