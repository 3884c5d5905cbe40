/* SPDX-License-Identifier: MIT */
/*
 * door/transfer.c - data: read(2), write(2), their vectors, and messages.
 *
 * A transfer is a vector of the program's buffers, of which a single one is the
 * simplest. It is made in *windows*: the next bytes of the vector, copied where
 * they are paged. What a window may be depends on the file:
 *
 *	FILE	regular ones and devices of blocks: until all is moved, STREAM_BYTES
 *		at a time where the kernel has the file held meanwhile (below), and
 *		BOUNCE_BYTES elsewhere
 *	STREAM	pipes, stream sockets, terminals: a write in BOUNCE_BYTES, since a
 *		blocking one moves all; a read is one window of up to STREAM_BYTES,
 *		may be short, and must not wait for more once it has something
 *	WHOLE	datagrams, packets, records: one window, however large
 *
 * A large window that the kernel fills costs memory only where it does.
 *
 * Threads and processes may have the position of a regular file in common, or
 * append to one. The kernel makes such a call as a whole; so do we, up to
 * STREAM_BYTES. Longer ones may have others' between their windows (vvmrun(1)).
 *
 * Rejected: to move the position over all windows at once, and to make them at
 * offsets. A call that is left, or ends early, would have to give back what
 * others may have passed meanwhile.
 *
 * Of a write that would exceed RLIMIT_FSIZE the kernel makes what fits, and only
 * one that begins behind it raises SIGXFSZ. So no later window begins there.
 *
 * What is asked about a file the program has not asked: os_call_own().
 */
#include "door/transfer.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <asm/unistd.h>

#include "os/os.h"

/* UIO_MAXIOV */
#define VECTOR_MOST 1024
/* A read of a stream is not longer. */
#define STREAM_BYTES ((size_t)16 << 20)
/* Such a window, however it is aligned. */
#define WARM_BYTES   (STREAM_BYTES + PAGE_BYTES)
#define MOST_BYTES   ((uint64_t)0x7ffff000)
#define MEMORY_MAJOR 1 /* /dev/zero and its like give as much as is asked for */

enum file_kind { FILE_KIND, STREAM_KIND, WHOLE_KIND };

/* ---- what the file is ---- */

static bool is_stream_socket(struct door *d)
{
	int *type = bounce_take(&d->bounce, 2 * sizeof(*type), 0);
	uint64_t a[6] = {d->arg[0], SOL_SOCKET, SO_TYPE, (uintptr_t)type};

	if (!type)
		return false;
	a[4] = (uintptr_t)(type + 1);
	type[1] = sizeof(*type);
	return os_call_own(__NR_getsockopt, a) == 0 && type[0] == SOCK_STREAM;
}

static long open_flags(const struct door *d)
{
	const uint64_t a[6] = {d->arg[0], F_GETFL};

	return os_call_own(__NR_fcntl, a);
}

static enum file_kind kind_of(struct door *d, const struct stat *st)
{
	switch (st->st_mode & S_IFMT) {
	case S_IFREG:
	case S_IFBLK:
		return FILE_KIND;
	case S_IFSOCK:
		return is_stream_socket(d) ? STREAM_KIND : WHOLE_KIND;
	case S_IFIFO: /* O_DIRECT: packets */
		return open_flags(d) & O_DIRECT ? WHOLE_KIND : STREAM_KIND;
	case S_IFCHR:
		return major(st->st_rdev) == MEMORY_MAJOR ? FILE_KIND
							  : STREAM_KIND;
	default:
		return WHOLE_KIND;
	}
}

static struct stat *look(struct door *d)
{
	struct stat *st = bounce_take(&d->bounce, sizeof(*st), 0);
	const uint64_t a[6] = {d->arg[0], (uintptr_t)st};

	return st && os_call_own(__NR_fstat, a) == 0 ? st : NULL;
}

/* ---- where in the file ---- */

/* of pwritev2(2); <sys/uio.h> of some has no names for them */
#define APPEND_FLAG    0x10
#define NO_APPEND_FLAG 0x20

