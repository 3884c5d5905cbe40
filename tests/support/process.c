/* SPDX-License-Identifier: MIT */
#include "support/process.h"

#include <dirent.h>
#include <stdio.h>

#include "support/expect.h"

int live_count_dir(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	live_check(dir != NULL);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

int live_count_fds(void)
{
	return live_count_dir("/proc/self/fd");
}

int live_count_threads(void)
{
	return live_count_dir("/proc/self/task");
}

int live_count_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	int c, n = 0;

	live_check(f != NULL);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

uint64_t live_rss_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long size = 0, rss = 0;

	live_check(f != NULL);
	live_check(fscanf(f, "%llu %llu", &size, &rss) == 2);
	fclose(f);
	return rss * VVM_PAGE_SIZE;
}
