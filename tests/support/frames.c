/* SPDX-License-Identifier: MIT */
#include "support/frames.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/expect.h"
#include "support/wait.h"

/* That of a space; fork's copies are in one of their own. */
#define MEMFD_NAME "/memfd:vvm (deleted)"

/* How many memfds of libvvm's there are; *last: of a space. */
static int find_memfds(int *last)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *d;
	char link[128];
	int found = 0;

	live_check(dir != NULL);
	while ((d = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), d->d_name, link,
				       sizeof link - 1);

		if (n <= 0)
			continue;
		link[n] = '\0';
		if (strncmp(link, "/memfd:vvm", 10))
			continue;
		if (!strcmp(link, MEMFD_NAME))
			*last = atoi(d->d_name);
		found++;
	}
	closedir(dir);
	return found;
}

int live_count_memfds(void)
{
	int fd;

	return find_memfds(&fd);
}

int live_memfd(void)
{
	int fd = -1;

	find_memfds(&fd);
	return fd;
}

uint64_t live_frames(int memfd)
{
	struct stat st;

	live_check(fstat(memfd, &st) == 0);
	return (uint64_t)st.st_blocks * 512 / VVM_PAGE_SIZE;
}

/* The same by cachestat(2), Linux 6.5; UINT64_MAX where it does not exist. */
static uint64_t cached_pages(int memfd)
{
	struct {
		uint64_t offset, bytes;
	} all = {0, 0};
	struct {
		uint64_t cache, dirty, writeback, evicted, recently;
	} count = {0, 0, 0, 0, 0};

	if (syscall(451, memfd, &all, &count, 0))
		return UINT64_MAX;
	return count.cache;
}

uint64_t live_frames_above(int memfd, uint64_t limit)
{
	uint64_t pages = live_frames(memfd), cached;

	for (int i = 0; i < 200 && pages > limit; i++) {
		cached = cached_pages(memfd);
		if (cached <= limit)
			return cached;
		/* the kernel counts page by page while others come and go */
		if (cached != UINT64_MAX && i > 1)
			break;
		live_nap_us(100);
		pages = live_frames(memfd);
	}
	return pages;
}

bool live_within(int memfd, uint64_t limit)
{
	return live_frames_above(memfd, limit) <= limit;
}

static void *sampler_run(void *arg)
{
	struct live_sampler *s = arg;

	while (!atomic_load(&s->stop)) {
		uint64_t pages = live_frames_above(s->memfd, s->limit);

		if (pages > atomic_load(&s->max_pages))
			atomic_store(&s->max_pages, pages);
		atomic_fetch_add(&s->samples, 1);
		live_nap_us(100);
	}
	return NULL;
}

void live_sampler_start(struct live_sampler *s, uint64_t limit)
{
	memset(s, 0, sizeof *s);
	s->limit = limit;
	s->memfd = live_memfd();
	live_check(s->memfd >= 0);
	live_check(pthread_create(&s->thread, NULL, sampler_run, s) == 0);
}

uint64_t live_sampler_stop(struct live_sampler *s)
{
	atomic_store(&s->stop, true);
	pthread_join(s->thread, NULL);
	return atomic_load(&s->max_pages);
}
