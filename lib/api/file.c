/* SPDX-License-Identifier: MIT */
/*
 * api/file.c - the public functions about mapped files: as in api/vvm.c.
 */
#include "vvm.h"

#include <errno.h>

#include "api/impl.h"
#include "map/mapping.h"
#include "swap/source.h"
#include "util/log.h"

/* What vvm_map_file() is to do, with arguments that have been checked. */
struct map_file {
	gaddr_t addr; /* in and out */
	uint64_t bytes, offset;
	const char *name;
	unsigned prot;
	int fd;
};

static int map_file(struct vvm *vm, struct map_file *m)
{
	ON_FIRM_STACK(int, map_file, vm, m);
	IN_CALL(vm);
	struct own_name own;
	struct backing *file;
	int rc, state;

	api_name(&own, m->name);
	state = os_cancel_off(); /* it opens a file */
	rc = source_open(&file, m->fd, m->offset, &vm->flight);
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
		.fd = fd,
	};
	int rc = api_mappable(vm, addr, len, prot);

	if (rc < 0)
		return rc;
	m.addr = *addr;
	m.bytes = page_ceil(len);
	if (flags != VVM_FILE_PRIVATE || (offset & PAGE_MASK) ||
	    offset > INT64_MAX - m.bytes)
		return -EINVAL;
	rc = narrow_file(map_file(vm, &m));
	if (rc == 0)
		*addr = m.addr;
	return rc;
}
