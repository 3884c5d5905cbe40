/* SPDX-License-Identifier: MIT */
/*
 * api/probe.c - whether libvvm can run here, and if not, why.
 */
#include "vvm.h"

#include <errno.h>
#include <string.h>

#include "os/os.h"
#include "os/ring.h"

static unsigned probe_uffd(int *error)
{
	static const struct {
		unsigned feature, flag;
	} map[] = {
		{OS_UFFD_WP_SHMEM, VVM_PROBE_WP_SHMEM},
		{OS_UFFD_THREAD_ID, VVM_PROBE_THREAD_ID},
		{OS_UFFD_POISON, VVM_PROBE_POISON},
	};
	enum os_uffd_method method;
	unsigned features = 0, flags = 0;
	size_t i;

	*error = os_uffd_probe(&features, &method);
	if (*error == -ENOSYS)
		return 0;
	flags |= VVM_PROBE_USERFAULTFD;
	if (*error < 0)
		return flags;
	flags |= VVM_PROBE_PERMITTED;
	if (method == OS_UFFD_USER_ONLY)
		flags |= VVM_PROBE_USER_ONLY;
	for (i = 0; i < ARRAY_SIZE(map); i++)
		if (features & map[i].feature)
			flags |= map[i].flag;
	if (!(flags & VVM_PROBE_WP_SHMEM))
		*error = -ENOSYS;
	return flags;
}

/* *error: of userfaultfd, which is not needed if this works. */
static unsigned probe_guard(int *error)
{
#if defined(__x86_64__)
	if (os_guard_probe() == 0) {
		if (*error == -EPERM || *error == -EACCES || *error == -ENOSYS)
			*error = 0;
		return VVM_PROBE_GUARD;
	}
#endif
	(void)error;
	return 0;
}

static unsigned probe_others(void)
{
	enum os_pagemap_method method = OS_PAGEMAP_READ;
	struct ring *ring;
	unsigned flags = 0;
	uint64_t bits[1];
	int fd;

	if (os_pagemap_open(&fd) == 0) {
		haddr_t here = page_floor((uintptr_t)&fd);

		if (os_pagemap_present(fd, here, 1, bits, &method) == 0 &&
		    method == OS_PAGEMAP_SCAN)
			flags |= VVM_PROBE_PAGEMAP_SCAN;
		os_close(fd);
	}
	if (ring_open(&ring, 1, VVM_IO_URING) == 0) {
		flags |= VVM_PROBE_IO_URING;
		ring_close(ring);
	}
	return flags;
}

static const char *probe_reason(int error)
{
	switch (error) {
	case 0:
		return "";
	case -ENOTSUP:
		return "only kernels with 4 KiB pages are supported";
	case -ENOSYS:
		return "the kernel is too old or built without userfaultfd: "
		       "write protection of shared memory needs Linux 5.19 "
		       "(CONFIG_USERFAULTFD, CONFIG_PTE_MARKER_UFFD_WP); "
		       "guard pages, which would do, need 6.15";
	case -EPERM:
	case -EACCES:
		return "userfaultfd is not permitted: run as root or with "
		       "CAP_SYS_PTRACE, allow /dev/userfaultfd for this user, "
		       "set vm.unprivileged_userfaultfd=1, or lift the "
		       "container's seccomp filter; guard pages, which need "
		       "no permission, are there from Linux 6.15 on";
	default:
		return "userfaultfd cannot be opened: out of descriptors or "
		       "memory?";
	}
}

int vvm_probe(struct vvm_probe *probe)
{
	int error = 0, state;

	if (!probe)
		return -EINVAL;
	memset(probe, 0, sizeof(*probe));
	state = os_cancel_off();
	probe->flags = probe_uffd(&error);
	probe->flags |= probe_guard(&error) | probe_others();
	os_cancel_restore(state);
	if (os_page_size() == PAGE_BYTES)
		probe->flags |= VVM_PROBE_PAGE_SIZE;
	else
		error = -ENOTSUP;
	probe->usable = error == 0;
	probe->error = error;
	probe->reason = probe_reason(error);
	return 0;
}
