/* SPDX-License-Identifier: MIT */
#include "support/files.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/expect.h"

char live_dir[64];

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

void live_dir_make(void)
{
	snprintf(live_dir, sizeof live_dir, "/var/tmp/vvm-test.XXXXXX");
	if (!mkdtemp(live_dir)) {
		perror(live_dir);
		exit(1);
	}
}

void live_dir_remove(void)
{
	nftw(live_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *live_path(const char *name)
{
	static char path[4][160];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof path[0], "%s/%s", live_dir, name);
	return p;
}

void live_overwrite(const char *path)
{
	enum { JUNK_BYTES = 1 << 16 };
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_DIRECT);
	void *junk = aligned_alloc(VVM_PAGE_SIZE, JUNK_BYTES);
	struct stat st;

	if (fd < 0)
		fd = open(path, O_WRONLY | O_CLOEXEC);
	live_check(fd >= 0 && junk && fstat(fd, &st) == 0);
	memset(junk, 0x5a, JUNK_BYTES);
	for (off_t at = 0; at < st.st_size; at += JUNK_BYTES) {
		size_t n = st.st_size - at < JUNK_BYTES
				   ? (size_t)(st.st_size - at)
				   : JUNK_BYTES;

		live_equal(pwrite(fd, junk, n, at), n);
	}
	close(fd);
	free(junk);
}
