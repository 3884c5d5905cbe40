/* SPDX-License-Identifier: MIT */
/*
 * journal.c - what vvmbench has changed on the machine, to undo it.
 *
 * A swap area, a sysctl, a cgroup or a gigabyte of file must not outlive the
 * benchmark that wanted it, even if that was killed with SIGKILL. So there is
 * a journal, one line for each change, written before the change is made:
 *
 *	group PATH		a memory cgroup was made
 *	file DEV INO PATH	a file was made
 *	swapon DEV INO PATH	it became a swap area
 *	value OLD NEW PATH	a setting was changed
 *
 * Undoing is reading it backwards. There is no other way: the normal end, an
 * error, Ctrl-C and the next vvmbench after a kill all call journal_undo(),
 * so what is tested every day is what is needed on the bad one. An undo works
 * whether or not the change was made, and can be repeated.
 *
 *  (1) A line is in the file before its change is made.
 *  (2) The file is locked (flock) while its writer lives; whoever gets the
 *	lock and finds lines knows that their writer does not.
 *  (3) Nothing is undone that is not ours: a file is removed or swapped off
 *	only if it has the device and inode that were noted, a setting is put
 *	back only if it still has the value that we gave it, a group must have
 *	our name.
 *
 * The lock also keeps a second vvmbench from changing the same settings, of
 * which the machine has only one. The file is in /run: a reboot undoes all
 * but the swap file itself, and forgets the journal with the rest.
 */
#include "vvmbench/machine/journal.h"

#include "common/line.h"

#include "common/tool.h"
#include "vvmbench/machine/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

/* Of one run: six lines at most, of which three have a path. */
enum { JOURNAL_BYTES = 32768, LINE_BYTES = PATH_MAX + 128 };

/* ------------------------------------------------------------------ */
/* Undoing one line							*/

/* A file, as a line tells it. */
struct noted {
	unsigned long long dev, ino;
	const char *path;
};

/* "DEV INO PATH"; the path may hold blanks. */
static bool parse_file(const char *args, struct noted *f)
{
	int at = 0;

	/* NOLINTNEXTLINE(cert-err34-c): we wrote it; else no file is it */
	if (sscanf(args, "%llu %llu %n", &f->dev, &f->ino, &at) < 2 || !at)
		return false;
	f->path = args + at;
	return true;
}

/* Is it still the file that was noted? */
static bool is_there(const struct noted *f)
{
	struct stat st;

	return lstat(f->path, &st) == 0 && S_ISREG(st.st_mode) &&
	       st.st_dev == f->dev && st.st_ino == f->ino;
}

static int undo_file(const char *args)
{
	struct noted f;

	if (!parse_file(args, &f) || !is_there(&f))
		return 0;
	return unlink(f.path) ? -errno : 0;
}

/* EINVAL: it is not in use. */
static int undo_swapon(const char *args)
{
	struct noted f;

	if (!parse_file(args, &f) || !is_there(&f))
		return 0;
	return swapoff(f.path) && errno != EINVAL ? -errno : 0;
}

static int undo_group(const char *path)
{
	const char *name = strrchr(path, '/');

	if (!name || strncmp(name, "/vvmbench-", 10))
		return 0;
	return cgroup_remove(path);
}

static int undo_value(const char *args)
{
	char old[32], new[32], now[32];
	int at = 0;

	if (sscanf(args, "%31s %31s %n", old, new, &at) < 2 || !at ||
	    line_read(args + at, now, sizeof(now)) || strcmp(now, new))
		return 0;
	return line_write(args + at, old);
}

static const struct {
	const char *verb;
	int (*undo)(const char *args);
} verbs[] = {
	{"group ", undo_group},
	{"file ", undo_file},
	{"swapon ", undo_swapon},
	{"value ", undo_value},
};

static int undo_line(const char *line)
{
	unsigned i;

	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		size_t n = strlen(verbs[i].verb);

		if (!strncmp(line, verbs[i].verb, n))
			return verbs[i].undo(line + n);
	}
	return 0;
}

/* ------------------------------------------------------------------ */
/* The file								*/

off_t journal_mark(const struct journal *j)
{
	return j->fd < 0 ? 0 : lseek(j->fd, 0, SEEK_END);
}

static int append(struct journal *j, const char *text)
{
	size_t n = strlen(text);
	ssize_t done = write(j->fd, text, n);

	if (done < 0)
		return -errno;
	return done == (ssize_t)n ? 0 : -ENOSPC;
}

