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
 *	or a bound afterwards, whatever it says by then; counts that grow are
 *	cut to those bounds, and believed only as far as the file has storage,
 *	since looking into a hole of a tmpfs file would fill it.
 *  (3) Each look copies the segment, word by word, into our memory, and works
 *	on the copy. A file that is cut under the mapping raises SIGBUS; the
 *	handler leaves the copy loop and the segment is reported damaged.
 *  (4) Text is cut to its array and made printable: a command's name must
 *	not be able to move a cursor.
 *
 * Alive. Its process holds a lock on the file as long as it lives and runs
 * the same program; the kernel knows best, so we ask it (F_OFD_GETLK).
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
#include "common/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

/* Header and actors: 150 KB; 64 of today's actors are 240 KB. */
#define COPY_BYTES_MAX	  ((size_t)16 << 20)
#define SEGMENT_BYTES_MAX ((size_t)8 << 30) /* of address space */
#define LIST_MAX	  4096		    /* counters, buckets, ... */
#define HEADER_BYTES	  offsetof(struct vvm_stat_segment, value)
#define COUNTERS_OFFSET	  offsetof(struct vvm_stat_actor, counter)

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
	/* NOLINTNEXTLINE(cert-err34-c): nine digits are in range */
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

int segment_look(struct segment *s, void (*look)(struct segment *, void *),
		 void *arg)
{
	struct sigaction old, act = {.sa_handler = on_sigbus};
	volatile int error = 0;

	sigaction(SIGBUS, &act, &old);
	if (sigsetjmp(copy_failed, 1) == 0)
		look(s, arg);
	else
		error = -EIO;
	sigaction(SIGBUS, &old, NULL);
	return error;
}

void segment_copy(const struct segment *s, void *to, size_t offset,
		  size_t bytes)
{
	copy_words(to, s->map + offset / sizeof(*s->map), bytes);
}

/* Bytes of storage that the file has; 0 when that cannot be said. */
static uint64_t storage(const struct segment *s)
{
	struct stat st;

	return fstat(s->fd, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

size_t segment_items(const struct segment *s, const struct segment_table *t)
{
	const struct vvm_stat_segment *h = (const void *)s->map;
	const struct vvm_stat_table *from =
		t == &s->blocks	   ? &h->blocks
		: t == &s->regions ? &h->regions
		: t == &s->rings   ? &h->rings
		: t == &s->sites
			? (const void *)(s->map + s->sites_at / sizeof(*s->map))
			: &h->actors;
	uint64_t n = __atomic_load_n(&from->count, __ATOMIC_ACQUIRE);

	if (n > t->max)
		n = t->max;
	return n * t->item_bytes <= storage(s) ? n : 0;
}

/* Refreshes s->copy. */
static void look_at_actors(struct segment *s, void *unused)
{
	(void)unused;
	segment_copy(s, s->copy, 0, s->copy_bytes);
}

static void look_at_header(struct segment *s, void *to)
{
	segment_copy(s, to, 0, HEADER_BYTES);
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
	if (!s->recorded && st.st_uid != geteuid() &&
	    (geteuid() != 0 || st.st_uid != process_uid(pid)))
		return fail(-EACCES, "belongs to another user (uid %u)",
			    (unsigned)st.st_uid);
	if (st.st_size == 0)
		return fail(-EAGAIN, "not ready yet");
	if ((uint64_t)st.st_size < HEADER_BYTES)
		return fail(-EPROTO, "truncated: %lld bytes",
			    (long long)st.st_size);
	s->uid = st.st_uid;
	s->recorded_unix_us = (uint64_t)st.st_mtim.tv_sec * 1000000 +
			      (uint64_t)st.st_mtim.tv_nsec / 1000;
	/* The tail of a larger file is not ours to look at. */
	s->bytes = (uint64_t)st.st_size > SEGMENT_BYTES_MAX
			   ? SEGMENT_BYTES_MAX
			   : (size_t)st.st_size & ~(size_t)7;
	return 0;
}

static int open_file(struct segment *s, const char *dir, const char *name,
		     char *reason)
{
	char path[4096];
	unsigned number;
	int pid;

	if (!segment_name(name, &pid, &number))
		return fail(-EPROTO, "not the name of a segment");
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	s->pid = (uint64_t)pid;
	s->fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (s->fd < 0 && errno == ELOOP)
		return fail(-EPROTO, "is a symbolic link");
	if (s->fd < 0)
		return fail(-errno, "%s", strerror(errno));
	return check_file(s->fd, pid, s, reason);
}

/* Does its process hold it? Where the kernel cannot say: yes. */
static bool is_held(const struct segment *s)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return s->recorded || fcntl(s->fd, F_OFD_GETLK, &lock) ||
	       lock.l_type != F_UNLCK;
}

void segment_text(char *to, const char *from, size_t size)
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
			    "segment version %u, this vvmstat reads %d",
			    h->version, VVM_STAT_VERSION);
	if (s->recorded && h->pid <= INT_MAX)
		s->pid = h->pid;
	if (h->pid != s->pid)
		return fail(-EPROTO, "names process %llu inside",
			    (unsigned long long)h->pid);
	if (!is_held(s))
		return fail(-ESTALE, "left behind by an earlier program");
	return 0;
}

