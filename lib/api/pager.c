/* SPDX-License-Identifier: MIT */
/*
 * api/pager.c - vvm_map_pager(): as in api/vvm.c. What callbacks call of the
 * library is in swap/pager.c.
 */
#include "vvm.h"

#include <errno.h>

#include "api/impl.h"
#include "map/mapping.h"
#include "swap/pager.h"

/* What vvm_map_pager() is to do, with arguments that have been checked. */
struct map_pager {
	gaddr_t addr; /* in and out */
	uint64_t bytes, offset;
	const char *name;
	struct vvm_pager calls;
	unsigned prot;
};

static int map_pager(struct vvm *vm, struct map_pager *m)
{
	ON_FIRM_STACK(int, map_pager, vm, m);
	IN_CALL(vm);
	struct own_name own;
	const char *name = api_name(&own, m->name);
	struct map_pager here = *m; /* the caller's stack may be paged */
	struct backing *pager;
	int rc, state = os_cancel_off();

	rc = pager_open(&pager, &here.calls, here.offset, &vm->pagers);
	os_cancel_restore(state);
	if (rc < 0)
		return rc;
	rc = mapping_map_backed(vm, &here.addr, here.bytes, here.prot,
				name ? name : "pager", pager);
	m->addr = here.addr;
	return rc;
}

static bool valid(const struct vvm_pager *p)
{
	return p->struct_bytes == sizeof(*p) && p->read && !p->flags &&
	       p->threads <= VVM_PAGER_THREADS && (p->write || !p->sync);
}

int vvm_map_pager(struct vvm *vm, uint64_t *addr, uint64_t len, unsigned prot,
		  const char *name, const struct vvm_pager *pager,
		  uint64_t offset)
{
	struct map_pager m = {.offset = offset, .name = name, .prot = prot};
	int rc = api_mappable(vm, addr, len, prot);

	if (rc < 0)
		return rc;
	m.addr = *addr;
	m.bytes = page_ceil(len);
	if (!pager || !valid(pager) || (offset & PAGE_MASK) ||
	    offset > INT64_MAX - m.bytes)
		return -EINVAL;
	m.calls = *pager;
	rc = map_pager(vm, &m);
	if (rc != -EAGAIN)
		rc = api_narrow(rc, "vvm_map_pager");
	if (rc == 0)
		*addr = m.addr;
	return rc;
}