static bool has_offset(const struct door *d)
{
	return d->call->offset && d->arg[d->call->offset] != UINT64_MAX;
}

/* => regular */
static bool appends(const struct door *d)
{
	unsigned flags = d->nr == __NR_pwritev2 ? (unsigned)d->arg[5] : 0;

	if (!d->call->writes)
		return false;
	return flags & APPEND_FLAG ||
	       (!(flags & NO_APPEND_FLAG) && open_flags(d) & O_APPEND);
}

/* Where the next window of a write is. => regular, and `done` are moved */
static uint64_t place_of_next(struct door *d, uint64_t done)
{
	const uint64_t a[6] = {d->arg[0], 0, SEEK_CUR};
	const struct stat *st;
	int64_t at;

	if (appends(d)) {
		st = look(d);
		return st ? (uint64_t)st->st_size : 0;
	}
	if (has_offset(d))
		return d->arg[d->call->offset] + done;
	at = os_call_own(__NR_lseek, a);
	return at < 0 ? 0 : (uint64_t)at;
}

/* Would the next window of a write raise SIGXFSZ? => regular */
static bool meets_limit(struct door *d, uint64_t done)
{
	struct rlimit *limit = bounce_take(&d->bounce, sizeof(*limit), 0);
	const uint64_t a[6] = {0, RLIMIT_FSIZE, 0, (uintptr_t)limit};

	return limit && os_call_own(__NR_prlimit64, a) == 0 &&
	       limit->rlim_cur != RLIM_INFINITY &&
	       place_of_next(d, done) >= limit->rlim_cur;
}

/* ---- windows ---- */

/* Its part in a window, and what stands for it. */
struct part {
	haddr_t at;
	size_t bytes;
	struct bounced bounced;
};

struct window {
	struct bounce bounce;
	struct iovec *iov;
	struct part *part;
	unsigned count;
	size_t bytes;
};

/* Takes the next bytes of the vector, from `skip` on, up to `most`. */
static int window_open(struct window *w, const struct vector *v, uint64_t skip,
		       size_t most, const struct door *d)
{
	enum arg_kind kind = d->call->writes ? ARG_IN : ARG_OUT;
	unsigned i;
	int rc = 0;

	bounce_begin(&w->bounce);
	w->count = 0;
	w->bytes = 0;
	w->iov = bounce_take(&w->bounce, v->count * sizeof(*w->iov), 0);
	w->part = bounce_take(&w->bounce, v->count * sizeof(*w->part), 0);
	if (!w->iov || !w->part)
		return -ENOMEM;
	if (d->warm)
		bounce_lend(&w->bounce, d->warm, d->warm_bytes);
	for (i = 0; i < v->count && w->bytes < most && rc == 0; i++) {
		struct part *p = &w->part[w->count];
		uint64_t use;

		if (skip >= v->iov[i].iov_len) {
			skip -= v->iov[i].iov_len;
			continue;
		}
		p->at = (uintptr_t)v->iov[i].iov_base + skip;
		p->bytes = MIN(v->iov[i].iov_len - skip, most - w->bytes);
		skip = 0;
		rc = door_bounce(&w->bounce, p->at, p->bytes, kind, &p->bounced,
				 &use);
		w->iov[w->count++] =
			(struct iovec){(void *)(uintptr_t)use, p->bytes};
		w->bytes += p->bytes;
	}
	return rc;
}

/* Back to the program with what was read. -EFAULT. */
static int window_return(struct window *w, size_t bytes)
{
	unsigned i;
	int rc = 0;

	for (i = 0; i < w->count && rc == 0; i++) {
		struct part *p = &w->part[i];

		rc = door_return(&p->bounced, p->at, bytes);
		bytes -= MIN(bytes, p->bytes);
	}
	return rc;
}

/* ---- transfers ---- */

static long one_window(struct door *d, const struct vector *v, uint64_t skip,
		       size_t most, size_t *asked)
{
	struct window w;
	long result = window_open(&w, v, skip, most, d);

	if (result == 0) {
		v->aim(d, v, w.iov, w.count);
		if (has_offset(d))
			d->use[d->call->offset] =
				d->arg[d->call->offset] + skip;
		result = door_make(d);
		if (!d->call->writes && result > 0 &&
		    window_return(&w, (size_t)result) < 0)
			result = -EFAULT;
	}
	*asked = w.bytes;
	bounce_end(&w.bounce);
	return result;
}