/* (2): every bound is compared before anything is multiplied or added. */
static int check_table(const struct vvm_stat_table *from, size_t item_min,
		       struct segment *s, struct segment_table *to,
		       const char *name, char *reason)
{
	if (from->offset < HEADER_BYTES || from->offset % 8 ||
	    from->offset > s->bytes)
		return fail(-EPROTO, "damaged: %s at offset %llu", name,
			    (unsigned long long)from->offset);
	if (from->item_bytes < item_min || from->item_bytes % 8 ||
	    from->item_bytes > s->bytes)
		return fail(-EPROTO, "damaged: %s of %llu bytes", name,
			    (unsigned long long)from->item_bytes);
	to->offset = from->offset;
	to->item_bytes = from->item_bytes;
	to->max = (s->bytes - from->offset) / from->item_bytes;
	if (from->max < to->max)
		to->max = from->max;
	if (from->count > to->max)
		return fail(-EPROTO, "damaged: %llu %s",
			    (unsigned long long)from->count, name);
	return 0;
}

/* The lengths of the writer's lists. */
static int check_lists(const struct vvm_stat_segment *h, struct segment *s,
		       char *reason)
{
	s->counters = h->counter_count;
	s->values = h->value_count;
	s->buckets = h->bucket_count;
	s->stages = h->stage_count;
	s->stage_buckets = h->stage_bucket_count;
	if (s->counters > LIST_MAX || s->values > LIST_MAX ||
	    s->buckets > LIST_MAX || s->stages > LIST_MAX ||
	    s->stage_buckets > LIST_MAX)
		return fail(-EPROTO, "damaged: lists of %u, %u, %u, %u, %u",
			    h->counter_count, h->value_count, h->bucket_count,
			    h->stage_count, h->stage_bucket_count);
	return 0;
}

static void look_at_sites(struct segment *s, void *to)
{
	segment_copy(s, to, s->sites_at, sizeof(struct vvm_stat_table));
}

/* Behind the values, if the writer has it. */
static int check_sites(const struct vvm_stat_segment *h, struct segment *s,
		       char *reason)
{
	struct vvm_stat_table t;

	s->sites_at = HEADER_BYTES + s->values * sizeof(uint64_t);
	if (h->header_bytes < s->sites_at + sizeof(t) ||
	    s->actors.offset < s->sites_at + sizeof(t))
		return 0;
	if (segment_look(s, look_at_sites, &t))
		return fail(-EPROTO, "truncated");
	if (!t.item_bytes)
		return 0;
	return check_table(&t, sizeof(struct vvm_stat_site), s, &s->sites,
			   "sites", reason);
}

static int check_layout(const struct vvm_stat_segment *h, struct segment *s,
			char *reason)
{
	size_t words;
	int error;

	if (h->file_bytes > s->bytes)
		return fail(-EPROTO, "truncated: %zu of %llu bytes", s->bytes,
			    (unsigned long long)h->file_bytes);
	error = check_lists(h, s, reason);
	if (error)
		return error;
	words = s->counters + s->buckets + s->stages * s->stage_buckets;
	error = check_table(&h->actors,
			    COUNTERS_OFFSET + words * sizeof(uint64_t), s,
			    &s->actors, "actors", reason);
	if (!error)
		error = check_table(&h->rings, sizeof(struct vvm_stat_ring), s,
				    &s->rings, "rings", reason);
	if (!error)
		error = check_table(&h->regions, sizeof(struct vvm_stat_region),
				    s, &s->regions, "regions", reason);
	if (!error)
		error = check_table(&h->blocks, sizeof(struct vvm_stat_block),
				    s, &s->blocks, "blocks", reason);
	if (!error && s->actors.offset < HEADER_BYTES + s->values * 8)
		return fail(-EPROTO, "damaged: actors at offset %zu",
			    s->actors.offset);
	return error ? error : check_sites(h, s, reason);
}

/* s->copy: what every sample copies. */
static int make_copy(struct segment *s, char *reason)
{
	struct segment_table *a = &s->actors;

	if (a->offset > COPY_BYTES_MAX)
		return fail(-EPROTO, "damaged: actors at offset %zu",
			    a->offset);
	if (a->max > (COPY_BYTES_MAX - a->offset) / a->item_bytes)
		a->max = (COPY_BYTES_MAX - a->offset) / a->item_bytes;
	s->copy_bytes = a->offset + a->max * a->item_bytes;
	s->copy = aligned_alloc(64, (s->copy_bytes + 63) & ~(size_t)63);
	return s->copy ? 0 : fail(-ENOMEM, "out of memory");
}

static int check_header(struct segment *s, char *reason)
{
	union {
		struct vvm_stat_segment header;
		uint64_t words[1];
	} *u = aligned_alloc(64, sizeof(*u));
	struct vvm_stat_segment *h = &u->header;
	int error;

	if (!u)
		return fail(-ENOMEM, "out of memory");
	error = segment_look(s, look_at_header, u);
	if (error)
		error = fail(-EPROTO, "truncated");
	else
		error = check_identity(h, s, reason);
	if (!error)
		error = check_layout(h, s, reason);
	if (!error)
		error = make_copy(s, reason);
	s->pid_start = h->pid_start;
	s->opened_unix_us = h->opened_unix_us;
	segment_text(s->command, h->command, sizeof(s->command));
	segment_text(s->library_version, h->library_version,
		     sizeof(s->library_version));
	free(u);
	return error;
}

