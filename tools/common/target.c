/* SPDX-License-Identifier: MIT */
/*
 * target.c - attaches to a process and follows it to its end.
 *
 * A process has a segment for each space that it has open. To the user it is
 * one thing, so a sample is the sum over its spaces. Spaces come and go while
 * we watch, and the sum's COUNT counters must not fall when one goes: the
 * last numbers of a closed space (its file is gone, our mapping is not) move
 * into `closed`, which every later sample includes. Gauges of a closed space
 * are void.
 *
 * The same process. A pid can be used again between two looks. The process
 * is identified by pid and start time; once we hold a pidfd the kernel does
 * it for us. The order matters: pidfd first, then the start time is compared
 * with the segment's, so that the pidfd cannot be the successor's.
 *
 * The end. A process that exits without closing, or is killed, leaves its
 * file behind; the pidfd says that it ended, and the mapping still shows the
 * last numbers. A zombie has ended.
 */
#define _GNU_SOURCE 1
#include "common/target.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "common/tool.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434 /* 5.3 */
#endif

/* Without a pidfd (seccomp) we look this often whether the process lives. */
#define LOOK_US 100000

/* Fields of /proc/PID/stat, counted from 1. */
enum { FIELD_MINFLT = 10, FIELD_MAJFLT = 12, FIELD_STARTTIME = 22 };

