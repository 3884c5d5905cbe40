/* SPDX-License-Identifier: MIT */
/*
 * stat.c - the statistics segment of one space: a small file in /dev/shm,
 * mapped shared, that the library's threads count in and that vvmstat reads
 * while they do.
 *
 * Terms
 *   segment  struct vvm_stat_segment, the content of the file
 *   actor    whoever counts: one handler or reclaimer thread, or, as actor 0,
 *	      all of the application's own threads together
 *   stale    a segment whose process is gone
 *
 * Counting costs one uncontended atomic add in memory that no other thread
 * writes. That is why each actor has a block of its own, and why the reader
 * does the adding up: a counter of a space exists nowhere, only its parts.
 * A gauge is a counter whose parts may be negative (one actor fills a page,
 * another evicts it); only their sum means something.
 *
 * Invariants
 *  (1) A reader that sees the magic number sees a complete header: it is
 *	stored last.
 *  (2) actor_count counts the blocks handed out; a block never changes hands
 *	and is never cleared, so sums of COUNT counters only grow.
 *  (3) The file has storage for every byte of the mapping before the mapping
 *	is used. A file in tmpfs that is merely truncated to size would raise
 *	SIGBUS, in the fault path, on the day that /dev/shm is full.
 *  (4) Only the process that created the file removes it while it lives. A
 *	fork child inherits the mapping and the path, and must not.
 *  (5) Nothing here is needed for paging: when the file cannot be made the
 *	counters live in private memory and the library works the same.
 *
 * A process that is killed leaves its file behind, so whoever opens a space
 * first removes the stale ones of its own user. Gone means: no such process,
 * a zombie, or a process that started at another time than the segment says
 * (the pid was used again). Two containers that share /dev/shm but not their
 * pids can remove each other's files that way; they lose vvmstat, no more.
 *
 * Rejected: a socket on which the library answers (a thread that must run
 * and be trusted while the process is in trouble, which is when people
 * look); one file for all processes (needs locks and an owner).
 */
#include "stat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "log.h"
#include "os.h"
#include "vvm.h"

#define NAME_TRIES    4096 /* spaces of one process, strangers' files included */
#define PROC_STAT_MAX 1024 /* a /proc/PID/stat is about 350 bytes */
#define SEGMENT_BYTES page_ceil(sizeof(struct vvm_stat_segment))

/* ------------------------------------------------------------------ */
/* Who is that process?							*/

/*
 * Start time of a living process, field 22 of /proc/PID/stat. -ESRCH: gone,
 * or only a zombie; other errors: cannot say.
 */
