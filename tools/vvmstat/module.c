/* SPDX-License-Identifier: MIT */
/*
 * module.c - files that the code of a process comes from.
 *
 * Addresses of code mean something as long as the process lives and has not
 * unloaded the code. So the mappings are read while it does, an address is
 * looked up when it is first seen, and the file is opened then: symbols can be
 * looked up after the end.
 *
 * The file of a mapping is opened through /proc/PID/map_files, if we may, which
 * cannot be another one; else through /proc/PID/root, and it counts only if it
 * has the inode that the mapping says: programs are replaced while they run.
 * (Devices cannot be compared: overlayfs and btrfs show two.)
 *
 * Root parses no file of another user: a process of a stranger's could have it
 * read something made to break a parser of debugging information. Its code is
 * shown by file and offset. (User 0 of a container that has no users of its own
 * is root.)
 */
#define _GNU_SOURCE 1
#include "vvmstat/module.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vvmstat/symbols.h"

#define MAPS_MAX   ((size_t)64 << 20) /* 65,530 lines with long paths: 20 MiB */
#define FILES_MAX  ((size_t)512 << 20) /* of all that is read for symbols */
#define HEAD_BYTES 128 /* of a line, up to the path: at most 90 */

void modules_init(struct modules *m, int pid)
{
	*m = (struct modules){.pid = pid};
}

static void free_ranges(struct module_range *range, size_t n)
{
	while (n)
		free(range[--n].path);
	free(range);
}

void modules_fini(struct modules *m)
{
	struct module *next;

	free_ranges(m->range, m->ranges);
	for (; m->files; m->files = next) {
		next = m->files->next;
		symbols_close(m->files->symbols);
		free(m->files->path);
		free(m->files);
	}
	modules_init(m, m->pid);
}

/* ------------------------------------------------------------------ */
/* Mappings								*/

/* A whole file of /proc, NUL-terminated; NULL and errno. */
static char *read_all(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t done = 0, size = 0;
	char *text = NULL, *grown;
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0 && done < MAPS_MAX) {
		if (size - done < 4096) {
			size = size ? 2 * size : 65536;
			grown = realloc(text, size);
			if (!grown) {
				n = -1;
				break;
			}
			text = grown;
		}
		n = read(fd, text + done, size - done - 1);
		done += n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0)
		close(fd);
	if (n < 0) {
		free(text);
		return NULL;
	}
	text[done] = '\0';
	return text;
}

char *modules_text(struct modules *m)
{
	char path[32], *text;

	snprintf(path, sizeof(path), "/proc/%d/maps", m->pid);
	errno = 0;
	text = read_all(path);
	m->denied = !text && (errno == EACCES || errno == EPERM);
	return text;
}

/* One line; false: it is no mapping of code. */
static bool parse_line(const char *line, size_t length, struct module_range *r)
{
	char rights[5], head[HEAD_BYTES];
	int at = -1;

	/* sscanf() looks for the end of all that it is given. */
	snprintf(head, sizeof(head), "%.*s", (int)length, line);
	/* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers */
	if (sscanf(head,
		   "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*x:%*x %" SCNu64
		   "%n",
		   &r->start, &r->end, rights, &r->offset, &r->inode,
		   &at) != 5 ||
	    at < 0 || rights[2] != 'x')
		return false;
	for (; (size_t)at < length && line[at] == ' '; at++)
		;
	r->path = strndup(line + at, length - (size_t)at);
	return r->path && r->start < r->end;
}

bool modules_parse(struct modules *m, const char *text)
{
	struct module_range *range = NULL, *grown;
	size_t n = 0, length;

	for (; *text; text += length + (text[length] != '\0')) {
		length = strcspn(text, "\n");
		grown = (n & (n - 1)) ? range
				      : realloc(range, (n ? 2 * n : 1) *
							       sizeof(*range));
		if (!grown)
			break;
		range = grown;
		range[n].path = NULL;
		if (parse_line(text, length, &range[n]))
			n++;
		else
			free(range[n].path);
	}
	if (!n) {
		free(range);
		return false;
	}
	free_ranges(m->range, m->ranges);
	m->range = range;
	m->ranges = n;
	return true;
}

static const struct module_range *find_range(const struct modules *m,
					     uint64_t ip)
{
	size_t low = 0, high = m->ranges;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->range[middle].end <= ip)
			low = middle + 1;
		else
			high = middle;
	}
	return low < m->ranges && m->range[low].start <= ip ? &m->range[low]
							    : NULL;
}

/* ------------------------------------------------------------------ */
/* Files								*/

/* May we parse it? See above. */
static bool is_trusted(const struct stat *st)
{
	return st->st_uid == geteuid() || (geteuid() != 0 && st->st_uid == 0);
}

static int open_checked(const char *path, uint64_t inode)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && is_trusted(&st) &&
	    (!inode || st.st_ino == inode))
		return fd;
	close(fd);
	return -1;
}

static int open_file(const struct modules *m, const struct module_range *r)
{
	char path[4200];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64,
		 m->pid, r->start, r->end);
	fd = open_checked(path, 0);
	if (fd >= 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/%d/root%s", m->pid, r->path);
	return open_checked(path, r->inode);
}

/* What is printed must move no cursor, and end no field of other programs. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

static void read_symbols(struct modules *m, const struct module_range *r,
			 struct module *f)
{
	int fd = open_file(m, r);
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) || (uint64_t)st.st_size > FILES_MAX - m->read) {
		close(fd);
		return;
	}
	m->read += (size_t)st.st_size;
	f->symbols = symbols_open(fd, r->path, (size_t)st.st_size);
}

/* It is opened by the name that it has, and found by what is shown of that. */
static struct module *get_module(struct modules *m,
				 const struct module_range *r)
{
	struct module *f;
	char *path = strdup(r->path);

	if (!path)
		return NULL;
	make_printable(path);
	for (f = m->files; f; f = f->next)
		if (f->inode == r->inode && !strcmp(f->path, path))
			break;
	if (f || !(f = calloc(1, sizeof(*f)))) {
		free(path);
		return f;
	}
	f->path = path;
	f->inode = r->inode;
	read_symbols(m, r, f);
	f->next = m->files;
	m->files = f;
	return f;
}

/* Anonymous memory that is shared has a name, too. */
static bool is_file(const struct module_range *r)
{
	return r->path[0] == '/' && r->inode &&
	       strncmp(r->path, "/memfd:", 7) &&
	       strncmp(r->path, "/dev/zero", 9) && strncmp(r->path, "/SYSV", 5);
}

void module_resolve(struct modules *m, uint64_t ip, struct place *place)
{
	const struct module_range *r = find_range(m, ip);

	if (!r)
		return;
	place->kind = strcmp(r->path, "[vdso]") ? "[anon]" : "[vdso]";
	if (is_file(r)) {
		place->module = get_module(m, r);
		if (!place->module)
			return;
	}
	place->offset = ip - r->start + r->offset;
	place->known = true;
}