/* What is moved at a time of a transfer that may take several windows. */
struct pace {
	size_t piece;
	bool all;     /* until all is moved */
	bool regular; /* a file that has an end, and a limit */
};

static void set_pace(struct door *d, const struct vector *v, uint64_t total,
		     struct pace *p)
{
	const struct stat *st = v->whole ? NULL : look(d);
	enum file_kind kind = st ? kind_of(d, st) : WHOLE_KIND;

	p->regular = st && S_ISREG(st->st_mode);
	p->all |= kind == FILE_KIND || d->call->writes;
	if (kind == WHOLE_KIND)
		p->piece = total;
	else if (!p->all || (p->regular && (!has_offset(d) || appends(d))))
		p->piece = STREAM_BYTES;
}

/*
 * Of MSG_ZEROCOPY, which the program counts by calls: one window, in memory that
 * nobody has used nor will use. The socket keeps its pages as long as it wants. A
 * longer call is short, as it may be where the kernel can hold no more.
 */
static long transfer_kept(struct door *d, const struct vector *v,
			  uint64_t total)
{
	size_t bytes = MIN(total, STREAM_BYTES), asked;
	long result;

	d->warm_bytes = bytes + ((size_t)v->count + 1) * PAGE_BYTES;
	d->warm = bounce_take_apart(&d->bounce, d->warm_bytes);
	if (!d->warm)
		return -ENOBUFS;
	result = one_window(d, v, 0, bytes, &asked);
	d->warm = NULL;
	return result;
}

long transfer(struct door *d, const struct vector *v)
{
	uint64_t total = MIN(v->total, MOST_BYTES), done = 0;
	struct pace p = {.piece = BOUNCE_BYTES, .all = v->all};
	size_t asked;
	long result;

	if (v->kept && d->call->writes)
		return transfer_kept(d, v, total);
	if (total > p.piece)
		set_pace(d, v, total, &p);
	if (p.piece == STREAM_BYTES && p.all && total > p.piece) {
		d->warm = bounce_take(&d->bounce, WARM_BYTES, 0);
		d->warm_bytes = WARM_BYTES;
	}
	do {
		result = one_window(d, v, done, MIN(p.piece, total - done),
				    &asked);
		if (result > 0)
			done += (uint64_t)result;
	} while (result > 0 && p.all && (size_t)result == asked &&
		 done < total &&
		 !(p.regular && d->call->writes && meets_limit(d, done)));
	return done ? (long)done : result;
}

/* ---- what the kernel takes ---- */

/*
 * Lengths that are negative, or behind all addresses, the kernel refuses before
 * anything is moved; from which on depends on kernel and machine. mincore(2)
 * asks the same of a range: ENOMEM, and else EFAULT, for it has no result.
 */
static bool takes_range(haddr_t at, size_t bytes)
{
	const uint64_t a[6] = {page_floor(at), bytes, 8};

	if (bytes <= MOST_BYTES)
		return true;
	return bytes <= INT64_MAX && os_call(__NR_mincore, a) == -EFAULT;
}

/* No flag of preadv2(2), which looks at its vector first. */
#define NO_FLAG 0x80000000u

/* process_vm_readv(2) checks its vector, and moves nothing to none. */
static bool takes_vector(const struct vector *v)
{
	uint64_t a[6] = {(uint64_t)os_pid(), (uintptr_t)v->iov, v->count};
	long result = os_call(__NR_process_vm_readv, a);

	if (result == -EPERM || result == -ENOSYS) { /* as containers have it */
		a[0] = (uint64_t)v->file;
		a[3] = UINT64_MAX;
		a[5] = NO_FLAG;
		result = os_call(__NR_preadv2, a);
		if (result == -EBADF) /* it is for writing */
			result = os_call(__NR_pwritev2, a);
	}
	return result != -EFAULT && result != -EINVAL;
}

