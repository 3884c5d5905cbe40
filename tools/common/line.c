/* SPDX-License-Identifier: MIT */
/* line.c - short files of text, as /proc and /sys have them. */
#include "common/line.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int line_read(const char *path, char *line, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int error;
	ssize_t n;

	*line = '\0';
	if (fd < 0)
		return -errno;
	n = read(fd, line, size - 1);
	error = n < 0 ? -errno : 0;
	line[n < 0 ? 0 : n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	close(fd);
	return error;
}

int line_write(const char *path, const char *line)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = write(fd, line, strlen(line)) < 0 ? -errno : 0;
	close(fd);
	return error;
}

uint64_t line_number(const char *path)
{
	char line[32];

	return line_read(path, line, sizeof(line)) ? 0
						   : strtoull(line, NULL, 10);
}

uint64_t line_value(const char *path, const char *name)
{
	FILE *f = fopen(path, "re");
	size_t n = strlen(name);
	uint64_t value = 0;
	char line[128];

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, n) &&
		    (line[n] == ' ' || line[n] == ':'))
			value = strtoull(line + n + 1, NULL, 10);
	fclose(f);
	return value;
}
