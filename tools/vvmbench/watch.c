/* SPDX-License-Identifier: MIT */
/*
 * watch.c - does the pager keep to its budget? Asked of the kernel.
 *
 * libvvm counts its own frames, but a count proves nothing about itself. The
 * frames are pages of a memfd, and fstat(2) says how many the file has: so a
 * thread finds the descriptor by its name in /proc/self/fd and samples
 * st_blocks every 200 us (a sample costs about one). What the library says
 * plays no part in this.
 */
#include "vvmbench/watch.h"

#include "common/tool.h"

#include <dirent.h>
#include <string.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAMPLE_US = 200, BLOCK_BYTES = 512 };

/* Not those of fork children's snapshots, which have longer names. */
static const char memfd_prefix[] = "/memfd:vvm (";

static bool is_memfd(int dirfd, const char *name)
{
	char target[64];
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target) - 1);

	if (n < 0)
		return false;
	target[n] = '\0';
	return !strncmp(target, memfd_prefix, sizeof(memfd_prefix) - 1);
}

static void find_memfds(struct watch *w)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	w->fd_count = 0;
	if (!dir)
		return;
	while (w->fd_count < WATCH_FDS && (entry = readdir(dir)) != NULL)
		if (is_memfd(dirfd(dir), entry->d_name))
			/* NOLINTNEXTLINE(cert-err34-c): is one of proc's */
			w->fds[w->fd_count++] = atoi(entry->d_name);
	closedir(dir);
}

static void sample(struct watch *w)
{
	uint64_t bytes = 0;
	struct stat st;
	unsigned i;

	for (i = 0; i < w->fd_count; i++)
		if (fstat(w->fds[i], &st) == 0)
			bytes += (uint64_t)st.st_blocks * BLOCK_BYTES;
	if (bytes > atomic_load(&w->peak_bytes))
		atomic_store(&w->peak_bytes, bytes);
	atomic_fetch_add(&w->samples, 1);
}

static void *watch_body(void *arg)
{
	struct watch *w = arg;

	while (!atomic_load(&w->stop)) {
		sample(w);
		usleep(SAMPLE_US);
	}
	sample(w);
	return NULL;
}

void watch_start(struct watch *w)
{
	memset(w, 0, sizeof(*w));
	find_memfds(w);
	if (!w->fd_count)
		tool_die(TOOL_FAILED,
			 "--budget-check: no descriptor named "
			 "%s* in /proc/self/fd",
			 memfd_prefix);
	if (pthread_create(&w->thread, NULL, watch_body, w))
		tool_die(TOOL_FAILED, "cannot start the watching thread");
}

uint64_t watch_stop(struct watch *w)
{
	atomic_store(&w->stop, true);
	pthread_join(w->thread, NULL);
	return atomic_load(&w->peak_bytes);
}