/* ---- one buffer ---- */

static void aim_single(struct door *d, const struct vector *v,
		       struct iovec *iov, unsigned count)
{
	(void)v;
	d->use[1] = count ? (uintptr_t)iov->iov_base : d->arg[1];
	d->use[2] = count ? iov->iov_len : 0;
}

/* A socket's flags; of other calls there is none in that place. */
static bool has_flag(const struct door *d, unsigned flag)
{
	return (d->nr == __NR_recvfrom || d->nr == __NR_sendto) &&
	       (d->arg[3] & flag);
}

long door_single(struct door *d)
{
	struct iovec iov = {(void *)(uintptr_t)d->arg[1], d->arg[2]};
	struct vector v = {.iov = &iov,
			   .count = 1,
			   .total = d->arg[2],
			   .aim = aim_single,
			   .whole = has_flag(d, MSG_PEEK | MSG_TRUNC),
			   .all = has_flag(d, MSG_WAITALL),
			   .kept = has_flag(d, MSG_ZEROCOPY)};
	bool socket = d->nr == __NR_sendto || d->nr == __NR_recvfrom;
	long result;
	unsigned i;
	int rc = 0;

	/* a socket's is cut to what it moves at a time */
	if (!socket && !takes_range(d->arg[1], d->arg[2]))
		return door_make(d);
	for (i = 3; i < 6 && rc == 0; i++)
		rc = door_bounce_argument(d, i);
	if (rc < 0)
		return rc;
	result = v.total ? transfer(d, &v) : door_make(d);
	return door_return_arguments(d, result);
}

/* ---- vectors ---- */

int vector_take(struct bounce *memory, haddr_t at, uint64_t count,
		struct vector *v)
{
	bool large = false;
	unsigned i;

	v->total = 0;
	v->count = 0;
	if (!count || count > VECTOR_MOST)
		return -EINVAL;
	v->iov = bounce_take(memory, count * sizeof(*v->iov), 0);
	if (!v->iov)
		return -ENOMEM;
	if (copy_in(v->iov, at, count * sizeof(*v->iov)) <
	    count * sizeof(*v->iov))
		return -EFAULT;
	v->count = (unsigned)count;
	for (i = 0; i < count; i++) {
		if (v->iov[i].iov_len > INT64_MAX)
			return -EINVAL;
		large |= v->iov[i].iov_len > MOST_BYTES;
		v->total += v->iov[i].iov_len;
		if (v->total > MOST_BYTES)
			v->total = MOST_BYTES;
	}
	return large && !takes_vector(v) ? -EINVAL : 0;
}

static void aim_vector(struct door *d, const struct vector *v,
		       struct iovec *iov, unsigned count)
{
	(void)v;
	d->use[1] = (uintptr_t)iov;
	d->use[2] = count;
}

/* What is wrong with the vector the kernel says, or with the descriptor. */
long door_vector(struct door *d)
{
	struct vector v = {.file = (int)d->arg[0], .aim = aim_vector};
	int rc = vector_take(&d->bounce, d->arg[1], d->arg[2], &v);

	if (rc == -ENOMEM)
		return rc;
	if (rc < 0 || !v.total) {
		if (rc != -EFAULT && v.iov)
			d->use[1] = (uintptr_t)v.iov;
		return door_make(d);
	}
	return transfer(d, &v);
}

/* Before 6.4 pipes did not know of RWF_NOWAIT: then it waits. */
static long spliced(struct door *d, const struct vector *v)
{
	long result = transfer(d, v);

	if (result != -EOPNOTSUPP || !d->use[5])
		return result;
	d->use[5] = 0;
	return transfer(d, v);
}

/*
 * The pipe would keep the pages, which are to be used again. So the bytes are
 * written, or read, which nobody can tell from it.
 */