/* A number of a living process; 0: it is gone, or a zombie. */
static uint64_t process_number(int pid, int wanted)
{
	char path[32], text[1024];
	char *p;
	size_t n;
	FILE *f;
	int field;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	p = strrchr(text, ')'); /* a command may contain one */
	if (!p || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
		return 0;
	for (field = 2; p && field < wanted; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}

static uint64_t process_start(int pid)
{
	return process_number(pid, FIELD_STARTTIME);
}

/* ------------------------------------------------------------------ */
/* Spaces								*/

static bool knows(const struct target *t, unsigned number)
{
	unsigned i;

	for (i = 0; i < t->spaces; i++)
		if (t->space[i].number == number)
			return true;
	return false;
}

/* Opens one segment of the process and adds it to its spaces. */
static int add_space(struct target *t, const char *name, unsigned number,
		     char *reason)
{
	struct target_space *grown;
	struct segment segment;
	int error = segment_open(&segment, t->dir, name, reason);

	if (error)
		return error;
	if (segment.pid_start && segment.pid_start != t->start) {
		snprintf(reason, SEGMENT_REASON_BYTES,
			 "left behind by an earlier process %d", t->pid);
		segment_close(&segment);
		return -ENOENT;
	}
	grown = realloc(t->space, (t->spaces + 1) * sizeof(*grown));
	if (!grown) {
		segment_close(&segment);
		return -ENOMEM;
	}
	t->space = grown;
	t->space[t->spaces].number = number;
	t->space[t->spaces++].segment = segment;
	return 0;
}

/*
 * Adds the spaces that we do not know yet. Returns the error of the last
 * segment that could not be read, -ENOENT when there is no file at all.
 */
static int find_spaces(struct target *t, char *reason)
{
	struct dirent *entry;
	DIR *dir = opendir(t->dir);
	int error = -ENOENT;

	reason[0] = '\0';
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		unsigned number;
		int pid;

		if (segment_name(entry->d_name, &pid, &number) &&
		    pid == t->pid && !knows(t, number))
			error = add_space(t, entry->d_name, number, reason);
	}
	closedir(dir);
	return t->spaces ? 0 : error;
}

/* Drops space i; its counts stay in t->closed. */
static void retire_space(struct target *t, unsigned i,
			 const struct sample *last)
{
	struct sample counts = *last;

	sample_keep_counts(&counts);
	sample_add(&t->closed, &counts);
	segment_close(&t->space[i].segment);
	t->space[i] = t->space[--t->spaces];
}

/*
 * Reads every space and adds it to *sum (may be NULL). A closed one is
 * retired; so is one whose file was cut: nothing of it can be believed.
 */
static void read_spaces(struct target *t, struct sample *sum)
{
	struct sample part;
	unsigned i = 0;
	bool closed;

	while (i < t->spaces) {
		if (segment_sample(&t->space[i].segment, &part, &closed)) {
			part = (struct sample){0};
			closed = true;
		}
		if (closed) {
			retire_space(t, i, &part);
			continue;
		}
		if (sum)
			sample_add(sum, &part);
		i++;
	}
}

/* What is not in a segment. */
static void take_process(struct target *t, struct sample *out)
{
	uint64_t kernel_faults;

	out->at_us = out->unix_us = t->recorded_unix_us;
	if (t->recorded_unix_us)
		return;
	out->at_us = tool_now_us();
	out->unix_us = tool_unix_us();
	/* When the process is gone, its last number. */
	kernel_faults = process_number(t->pid, FIELD_MINFLT) +
			process_number(t->pid, FIELD_MAJFLT);
	if (kernel_faults)
		t->kernel_faults = kernel_faults;
	out->kernel_faults = t->kernel_faults;
}

void target_sample(struct target *t, struct sample *out)
{
	char reason[SEGMENT_REASON_BYTES];

	/*
	 * First the closed ones go: a new space takes the lowest number that
	 * is free, and must not be mistaken for its predecessor.
	 */
	read_spaces(t, NULL);
	if (!t->recorded_unix_us)
		find_spaces(t, reason);
	*out = (struct sample){0};
	read_spaces(t, out);
	sample_add(out, &t->closed);
	take_process(t, out);
	/* These are yes or no, not amounts: yes if it is so for all spaces. */
	out->value[VALUE_io_uring] =
		out->spaces && out->value[VALUE_io_uring] == out->spaces;
	out->value[VALUE_direct_io] =
		out->spaces && out->value[VALUE_direct_io] == out->spaces;
	out->value[VALUE_inline_faults] =
		out->spaces && out->value[VALUE_inline_faults] == out->spaces;
}

/* ------------------------------------------------------------------ */
/* The process								*/

static int explain(struct target *t, int error, char *reason)
{
	char text[SEGMENT_REASON_BYTES];

	snprintf(text, sizeof(text), "%s", reason);
	if (error == -ESRCH)
		snprintf(reason, SEGMENT_REASON_BYTES, "no process %d", t->pid);
	else if (error == -ENOENT || error == -ESTALE)
		snprintf(reason, SEGMENT_REASON_BYTES,
			 "process %d has no libvvm space open, or does not "
			 "publish its statistics (VVM_STAT)",
			 t->pid);
	else
		snprintf(reason, SEGMENT_REASON_BYTES, "process %d: %.100s",
			 t->pid, text[0] ? text : strerror(-error));
	return error;
}

int target_open(struct target *t, const char *dir, int pid,
		char reason[SEGMENT_REASON_BYTES])
{
	int error;

	memset(t, 0, sizeof(*t));
	reason[0] = '\0';
	t->dir = dir;
	t->pid = pid;
	t->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	t->start = process_start(pid);
	error = t->start ? find_spaces(t, reason) : -ESRCH;
	if (error) {
		target_close(t);
		return explain(t, error, reason);
	}
	t->uid = t->space[0].segment.uid;
	memcpy(t->command, t->space[0].segment.command, sizeof(t->command));
	return 0;
}

int target_open_copy(struct target *t, const char *path,
		     char reason[SEGMENT_REASON_BYTES])
{
	const struct segment *s;
	int error;

	*t = (struct target){.pidfd = -1};
	t->space = calloc(1, sizeof(*t->space));
	if (!t->space)
		return -ENOMEM;
	error = segment_open_copy(&t->space->segment, path, reason);
	if (error) {
		target_close(t);
		return error;
	}
	s = &t->space->segment;
	t->spaces = 1;
	t->pid = (int)s->pid;
	t->uid = s->uid;
	t->recorded_unix_us = s->recorded_unix_us;
	memcpy(t->command, s->command, sizeof(t->command));
	return 0;
}

void target_close(struct target *t)
{
	unsigned i;

	for (i = 0; i < t->spaces; i++)
		segment_close(&t->space[i].segment);
	free(t->space);
	t->space = NULL;
	t->spaces = 0;
	if (t->pidfd >= 0)
		close(t->pidfd);
	t->pidfd = -1;
}

/* Sleeps for at most that long. */
static enum target_event wait_once(struct target *t, uint64_t us, int wake_fd)
{
	struct timespec time = {.tv_sec = (time_t)(us / 1000000),
				.tv_nsec = (long)(us % 1000000) * 1000};
	struct pollfd fd[2] = {{.fd = t->pidfd, .events = POLLIN},
			       {.fd = wake_fd, .events = POLLIN}};

	/* poll(2) ignores a descriptor of -1. */
	if (ppoll(fd, 2, &time, NULL) < 0)
		return TARGET_DUE; /* a signal: the caller looks at the clock */
	if (fd[0].revents ||
	    (t->pidfd < 0 && process_start(t->pid) != t->start))
		return TARGET_ENDED;
	return fd[1].revents ? TARGET_WOKEN : TARGET_DUE;
}

enum target_event target_wait(struct target *t, uint64_t until_us, int wake_fd)
{
	enum target_event event;
	uint64_t now;

	while ((now = tool_now_us()) < until_us) {
		uint64_t us = until_us - now;

		if (t->pidfd < 0 && us > LOOK_US)
			us = LOOK_US;
		event = wait_once(t, us, wake_fd);
		if (event != TARGET_DUE)
			return event;
	}
	return wait_once(t, 0, wake_fd);
}

/* ------------------------------------------------------------------ */
/* All processes							*/

static int compare_pids(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

static bool add_pid(int **pids, size_t n, int pid)
{
	int *grown = *pids;

	/* Anybody may fill the directory with names: grow by doubling. */
	if ((n & (n - 1)) == 0)
		grown = realloc(*pids, (n ? 2 * n : 1) * sizeof(**pids));
	if (!grown)
		return false;
	*pids = grown;
	grown[n] = pid;
	return true;
}

/* Sorts and drops repetitions; returns how many are left. */
static int sort_unique(int *pids, size_t n)
{
	size_t i, kept = 0;

	if (n)
		qsort(pids, n, sizeof(*pids), compare_pids);
	for (i = 0; i < n; i++)
		if (kept == 0 || pids[i] != pids[kept - 1])
			pids[kept++] = pids[i];
	return (int)kept;
}

int target_list(const char *path, int **pids)
{
	struct dirent *entry;
	DIR *dir = opendir(path);
	unsigned number;
	size_t n = 0;
	int pid;

	*pids = NULL;
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (!segment_name(entry->d_name, &pid, &number))
			continue;
		segment_clean(path, entry->d_name);
		if (!add_pid(pids, n, pid))
			break;
		n++;
	}
	closedir(dir);
	return sort_unique(*pids, n);
}
