/* SPDX-License-Identifier: MIT */
/*
 * segment.c - reads a statistics segment without trusting it.
 *
 * The file lies in a directory that everybody may write to, and was written
 * by a process that may be of another version, broken, dying or hostile.
 * What we rely on, and how:
 *
 *  (1) The file is a regular one, not reached through a symbolic link, and
 *	belongs to the user who runs us. Root also reads a file that belongs
 *	to the user of the process in its name (target.c passes the rest).
 *  (2) Offsets, sizes and counts are checked once, against the file's size,
 *	and kept in struct segment. Nothing of the file is used as an offset
 *	or a bound afterwards, whatever it says by then.
 *  (3) Each look copies the segment, word by word, into our memory, and works
 *	on the copy. A file that is cut under the mapping raises SIGBUS; the
 *	handler leaves the copy loop and the segment is reported damaged.
 *  (4) Text is cut to its array and made printable: a command's name must
 *	not be able to move a cursor.
 *
 * Other versions. The same version may have counters that we do not know:
 * new ones are added at the end, counter_count tells, we read those that both
 * know. Anything else that changes is a new version and refused by number.
 *
 * Rejected: read(2) instead of mmap. It needs no SIGBUS handler, but the
 * kernel may copy by bytes, and vvm_stat.h promises whole words only to who
 * loads whole words.
 */
#define _GNU_SOURCE 1
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A segment is about 100 KB; 40 actors could grow to 1000 before this. */
#define SEGMENT_BYTES_MAX ((size_t)16 << 20)
#define COUNTERS_MAX	  4096
#define VALUES_OFFSET	  offsetof(struct vvm_stat_segment, value)
#define COUNTERS_OFFSET	  offsetof(struct vvm_stat_actor, counter)
/* What must be there whatever the writer's tables look like. */
#define HEADER_BYTES VALUES_OFFSET

#define fail(error, ...) \
	(snprintf(reason, SEGMENT_REASON_BYTES, __VA_ARGS__), (error))

bool segment_name(const char *name, int *pid, unsigned *number)
{
	int end = -1;

	if (strncmp(name, VVM_STAT_PREFIX, strlen(VVM_STAT_PREFIX)))
		return false;
	name += strlen(VVM_STAT_PREFIX);
	/* Digits only: scanf would take white space and signs. */
	if (strspn(name, "0123456789.") != strlen(name) || strlen(name) > 20)
		return false;
	if (sscanf(name, "%9d.%9u%n", pid, number, &end) != 2)
		return false;
	return end > 0 && !name[end] && *pid > 0;
}

/* ------------------------------------------------------------------ */
/* Copying what may vanish (3)						*/

static sigjmp_buf copy_failed;

static void on_sigbus(int signo)
{
	(void)signo;
	siglongjmp(copy_failed, 1);
}

static void copy_words(uint64_t *to, const uint64_t *from, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes / sizeof(*to); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

/* 0, or -EIO: a page of the mapping is gone. */
static int copy_guarded(uint64_t *to, const uint64_t *from, size_t bytes)
{
	struct sigaction old, act = {.sa_handler = on_sigbus};
	volatile int error = 0;

	sigaction(SIGBUS, &act, &old);
	if (sigsetjmp(copy_failed, 1) == 0)
		copy_words(to, from, bytes);
	else
		error = -EIO;
	sigaction(SIGBUS, &old, NULL);
	return error;
}

/* ------------------------------------------------------------------ */
/* Opening								*/

/* The user that a process runs as; (uid_t)-1 when it is gone. */
static uid_t process_uid(int pid)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return stat(path, &st) ? (uid_t)-1 : st.st_uid;
}