static int process_start(int pid, uint64_t *start)
{
	char path[64], text[PROC_STAT_MAX];
	char *p;
	int error, field;

	log_format(path, sizeof(path), "/proc/%d/stat", pid);
	error = os_read_text(path, text, sizeof(text));
	if (error)
		return error == -ENOENT ? -ESRCH : error;
	/* The command may hold anything, ")" too: fields go on at the last. */
	p = strrchr(text, ')');
	if (!p || p[1] != ' ')
		return -EPROTO;
	if (p[2] == 'Z' || p[2] == 'X')
		return -ESRCH;
	for (field = 2; field < 22 && p; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return -EPROTO;
	*start = strtoull(p + 1, NULL, 10);
	return 0;
}

static void process_command(char *buf, size_t size)
{
	if (os_read_text("/proc/self/comm", buf, size))
		buf[0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

/* ------------------------------------------------------------------ */
/* Stale files								*/

/* The pid in "vvm-stat.<pid>.<n>", or 0 if the name has another shape. */
static int name_pid(const char *name)
{
	char *end;
	long pid;

	if (strncmp(name, VVM_STAT_PREFIX, strlen(VVM_STAT_PREFIX)))
		return 0;
	name += strlen(VVM_STAT_PREFIX);
	if (*name < '1' || *name > '9')
		return 0;
	pid = strtol(name, &end, 10);
	return *end == '.' && pid > 0 && pid <= INT32_MAX ? (int)pid : 0;
}

/* Reads a field of the segment in the file; false: it is not there (yet). */
#define read_field(fd, field, out)         \
	(os_pread(fd, out, sizeof(*(out)), \
		  offsetof(struct vvm_stat_segment, field)) == 0)

/*
 * Is the file the segment of a process that is gone? A file whose header is
 * not there yet belongs to a process that is just making it. Of another
 * version we know only the pid in its name.
 */
static bool is_stale(int fd, int pid)
{
	uint64_t start, magic, its_start;
	uint32_t version;
	int error = process_start(pid, &start);

	if (error)
		return error == -ESRCH;
	if (!read_field(fd, magic, &magic) || magic != VVM_STAT_MAGIC ||
	    !read_field(fd, version, &version) || version != VVM_STAT_VERSION ||
	    !read_field(fd, pid_start, &its_start))
		return false;
	return its_start && its_start != start; /* 0: it could not tell */
}

/* Removes one stale file; for os_list_dir(). */
static void remove_if_stale(const char *name, void *unused)
{
	int fd, pid = name_pid(name);
	char path[sizeof(((struct stats *)0)->path)];
	size_t length;

	(void)unused;
	if (pid == 0)
		return;
	length = log_format(path, sizeof(path), "%s/%s", VVM_STAT_DIR, name);
	if (length >= sizeof(path) - 1 || os_open_own(path, &fd))
		return;
	if (is_stale(fd, pid))
		os_unlink(path);
	os_close(fd);
}

/* ------------------------------------------------------------------ */
/* Making and removing a segment					*/

/* Creates the first free name of this process. */
static int create_file(char *path, size_t size, int *fd)
{
	int error = -EEXIST;
	unsigned n;

	for (n = 0; n < NAME_TRIES && error == -EEXIST; n++) {
		log_format(path, size, "%s/%s%d.%u", VVM_STAT_DIR,
			   VVM_STAT_PREFIX, os_pid(), n);
		error = os_create(path, fd);
	}
	if (error)
		path[0] = '\0';
	return error;
}

/* Gives the file its size and storage, and maps it. */
static int map_file(int fd, struct vvm_stat_segment **out)
{
	haddr_t at;
	int error = os_fallocate(fd, 0, SEGMENT_BYTES);

	if (error)
		return error;
	error = os_reserve(SEGMENT_BYTES, PAGE_BYTES, 0, 0, &at);
	if (error)
		return error;
	error = os_map_fixed(at, SEGMENT_BYTES, OS_READ | OS_WRITE, fd, 0);
	if (error) {
		os_unmap(at, SEGMENT_BYTES);
		return error;
	}
	*out = (struct vvm_stat_segment *)at;
	return 0;
}

static int open_shared(struct stats *st)
{
	int fd, error;

	os_list_dir(VVM_STAT_DIR, remove_if_stale, NULL);
	error = create_file(st->path, sizeof(st->path), &fd);
	if (error)
		return error;
	error = map_file(fd, &st->segment);
	os_close(fd);
	if (error) {
		os_unlink(st->path);
		st->path[0] = '\0';
	}
	return error;
}

static int open_private(struct stats *st)
{
	void *memory;
	int error = os_map_anon(SEGMENT_BYTES, &memory);

	if (!error)
		st->segment = memory;
	return error ? -ENOMEM : 0;
}

/* Fills the header of a zeroed segment; the magic number last (1). */
static void write_header(struct vvm_stat_segment *s)
{
	s->version = VVM_STAT_VERSION;
	s->counter_count = VVM_STAT_COUNTER_COUNT;
	s->segment_bytes = sizeof(*s);
	s->actor_offset = offsetof(struct vvm_stat_segment, actor);
	s->actor_bytes = sizeof(s->actor[0]);
	s->actor_count = 1;
	s->actor[0].role = VVM_STAT_API;
	s->pid = (uint64_t)os_pid();
	if (process_start(os_pid(), &s->pid_start))
		s->pid_start = 0;
	s->opened_unix_us = os_unix_us();
	process_command(s->command, sizeof(s->command));
	log_format(s->library_version, sizeof(s->library_version), "%d.%d.%d",
		   VVM_VERSION_MAJOR, VVM_VERSION_MINOR, VVM_VERSION_PATCH);
	__atomic_store_n(&s->magic, VVM_STAT_MAGIC, __ATOMIC_RELEASE);
}

int stat_open(struct stats *st, bool publish)
{
	int error = 0;

	memset(st, 0, sizeof(*st));
	if (publish) {
		error = open_shared(st);
		if (error)
			log_warn("no statistics for vvmstat: %s: %s",
				 VVM_STAT_DIR, strerror(-error));
	}
	if (!publish || error)
		error = open_private(st);
	if (!error)
		write_header(st->segment);
	return error;
}

void stat_close(struct stats *st)
{
	struct vvm_stat_segment *s = st->segment;

	if (!s)
		return;
	if (s->pid == (uint64_t)os_pid()) { /* (4) */
		__atomic_store_n(&s->closed, 1, __ATOMIC_RELEASE);
		if (st->path[0])
			os_unlink(st->path);
	}
	os_unmap((haddr_t)s, SEGMENT_BYTES);
	memset(st, 0, sizeof(*st));
}

/* ------------------------------------------------------------------ */
/* Actors								*/

struct vvm_stat_actor *stat_actor(struct stats *st, enum vvm_stat_role role)
{
	struct vvm_stat_segment *s = st->segment;
	uint64_t n = __atomic_load_n(&s->actor_count, __ATOMIC_RELAXED);

	if (role == VVM_STAT_API)
		return &s->actor[0];
	do {
		if (n >= VVM_STAT_ACTORS)
			return NULL;
	} while (!__atomic_compare_exchange_n(&s->actor_count, &n, n + 1, true,
					      __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	s->actor[n].role = role;
	s->actor[n].tid = (uint64_t)os_tid();
	return &s->actor[n];
}

int64_t stat_sum(const struct stats *st, enum vvm_stat_counter c)
{
	const struct vvm_stat_segment *s = st->segment;
	uint64_t i, n = __atomic_load_n(&s->actor_count, __ATOMIC_RELAXED);
	int64_t sum = 0;

	for (i = 0; i < n; i++)
		sum += __atomic_load_n(&s->actor[i].counter[c],
				       __ATOMIC_RELAXED);
	return sum;
}