/* A path with a newline would be two lines. */
static int note(struct journal *j, const char *fmt, ...)
{
	char line[LINE_BYTES];
	va_list ap;
	int n;

	if (j->fd < 0)
		return -EBADF;
	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(line) - 1)
		return -ENAMETOOLONG;
	if (strchr(line, '\n') || journal_mark(j) + n + 1 >= JOURNAL_BYTES)
		return -EINVAL;
	strcpy(line + n, "\n");
	return append(j, line);
}

/* Undoes some lines, the last first. False: one could not be; that is said. */
static bool undo_text(char *text)
{
	bool all = true;
	char *end, *line;
	int error;

	while ((end = strrchr(text, '\n'))) {
		*end = '\0';
		line = strrchr(text, '\n');
		line = line ? line + 1 : text;
		error = undo_line(line);
		if (error)
			tool_warn("cannot undo '%s': %s; the next vvmbench "
				  "compare tries again",
				  line, strerror(-error));
		all &= !error;
		*line = '\0';
	}
	return all;
}

/* How long are the whole lines? A cut one was never carried out. */
static off_t whole_lines(const char *text)
{
	const char *end = strrchr(text, '\n');

	return end ? end + 1 - text : 0;
}

/* If something could not be undone all lines stay, for the next one. */
void journal_undo(struct journal *j, off_t mark)
{
	char *text;
	ssize_t n;
	off_t kept;

	if (j->fd < 0 || journal_mark(j) <= mark)
		return;
	text = calloc(1, JOURNAL_BYTES + 1);
	n = text ? pread(j->fd, text, JOURNAL_BYTES, mark) : -1;
	if (n >= 0) {
		kept = whole_lines(text);
		text[kept] = '\0';
		if (undo_text(text))
			kept = 0;
	}
	if (n < 0 || ftruncate(j->fd, mark + kept))
		tool_warn("%s: cannot be read or cut; see what it says",
			  j->path);
	free(text);
}

/* ------------------------------------------------------------------ */
/* Opening and closing							*/

/* Locked, is it still the file of that name? Another may have removed it. */
static bool is_current(const struct journal *j)
{
	struct stat mine, there;

	return fstat(j->fd, &mine) == 0 && stat(j->path, &there) == 0 &&
	       mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

static int open_locked(struct journal *j, struct why *why)
{
	j->fd = open(j->path,
		     O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
		     0600);
	if (j->fd < 0)
		return why_not(why, "%s: %s%s", j->path, strerror(errno),
			       errno == EACCES ? " (only root may)" : "");
	if (flock(j->fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	journal_drop(j);
	return why_not(why, "another vvmbench is at it (it has locked %s)",
		       j->path);
}

int journal_open(struct journal *j, const char *path, struct why *why)
{
	snprintf(j->path, sizeof(j->path), "%s", path);
	for (;;) {
		if (open_locked(j, why))
			return -1;
		if (is_current(j))
			break;
		journal_drop(j);
	}
	if (journal_mark(j) > 0)
		tool_warn("undoing what a killed vvmbench has left");
	journal_undo(j, 0);
	return 0;
}

void journal_drop(struct journal *j)
{
	if (j->fd >= 0)
		close(j->fd);
	j->fd = -1;
}

void journal_close(struct journal *j)
{
	journal_undo(j, 0);
	if (j->fd >= 0 && journal_mark(j) == 0)
		unlink(j->path);
	journal_drop(j);
}

/* ------------------------------------------------------------------ */
/* Notes								*/

int journal_note_group(struct journal *j, const char *path)
{
	return note(j, "group %s", path);
}

static int note_file(struct journal *j, const char *verb, int fd,
		     const char *path)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	return note(j, "%s %llu %llu %s", verb, (unsigned long long)st.st_dev,
		    (unsigned long long)st.st_ino, path);
}

int journal_note_file(struct journal *j, int fd, const char *path)
{
	return note_file(j, "file", fd, path);
}

int journal_note_swapon(struct journal *j, int fd, const char *path)
{
	return note_file(j, "swapon", fd, path);
}

int journal_set(struct journal *j, const char *path, const char *value)
{
	char old[32];
	int error = line_read(path, old, sizeof(old));

	if (error || !strcmp(old, value))
		return error;
	error = note(j, "value %s %s %s", old, value, path);
	return error ? error : line_write(path, value);
}