/* (1); 0 and the size. */
static int check_file(int fd, int pid, struct segment *s, char *reason)
{
	struct stat st;

	if (fstat(fd, &st))
		return fail(-errno, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(-EPROTO, "not a regular file");
	if (st.st_uid != geteuid() &&
	    (geteuid() != 0 || st.st_uid != process_uid(pid)))
		return fail(-EACCES, "belongs to another user (uid %u)",
			    (unsigned)st.st_uid);
	if (st.st_size == 0)
		return fail(-EAGAIN, "not ready yet");
	if ((uint64_t)st.st_size < HEADER_BYTES)
		return fail(-EPROTO, "truncated: %lld bytes",
			    (long long)st.st_size);
	s->uid = st.st_uid;
	/* The tail of a larger file is not ours to look at. */
	s->bytes = (uint64_t)st.st_size > SEGMENT_BYTES_MAX
			   ? SEGMENT_BYTES_MAX
			   : (size_t)st.st_size & ~(size_t)7;
	return 0;
}

static int open_file(struct segment *s, const char *dir, const char *name,
		     int *fd, char *reason)
{
	char path[4096];
	unsigned number;
	int pid, error;

	if (!segment_name(name, &pid, &number))
		return fail(-EPROTO, "not the name of a segment");
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	*fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (*fd < 0 && errno == ELOOP)
		return fail(-EPROTO, "is a symbolic link");
	if (*fd < 0)
		return fail(-errno, "%s", strerror(errno));
	error = check_file(*fd, pid, s, reason);
	if (error)
		close(*fd);
	s->pid = (uint64_t)pid;
	return error;
}

/* Makes the text at `from` printable ASCII, NUL-terminated (4). */
static void take_text(char *to, const char *from, size_t size)
{
	size_t i;

	for (i = 0; i + 1 < size && from[i]; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
	to[i] = '\0';
}

static int check_identity(const struct vvm_stat_segment *h, struct segment *s,
			  char *reason)
{
	if (h->magic == 0)
		return fail(-EAGAIN, "not ready yet");
	if (h->magic != VVM_STAT_MAGIC)
		return fail(-EPROTO, "not a libvvm segment");
	if (h->version != VVM_STAT_VERSION)
		return fail(-EPROTO,
			    "segment version %u, this vvmstat reads %u",
			    h->version, VVM_STAT_VERSION);
	if (h->pid != s->pid)
		return fail(-EPROTO, "names process %llu inside",
			    (unsigned long long)h->pid);
	return 0;
}

/* (2): every bound is compared before anything is multiplied or added. */
static int check_layout(const struct vvm_stat_segment *h, struct segment *s,
			char *reason)
{
	if (h->segment_bytes > s->bytes)
		return fail(-EPROTO, "truncated: %zu of %llu bytes", s->bytes,
			    (unsigned long long)h->segment_bytes);
	if (h->counter_count == 0 || h->counter_count > COUNTERS_MAX)
		return fail(-EPROTO, "damaged: %u counters", h->counter_count);
	s->counters = h->counter_count;
	if (h->actor_offset < VALUES_OFFSET || h->actor_offset % 8 ||
	    h->actor_offset > s->bytes)
		return fail(-EPROTO, "damaged: actors at offset %llu",
			    (unsigned long long)h->actor_offset);
	s->actor_offset = h->actor_offset;
	if (h->actor_bytes <
		    COUNTERS_OFFSET + (s->counters + VVM_STAT_BUCKETS) *
					      sizeof(uint64_t) ||
	    h->actor_bytes % 8 || h->actor_bytes > s->bytes)
		return fail(-EPROTO, "damaged: actors of %llu bytes",
			    (unsigned long long)h->actor_bytes);
	s->actor_bytes = h->actor_bytes;
	return 0;
}

/* How many actors fit; more can be added later, up to here. */
static size_t actors_max(const struct segment *s)
{
	return (s->bytes - s->actor_offset) / s->actor_bytes;
}

static int check_header(struct segment *s, char *reason)
{
	struct vvm_stat_segment *h;
	int error;

	error = copy_guarded(s->copy, s->map, HEADER_BYTES);
	if (error)
		return fail(-EPROTO, "truncated");
	h = (struct vvm_stat_segment *)s->copy;
	error = check_identity(h, s, reason);
	if (!error)
		error = check_layout(h, s, reason);
	if (error)
		return error;
	if (h->actor_count > actors_max(s))
		return fail(-EPROTO, "damaged: %llu actors",
			    (unsigned long long)h->actor_count);
	s->pid_start = h->pid_start;
	s->opened_unix_us = h->opened_unix_us;
	take_text(s->command, h->command, sizeof(s->command));
	take_text(s->library_version, h->library_version,
		  sizeof(s->library_version));
	return 0;
}

/* => s->bytes is set. */
static int map_file(struct segment *s, int fd, char *reason)
{
	void *map = mmap(NULL, s->bytes, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return fail(-errno, "%s", strerror(errno));
	s->map = map;
	s->copy = aligned_alloc(alignof(struct vvm_stat_segment),
				(s->bytes + 63) & ~(size_t)63);
	return s->copy ? 0 : fail(-ENOMEM, "out of memory");
}

int segment_open(struct segment *s, const char *dir, const char *name,
		 char reason[SEGMENT_REASON_BYTES])
{
	int fd, error;

	memset(s, 0, sizeof(*s));
	reason[0] = '\0';
	error = open_file(s, dir, name, &fd, reason);
	if (error)
		return error;
	error = map_file(s, fd, reason);
	close(fd);
	if (!error)
		error = check_header(s, reason);
	if (error)
		segment_close(s);
	return error;
}

void segment_close(struct segment *s)
{
	if (s->map)
		munmap((void *)s->map, s->bytes);
	free(s->copy);
	s->map = NULL;
	s->copy = NULL;
}

/* ------------------------------------------------------------------ */
/* Reading								*/

/* Adds one actor of the copy. */
static void add_actor(const struct segment *s, const uint64_t *actor,
		      struct sample *out)
{
	const uint64_t *counter = actor + COUNTERS_OFFSET / sizeof(*actor);
	const uint64_t *latency = counter + s->counters;
	size_t i;

	for (i = 0; i < s->counters && i < VVM_STAT_COUNTER_COUNT; i++)
		out->counter[i] =
			(int64_t)((uint64_t)out->counter[i] + counter[i]);
	for (i = 0; i < VVM_STAT_BUCKETS; i++)
		out->latency[i] += latency[i];
}

static void take_values(const struct segment *s, struct sample *out)
{
	const uint64_t *value = s->copy + VALUES_OFFSET / sizeof(*value);
	size_t i, n = (s->actor_offset - VALUES_OFFSET) / sizeof(*value);

	for (i = 0; i < n && i < VALUE_COUNT; i++)
		out->value[i] = value[i];
}

int segment_sample(struct segment *s, struct sample *out, bool *closed)
{
	const struct vvm_stat_segment *h = (void *)s->copy;
	size_t i, actors = actors_max(s);
	int error = copy_guarded(s->copy, s->map, s->bytes);

	memset(out, 0, sizeof(*out));
	if (error)
		return error;
	if (h->actor_count < actors)
		actors = h->actor_count;
	for (i = 0; i < actors; i++)
		add_actor(s,
			  s->copy + (s->actor_offset + i * s->actor_bytes) /
					    sizeof(*s->copy),
			  out);
	take_values(s, out);
	out->opened_unix_us = s->opened_unix_us;
	out->spaces = 1;
	*closed = h->closed != 0;
	return 0;
}
