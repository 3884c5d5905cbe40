/* SPDX-License-Identifier: MIT */
#include "support/statview.h"

#include <check.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"
#include "util/log.h"

struct stats st;
struct vvm_stat_actor *writer;
char dir[] = "/dev/shm/check-vvmstat.XXXXXX";
char out[1 << 18], errors[1 << 16];

const char *in_dir(int pid, unsigned n)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s%d.%u", dir, VVM_STAT_PREFIX, pid,
		 n);
	return path;
}

void view_teardown(void)
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

void view_setup(void)
{
	log_set_level(LOG_NONE);
	atexit(view_teardown);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(stat_open(&st, true), 0);
	ck_assert_int_eq(link(st.path, in_dir(getpid(), 0)), 0);
	writer = stat_actor(&st, VVM_STAT_HANDLER);
	stat_set(&st, budget_pages, 65536);
	stat_set(&st, io_uring, 1);
	stat_add(writer, VVM_STAT_resident_pages, 32768);
}

void stat_latency(struct vvm_stat_actor *a, uint64_t ns)
{
	a->latency[vvm_stat_bucket(ns)]++;
}

void slurp(const char *name, char *buf, size_t size)
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

const char *tool(void)
{
	const char *path = getenv("VVMSTAT");

	return path ? path : "./vvmstat";
}

int run(const char *fmt, ...)
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
	slurp("err", errors, sizeof(errors));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

unsigned lines(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

double number(const char *json, const char *key)
{
	char quoted[80];
	const char *p;

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	p = strstr(json, quoted);
	return p ? atof(p + strlen(quoted)) : -1;
}

FILE *start(const char *args, int pid)
{
	char command[1024];
	FILE *f;

	snprintf(command, sizeof(command), "exec %s --dir %s -p %d %s 2>%s/err",
		 tool(), dir, pid, args, dir);
	f = popen(command, "r");
	ck_assert_ptr_nonnull(f);
	return f;
}

const char *next_line(FILE *f)
{
	static char line[1 << 14];

	return fgets(line, sizeof(line), f) ? line : "";
}