/* => s->bytes is set. */
static int map_file(struct segment *s, char *reason)
{
	void *map = mmap(NULL, s->bytes, PROT_READ, MAP_SHARED, s->fd, 0);

	if (map == MAP_FAILED)
		return fail(-errno, "%s", strerror(errno));
	s->map = map;
	return 0;
}

/* => the file is open and checked, unless error. */
static int open_rest(struct segment *s, int error, char *reason)
{
	if (!error)
		error = map_file(s, reason);
	if (!error)
		error = check_header(s, reason);
	if (error)
		segment_close(s);
	return error;
}

int segment_open(struct segment *s, const char *dir, const char *name,
		 char reason[SEGMENT_REASON_BYTES])
{
	*s = (struct segment){.fd = -1};
	reason[0] = '\0';
	return open_rest(s, open_file(s, dir, name, reason), reason);
}

int segment_open_copy(struct segment *s, const char *path,
		      char reason[SEGMENT_REASON_BYTES])
{
	int error;

	*s = (struct segment){.fd = -1, .recorded = true};
	reason[0] = '\0';
	s->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	error = s->fd < 0 ? fail(-errno, "%s", strerror(errno))
			  : check_file(s->fd, 0, s, reason);
	return open_rest(s, error, reason);
}

void segment_close(struct segment *s)
{
	if (s->map)
		munmap((void *)s->map, s->bytes);
	free(s->copy);
	if (s->fd >= 0)
		close(s->fd);
	s->map = NULL;
	s->copy = NULL;
	s->fd = -1;
}

void segment_clean(const char *dir, const char *name)
{
	char reason[SEGMENT_REASON_BYTES], path[4096];
	struct segment s;
	int error = segment_open(&s, dir, name, reason);

	if (error == 0)
		segment_close(&s);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (error == -ESTALE)
		unlink(path);
}

/* ------------------------------------------------------------------ */
/* Reading								*/

static void add_words(uint64_t *to, const uint64_t *from, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		to[i] += from[i];
}

static size_t at_most(size_t n, size_t max)
{
	return n < max ? n : max;
}

/* What comes behind the lists, if the writer has it. */
static void add_stall(const struct segment *s, const uint64_t *actor,
		      const uint64_t *end_of_lists, struct sample *out)
{
	size_t at = (size_t)(end_of_lists - actor) * sizeof(*actor);
	struct sample_stall stall;

	if (s->actors.item_bytes < at + 3 * sizeof(*actor))
		return;
	stall.kind = end_of_lists[0];
	stall.since_unix_us = end_of_lists[1];
	stall.arg = end_of_lists[2];
	sample_add_stall(&out->stall, &stall);
}

/* Adds one actor of the copy. */
static void add_actor(const struct segment *s, const uint64_t *actor,
		      struct sample *out)
{
	const uint64_t *counter = actor + COUNTERS_OFFSET / sizeof(*actor);
	const uint64_t *latency = counter + s->counters;
	const uint64_t *stage = latency + s->buckets;
	size_t i;

	add_words((uint64_t *)out->counter, counter,
		  at_most(s->counters, VVM_STAT_COUNTER_COUNT));
	add_words(out->latency, latency, at_most(s->buckets, VVM_STAT_BUCKETS));
	for (i = 0; i < s->stages && i < VVM_STAT_STAGE_COUNT; i++)
		add_words(out->stage[i], stage + i * s->stage_buckets,
			  at_most(s->stage_buckets, VVM_STAT_STAGE_BUCKETS));
	add_stall(s, actor, stage + s->stages * s->stage_buckets, out);
}

static void take_values(const struct segment *s, struct sample *out)
{
	const uint64_t *value = s->copy + HEADER_BYTES / sizeof(*value);

	memcpy(out->value, value,
	       at_most(s->values, VALUE_COUNT) * sizeof(*value));
}

int segment_sample(struct segment *s, struct sample *out, bool *closed)
{
	const struct vvm_stat_segment *h = (void *)s->copy;
	int error = segment_look(s, look_at_actors, NULL);
	size_t i, n;

	memset(out, 0, sizeof(*out));
	if (error)
		return error;
	n = at_most(h->actors.count, s->actors.max);
	for (i = 0; i < n; i++)
		add_actor(s,
			  s->copy + (s->actors.offset +
				     i * s->actors.item_bytes) /
					    sizeof(*s->copy),
			  out);
	take_values(s, out);
	out->opened_unix_us = s->opened_unix_us;
	out->spaces = 1;
	out->counters = at_most(s->counters, VVM_STAT_COUNTER_COUNT);
	out->values = at_most(s->values, VALUE_COUNT);
	*closed = h->closed != 0 || !is_held(s);
	return 0;
}
