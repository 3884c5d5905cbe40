/* SPDX-License-Identifier: MIT */
/*
 * api/file.c - the public functions about mapped files: as in api/vvm.c.
 */
#include "vvm.h"

#include <errno.h>

#include "api/impl.h"
#include "map/mapping.h"
#include "map/sync.h"
#include "swap/source.h"
#include "util/log.h"

/* ---- mapping ---- */

/* What vvm_map_file() is to do, with arguments that have been checked. */
struct map_file {
	gaddr_t addr; /* in and out */
	uint64_t bytes, offset;
	const char *name;
	unsigned prot, flags;
	int fd;
};

static int open_file(struct vvm *vm, const struct map_file *m,
		     struct backing **file)
{
	if (m->flags == VVM_FILE_PRIVATE)
		return source_open(file, m->fd, m->offset, &vm->flight);
	return source_open_shared(file, m->fd, m->offset, &vm->flight,
				  m->prot & VVM_WRITE);
}

static int map_file(struct vvm *vm, struct map_file *m)
{
	ON_FIRM_STACK(int, map_file, vm, m);
	IN_CALL(vm);
	struct own_name own;
	struct backing *file;
	int rc, state;

	api_name(&own, m->name);
	state = os_cancel_off(); /* it opens a file */
	rc = open_file(vm, m, &file);
	os_cancel_restore(state);
	if (rc < 0)
		return rc;
	if (!m->name)
		source_name(file, own.text, sizeof(own.text));
	return mapping_map_backed(vm, &m->addr, m->bytes, m->prot, own.text,
				  file);
}

static int narrow_file(int rc)
{
	switch (rc) {
	case -EBADF:
	case -EACCES:
	case -ENODEV:
	case -EMFILE:
	case -ENFILE:
		return rc;
	default:
		return api_narrow(rc, "vvm_map_file");
	}
}

int vvm_map_file(struct vvm *vm, uint64_t *addr, uint64_t len, unsigned prot,
		 const char *name, int fd, uint64_t offset, unsigned flags)
{
	struct map_file m = {
		.offset = offset,
		.name = name,
		.prot = prot,
		.flags = flags,
		.fd = fd,
	};
	int rc = api_mappable(vm, addr, len, prot);

	if (rc < 0)
		return rc;
	m.addr = *addr;
	m.bytes = page_ceil(len);
	if ((flags != VVM_FILE_PRIVATE && flags != VVM_FILE_SHARED) ||
	    (offset & PAGE_MASK) || offset > INT64_MAX - m.bytes)
		return -EINVAL;
	rc = narrow_file(map_file(vm, &m));
	if (rc == 0)
		*addr = m.addr;
	return rc;
}

/* ---- vvm_sync() ---- */

static int begin_sync(struct vvm *vm, gaddr_t start, gaddr_t end, bool pins,
		      struct sync_files *files)
{
	ON_FIRM_STACK(int, begin_sync, vm, start, end, pins, files);
	IN_CALL(vm);
	struct sync_files own; /* the caller's stack may be paged */
	int rc = sync_begin(vm, start, end, pins, &own);

	*files = own;
	return rc;
}

static int end_sync(struct vvm *vm, struct sync_files *files)
{
	ON_FIRM_STACK(int, end_sync, vm, files);
	IN_CALL(vm);
	struct sync_files own = *files;

	sync_end(vm, &own);
	return 0;
}

static int sync_step(struct vvm *vm, gaddr_t *at, gaddr_t end,
		     int (*step)(struct vvm *vm, gaddr_t *at, gaddr_t end))
{
	ON_FIRM_STACK(int, sync_step, vm, at, end, step);
	IN_CALL(vm);
	gaddr_t to = *at; /* not paged */
	int rc = step(vm, &to, end);

	*at = to;
	return rc;
}

/* Block by block, since signals wait meanwhile. The first error of all. */
static int sync_steps(struct vvm *vm, gaddr_t at, gaddr_t end,
		      int (*step)(struct vvm *vm, gaddr_t *at, gaddr_t end))
{
	int rc = 0, failed;

	while (at < end) {
		failed = sync_step(vm, &at, end, step);
		rc = rc ? rc : failed;
	}
	return rc;
}

static int disk_sync(struct vvm *vm, const struct sync_files *files)
{
	ON_FIRM_STACK(int, disk_sync, vm, files);
	IN_CALL(vm);

	return sync_disk(files);
}

static atomic_flag sync_logged = ATOMIC_FLAG_INIT;

static int narrow_sync(int rc)
{
	switch (rc) {
	case 0:
	case -EIO:
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
	case -ENOMEM:
	case -EOWNERDEAD:
		return rc;
	default:
		log_warn_once(&sync_logged, "vvm_sync: error %d of a file",
			      -rc);
		return -EIO;
	}
}

/* All that can be done is, whatever fails. */
static int sync_range(struct vvm *vm, gaddr_t start, gaddr_t end,
		      unsigned flags, const struct sync_files *files)
{
	int rc = 0, failed;

	if (flags & (VVM_SYNC_ASYNC | VVM_SYNC_SYNC))
		rc = sync_steps(vm, start, end, sync_write);
	if (flags & VVM_SYNC_SYNC) {
		failed = disk_sync(vm, files);
		rc = rc ? rc : failed;
	}
	if (flags & VVM_SYNC_INVALIDATE) {
		failed = sync_steps(vm, start, end, sync_forget);
		rc = rc ? rc : failed;
	}
	return narrow_sync(rc);
}

int vvm_sync(struct vvm *vm, uint64_t addr, uint64_t len, unsigned flags)
{
	const unsigned both = VVM_SYNC_ASYNC | VVM_SYNC_SYNC;
	struct sync_files files;
	gaddr_t end;
	int rc = api_range(vm, addr, len, &end);

	if (rc < 0)
		return rc;
	if (!flags || (flags & ~(both | VVM_SYNC_INVALIDATE)) ||
	    (flags & both) == both)
		return -EINVAL;
	rc = begin_sync(vm, addr, end, flags & VVM_SYNC_INVALIDATE, &files);
	if (rc < 0)
		return rc;
	if (files.count || files.read_only)
		rc = sync_range(vm, addr, end, flags, &files);
	if (rc == 0 && files.holes)
		rc = -VVM_EUNMAPPED;
	end_sync(vm, &files);
	return rc;
}
