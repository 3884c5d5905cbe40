/* SPDX-License-Identifier: MIT */
/*
 * sampler.c - where the threads of a process wait whose faults its handler
 * threads resolve.
 *
 * A thread that waits for such a fault sleeps in the kernel, in
 * handle_userfault(). Two files of /proc tell of a thread that sleeps:
 *
 *	wchan	 the function that it sleeps in
 *	syscall	 "-1 SP PC" outside of a system call: of the access itself;
 *		 "NR ... SP PC" in one: of the access that the kernel makes for
 *		 it; "running" else
 *
 * Both are made up when they are read, cost 1 to 2 us each, and do not disturb
 * the thread. So all threads are looked at once in PERIOD_US on average; a
 * thread that is found waiting is taken to have waited since the look before.
 * That is right in the mean, whatever the length of the waits, and a second of
 * them has 1000 samples. The moments are random, so that a program with a rhythm
 * is not met at the same step each time. Looking takes at most 1/COST_SHARE of a
 * CPU: with many threads it is done less often.
 *
 * The files may be read by who may trace the process: its user, if Yama
 * (kernel.yama.ptrace_scope) is 0 or it is our child, and root. The mode of
 * `syscall` says the first when it is opened; Yama is asked when it is read.
 *
 * Rejected: the library looks at its own threads. It would open files while the
 * program counts on the lowest free descriptor, make system calls that a filter
 * of the program's may kill it for, or need a thread with a table of
 * descriptors of its own, in each process, for the day that somebody asks.
 */
#define _GNU_SOURCE 1
#include "vvmstat/sampler.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/tool.h"

#define PERIOD_US  1000u
#define COST_SHARE 20u
#define LIST_US	   20000u
/* Two descriptors each; a process has 1024 by default. */
#define TASKS_MAX 400u
/* More than that passed since the last look: we were not running. */
#define GAP_US 20000u

struct sampler_task {
	int tid;
	int wchan, syscall; /* descriptors, or -1 */
	bool alive;
};

void sampler_init(struct sampler *s, int pid)
{
	*s = (struct sampler){.pid = pid, .random = tool_now_us() | 1};
	s->task = calloc(TASKS_MAX, sizeof(*s->task));
	if (!s->task)
		tool_die(TOOL_FAILED, "out of memory");
}

static void close_task(struct sampler_task *t)
{
	if (t->wchan >= 0)
		close(t->wchan);
	if (t->syscall >= 0)
		close(t->syscall);
}

void sampler_fini(struct sampler *s)
{
	while (s->tasks)
		close_task(&s->task[--s->tasks]);
	free(s->task);
	s->task = NULL;
}

/* ------------------------------------------------------------------ */
/* Threads								*/

/* What came of looking; negative: errno says why not. */
static void note_refusal(struct sampler *s, ssize_t result)
{
	if (result < 0 && (errno == EACCES || errno == EPERM))
		s->denied = true;
}

static int open_of(struct sampler *s, int tid, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", s->pid, tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	note_refusal(s, fd);
	return fd;
}

static void add_task(struct sampler *s, int tid)
{
	struct sampler_task t = {.tid = tid, .alive = true};
	unsigned i;

	for (i = 0; i < s->tasks; i++)
		if (s->task[i].tid == tid) {
			s->task[i].alive = true;
			return;
		}
	if (s->tasks == TASKS_MAX) {
		s->many = true;
		return;
	}
	t.wchan = open_of(s, tid, "wchan");
	t.syscall = t.wchan < 0 ? -1 : open_of(s, tid, "syscall");
	if (t.syscall < 0)
		close_task(&t);
	else
		s->task[s->tasks++] = t;
}

static void drop_dead(struct sampler *s)
{
	unsigned i = 0;

	while (i < s->tasks) {
		if (s->task[i].alive) {
			i++;
			continue;
		}
		close_task(&s->task[i]);
		s->task[i] = s->task[--s->tasks];
	}
}

static void list_tasks(struct sampler *s)
{
	struct dirent *entry;
	char path[32];
	unsigned i;
	DIR *dir;
	int tid;

	snprintf(path, sizeof(path), "/proc/%d/task", s->pid);
	dir = opendir(path);
	for (i = 0; i < s->tasks; i++)
		s->task[i].alive = false;
	while (dir && (entry = readdir(dir))) {
		tid = (int)strtol(entry->d_name, NULL, 10);
		if (tid > 0)
			add_task(s, tid);
	}
	if (dir)
		closedir(dir);
	drop_dead(s);
}

/* ------------------------------------------------------------------ */
/* Waits								*/

uint64_t sampler_parse(const char *text)
{
	const char *last = strrchr(text, ' ');

	/* "running", or -1 alone where there is no stack to look at */
	if (!last || strncmp(last, " 0x", 3))
		return 0;
	return strtoull(last + 3, NULL, 16);
}

static bool read_text(struct sampler *s, int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	note_refusal(s, n);
	if (n < 0)
		return false;
	text[n] = '\0';
	return true;
}

/* The code that this thread waits in; 0: it does not wait for a page. */
static uint64_t waits_at(struct sampler *s, struct sampler_task *t)
{
	char text[256];
	uint64_t ip;

	if (!read_text(s, t->wchan, text, sizeof(text))) {
		t->alive = false;
		return 0;
	}
	if (strcmp(text, "handle_userfault"))
		return 0;
	if (!read_text(s, t->syscall, text, sizeof(text)))
		return 0;
	ip = sampler_parse(text);
	/* In a system call it may wait for something else by now. */
	if (text[0] != '-' && (!read_text(s, t->wchan, text, sizeof(text)) ||
			       strcmp(text, "handle_userfault")))
		return 0;
	return ip >= VVM_STAT_SITE_CODE ? ip : 0;
}

static void look_at_tasks(struct sampler *s, struct site_map *to, uint64_t ns)
{
	struct site *site;
	uint64_t ip;
	unsigned i;

	for (i = 0; i < s->tasks; i++) {
		ip = waits_at(s, &s->task[i]);
		site = ip ? site_get(to, 0, ip) : NULL;
		if (!site)
			continue;
		site->seen++;
		site->wait_ns += ns;
	}
}

/* A time between half of the mean and one and a half. */
static uint64_t around(struct sampler *s, uint64_t mean_us)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return mean_us / 2 + s->random % (mean_us + 1);
}

void sampler_look(struct sampler *s, struct site_map *to)
{
	uint64_t now_us = tool_now_us(), passed_us = now_us - s->last_us;
	uint64_t cost_us;

	if (now_us - s->listed_us >= LIST_US) {
		list_tasks(s);
		s->listed_us = now_us;
	}
	if (!s->last_us)
		passed_us = PERIOD_US;
	if (passed_us > GAP_US)
		passed_us = GAP_US;
	look_at_tasks(s, to, passed_us * 1000);
	drop_dead(s);
	s->last_us = now_us;
	cost_us = tool_now_us() - now_us;
	now_us += cost_us;
	s->next_us = now_us + around(s, cost_us * COST_SHARE > PERIOD_US
						? cost_us * COST_SHARE
						: PERIOD_US);
}