long door_vmsplice(struct door *d)
{
	static const struct call in = {.way = WAY_vector, .writes = true},
				 out = {.way = WAY_vector};
	struct vector v = {.file = (int)d->arg[0], .aim = aim_vector};
	int rc = vector_take(&d->bounce, d->arg[1], d->arg[2], &v);
	bool paged = false;
	unsigned i;
	long flags;

	for (i = 0; rc == 0 && i < v.count; i++)
		paged |= door_is_paged((uintptr_t)v.iov[i].iov_base,
				       v.iov[i].iov_len);
	if (!paged)
		return door_vector(d);
	flags = open_flags(d);
	if (flags < 0)
		return flags;
	d->call = (flags & O_ACCMODE) == O_RDONLY ? &out : &in;
	d->nr = d->call->writes ? __NR_pwritev2 : __NR_preadv2;
	d->use[3] = UINT64_MAX; /* where it is */
	d->use[4] = 0;
	d->use[5] = d->arg[3] & SPLICE_F_NONBLOCK ? RWF_NOWAIT : 0;
	return spliced(d, &v);
}

/* ---- another process's memory, or ours ---- */

static void skip_remote(struct door *d, const struct vector *remote,
			struct iovec *window, uint64_t skip)
{
	unsigned i, n = 0;

	for (i = 0; i < remote->count; i++) {
		struct iovec v = remote->iov[i];

		if (skip >= v.iov_len) {
			skip -= v.iov_len;
			continue;
		}
		window[n].iov_base = (char *)v.iov_base + skip;
		window[n++].iov_len = v.iov_len - skip;
		skip = 0;
	}
	d->use[3] = (uintptr_t)window;
	d->use[4] = n;
}

static long move_remote(struct door *d, const struct vector *local,
			const struct vector *remote, uint64_t total)
{
	struct iovec *window;
	uint64_t done = 0;
	size_t asked;
	long result;

	window = bounce_take(&d->bounce, remote->count * sizeof(*window), 0);
	if (!window)
		return -ENOMEM;
	do {
		skip_remote(d, remote, window, done);
		result = one_window(d, local, done,
				    MIN(BOUNCE_BYTES, total - done), &asked);
		if (result > 0)
			done += (uint64_t)result;
	} while (result > 0 && (size_t)result == asked && done < total);
	return done ? (long)done : result;
}

/* Where byte `skip` of a vector is, and how many follow it there. */
static haddr_t place_of(const struct vector *v, uint64_t skip, size_t *bytes)
{
	unsigned i;

	for (i = 0; skip >= v->iov[i].iov_len; i++)
		skip -= v->iov[i].iov_len;
	*bytes = MIN(*bytes, v->iov[i].iov_len - skip);
	return (uintptr_t)v->iov[i].iov_base + skip;
}

/* The kernel would stop at what is not resident. */
static long move_within(struct door *d, const struct vector *from,
			const struct vector *to, uint64_t total)
{
	char *buffer = bounce_take(&d->bounce, BOUNCE_BYTES, 0);
	uint64_t done = 0;
	size_t n, moved;

	if (!buffer)
		return -ENOMEM;
	for (; done < total; done += moved) {
		haddr_t source, target;

		n = MIN(BOUNCE_BYTES, total - done);
		source = place_of(from, done, &n);
		target = place_of(to, done, &n);
		moved = copy_in(buffer, source, n);
		moved = copy_out(target, buffer, moved);
		if (!moved)
			break;
	}
	return done ? (long)done : -EFAULT;
}

long door_process_vm(struct door *d)
{
	struct vector local = {.file = -1, .aim = aim_vector},
		      remote = {.file = -1};
	int rc = vector_take(&d->bounce, d->arg[1], d->arg[2], &local);
	uint64_t total;

	if (rc == 0)
		rc = vector_take(&d->bounce, d->arg[3], d->arg[4], &remote);
	if (rc == -ENOMEM)
		return rc;
	total = MIN(local.total, remote.total);
	if (rc < 0 || !total || d->arg[5]) {
		if (local.count)
			d->use[1] = (uintptr_t)local.iov;
		if (remote.count)
			d->use[3] = (uintptr_t)remote.iov;
		return door_make(d);
	}
	if ((int)d->arg[0] != os_pid())
		return move_remote(d, &local, &remote, total);
	return d->call->writes ? move_within(d, &local, &remote, total)
			       : move_within(d, &remote, &local, total);
}
